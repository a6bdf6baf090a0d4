"""The cache of wheels: what was built, audited and checked once is not built again.

An entry is named by the hash of all that went into its wheel, and appears whole, by a rename.
It lies in the user's cache directory, bounded; what was used longest ago goes first.
"""

from __future__ import annotations

import errno
import hashlib
import os
import secrets
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from platformdirs import user_cache_path
from pydantic import ValidationError

import farm
from farm.model.adapters import adapter
from farm.model.plan import Job, Plan
from farm.model.results import JobResult, Status, WheelFacts
from farm.model.secrets import redact
from farm.report.json import canonical
from farm.runs.planner import Request
from farm.steps.network import network_environment
from farm.steps.publish import sha256

BOUND = 4 << 30
"""Bytes that all entries together may hold."""

_FORMAT = 1
_RESULT = "result.json"
_TEMPORARY = "new-"
_TAKEN = {errno.EEXIST, errno.ENOTEMPTY}
"""What a rename to a directory that is there fails with."""
_TEMPORARY_AGE = 86400.0
"""Seconds after which an entry that nobody finished is nobody's."""


@dataclass(frozen=True, kw_only=True)
class Hit:
    """A wheel of an earlier run."""

    wheel: Path
    facts: WheelFacts
    """What it was when it was stored, and is still."""
    result: JobResult
    """What that run said of it."""


@dataclass(frozen=True, kw_only=True)
class Cache:
    """The entries in one directory."""

    directory: Path
    bound: int = BOUND

    def find(self, key: str) -> Hit | None:
        """Return the entry `key`, and count it as used; one that is damaged is removed."""
        entry = self.directory / key
        try:
            result = adapter(JobResult).validate_json((entry / _RESULT).read_bytes())
            if result.wheel is None:
                return None
            wheel = entry / Path(result.wheel.path).name
            hit = Hit(wheel=wheel, facts=result.wheel, result=result)
            whole = sha256(wheel) == hit.facts.sha256
            os.utime(entry)
        except FileNotFoundError:
            whole = not entry.exists()
            if whole:
                return None
        except (OSError, ValidationError):
            whole = False
        if not whole:
            self._drop(entry)
            return None
        return hit

    def store(self, key: str, result: JobResult) -> None:
        """Keep the wheel of `result`, which passed, as entry `key`; make room for it.

        Raises OSError when it can't be written.
        """
        if result.wheel is None or result.wheel.size > self.bound:
            return
        self.directory.mkdir(parents=True, exist_ok=True)
        new = Path(tempfile.mkdtemp(prefix=_TEMPORARY, dir=self.directory))
        try:
            wheel = Path(result.wheel.path)
            shutil.copyfile(wheel, new / wheel.name)
            (new / _RESULT).write_bytes(adapter(JobResult).dump_json(result))
            for path in new.iterdir():
                with path.open("rb") as file:
                    os.fsync(file.fileno())
            entry = self.directory / key
            self._drop(entry)
            try:
                new.rename(entry)
            except OSError as error:
                if error.errno not in _TAKEN:  # another farm was faster with the same
                    raise
        finally:
            shutil.rmtree(new, ignore_errors=True)
        self._make_room()

    def clear(self) -> int:
        """Remove every entry; return how many bytes they held."""
        entries = self._entries()
        for entry, _, _ in entries:
            self._drop(entry)
        return sum(size for _, size, _ in entries)

    def size(self) -> tuple[int, int]:
        """Return how many entries there are, and how many bytes they hold."""
        entries = self._entries()
        return len(entries), sum(size for _, size, _ in entries)

    def _make_room(self) -> None:
        from filelock import FileLock  # noqa: PLC0415  (what is only found needs no lock)

        with FileLock(self.directory / ".lock"):
            entries = sorted(self._entries(), key=lambda e: e[2])
            excess = sum(size for _, size, _ in entries) - self.bound
            newest = entries[-1][2] if entries else 0
            for entry, size, used in entries:
                unfinished = entry.name.startswith(_TEMPORARY)
                if unfinished and newest - used > _TEMPORARY_AGE:
                    self._drop(entry)
                elif excess > 0 and not unfinished:
                    self._drop(entry)
                    excess -= size

    def _entries(self) -> list[tuple[Path, int, float]]:
        """Return each entry with its bytes and when it was used last."""
        found = []
        for entry in self.directory.glob("*/"):
            with suppress(FileNotFoundError):  # dropped meanwhile by another farm
                size = sum(path.stat().st_size for path in entry.iterdir())
                found.append((entry, size, entry.stat().st_mtime))
        return found

    def _drop(self, entry: Path) -> None:
        """Remove an entry so that it is whole or gone for everyone who looks."""
        doomed = self.directory / f"{_TEMPORARY}{secrets.token_hex(8)}"
        with suppress(OSError):  # gone already, or not the user's to remove
            entry.rename(doomed)
            shutil.rmtree(doomed, ignore_errors=True)


def user_cache() -> Cache:
    """Return the cache of this user."""
    return Cache(directory=user_cache_path("farm") / "wheels")


def wheel_keys(request: Request, plan: Plan, inputs: Mapping[str, str]) -> dict[str, str]:
    """Return, by job, the name of its entry: the hash of all that goes into its wheel.

    `inputs` has, by image, the hash of what it is made from.

    That is the source with its lock, every command with its environment, what the images were
    made from, the settings of the check, and the farm's own version; where something is installed
    for the job, also the package indexes that the user's environment names, less passwords.
    """
    digest = request.source.digest
    return {job.id: _key(request, plan, job, inputs, digest) for job in plan.jobs}


def _key(request: Request, plan: Plan, job: Job, inputs: Mapping[str, str], digest: str) -> str:
    if not request.smoke:
        job = replace(job, checks=())
    installs = any(command.network for command in job.commands)
    whole = {
        "format": _FORMAT,
        "farm": farm.__version__,
        "source": digest,
        "project": request.source.project,
        "epoch": request.epoch,
        "fetch": tuple(replace(c, argv=_untargeted(c.argv)) for c in plan.fetch),
        "job": job,
        "smoke": request.settings.smoke.model_dump(mode="json") if request.smoke else None,
        "images": {name: inputs[name] for name in replace(plan, jobs=(job,)).images},
        "indexes": _indexes() if installs else {},
    }
    return hashlib.sha256(canonical(whole).encode()).hexdigest()


def _untargeted(argv: Sequence[str]) -> tuple[str, ...]:
    """Return a fetch's command less the architectures, which are those of all jobs together."""
    before = ("", *argv)
    return tuple(w for w, last in zip(argv, before, strict=False) if "--target" not in (w, last))


def _indexes() -> dict[str, str]:
    """Return what of the user's environment says where Python's packages come from."""
    told = network_environment("").items()
    return {name: redact(value) for name, value in told if name.upper().startswith("UV_")}


def from_cache(hit: Hit, published: Path) -> JobResult:
    """Return the result of a job whose wheel is `hit`, now at `published`."""
    wheel = replace(hit.facts, path=str(published))
    return replace(hit.result, status=Status.CACHED, wheel=wheel, seconds={})
