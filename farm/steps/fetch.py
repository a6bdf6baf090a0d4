"""Fetch: the source tree and its crates go into the run's volumes.

The only step before a build that has a network. It runs cargo from a directory of the farm's
own, where no cargo configuration of the project applies: such a file may name programs to run
(compilers, wrappers, credential helpers). What is harmless of it is handed over as arguments.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from farm.engine.containers import Container
from farm.engine.leftovers import clock
from farm.model.errors import FarmError, SurroundingsError, UsageError
from farm.model.events import Warned
from farm.model.failures import Cause
from farm.model.plan import CARGO_HOME, SOURCE, WORK, Command
from farm.project.crates import INSIST, Locked, locked_in
from farm.project.inspect import Project
from farm.project.locks import compare
from farm.project.source import Source
from farm.project.stamps import replace_in_tar
from farm.steps.commands import LOCKED, RESOLVED
from farm.steps.context import Context, Log, Site, archive
from farm.steps.network import certificates
from farm.steps.outcome import Setting, failure
from farm.steps.reasons import Reasons
from farm.steps.received import received
from farm.steps.retries import persist

DEADLINE = 1800.0
"""Seconds that a fetch may take."""
_MAX_LOCK = 64 << 20
"""Bytes of a Cargo.lock, as an archive."""
_STALE = re.compile(r"lock file .* needs to be updated|cannot update the lock file")
_LACKING = re.compile(
    r"failed to select a version for the requirement `(\S+) = .*` \(locked to (\S+)\)"
)
"""How cargo says that a registry has a crate, but not in the version that Cargo.lock names."""
_RESOLVED = re.compile(rf"{RESOLVED} (\S+) v(\S+)")
_UNREACHED = re.compile(
    r"failed to download from|HTTP response from .* got 4|failed to (?:clone|fetch) into"
)


@dataclass(frozen=True, kw_only=True)
class Fetched:
    """What a fetch found out about Cargo.lock."""

    warnings: tuple[str, ...] = ()
    lock: str = ""
    """sha256 of the lock that took the place of the source's own; empty where that one fits."""


class StaleLockError(UsageError):
    """Cargo.lock does not fit Cargo.toml."""


def fetch(
    context: Context, commands: Sequence[Command], site: Site, project: Project, source: Source
) -> Fetched:
    """Run the plan's fetch commands for `project`, in volumes of their own but for the crates.

    What the network or the engine is to blame for is tried again. A Cargo.lock that does not fit
    Cargo.toml is mended in the archive that all jobs get, and never in the user's tree, where only
    what the workspace itself is differs, or the settings allow for more. Returns, and tells,
    warnings of that and of crates that Cargo.lock does not pin.

    Raises UsageError when Cargo.lock does not fit Cargo.toml otherwise, SurroundingsError when a
    registry or repository can't be reached or lacks a crate, and FarmError for anything else that
    cargo says.
    """
    said: list[str] = []
    lock = project.lock.relative_to(source.root).as_posix()
    first = now = None
    found: list[str] = []
    with context.log("fetch") as log:

        def say(text: str) -> None:
            log(text)
            context.emit(Warned(text=f"fetch: {text}"))

        def go(command: Command) -> _Done:
            return persist(
                lambda each: _fetch(context, each, site, log, lock),
                command,
                stopping=context.workshop.stopping,
                say=say,
            )

        for command in commands:
            try:
                done = go(command)
            except StaleLockError as stale:
                done = go(_unlocked(command))
                _require_pinned(done, stale)
            first, now = first or done.before, done.after
            if done.before != done.after:
                found.append(_mended(done))
                _put_lock(context, site.shared.tree, lock, done.after)
            said += done.said
    found += _unpinned(said, locked_in(project.lock, now or ""))
    for text in found:
        context.emit(Warned(text=text))
    changed = now is not None and now != first
    return Fetched(
        warnings=tuple(found),
        lock=hashlib.sha256((now or "").encode()).hexdigest() if changed else "",
    )


def _unlocked(command: Command) -> Command:
    return replace(command, argv=tuple(word for word in command.argv if word != LOCKED))


def _require_pinned(done: _Done, stale: StaleLockError) -> None:
    """Raise an error that tells more than `stale` where cargo took what no lock pins."""
    changes = compare(done.before, done.after)
    if changes.unpinned:
        raise UsageError(
            f"{stale.message}, and to take {changes.taken}", f"{stale.remedy} {INSIST}"
        )


def _mended(done: _Done) -> str:
    """Return the warning of a lock that cargo changed."""
    changes = compare(done.before, done.after)
    text = f"Cargo.lock does not fit Cargo.toml, and is mended in the copy that is built: {changes}"
    if changes.unpinned:
        text += f"; cargo chose {changes.taken}"
    return f"{text}. cargo update --workspace mends your own"


def _put_lock(context: Context, tree: Path, name: str, text: str) -> None:
    """Put the lock `text` into the archive `tree`, as a file that has just changed."""
    time = clock(context.workshop.client)
    try:
        with tree.open("rb") as old:
            tree.unlink()  # no second name is left where the run is killed
            with tree.open("xb") as new:
                replace_in_tar(old, new, name, text.encode(), time)
    except OSError as error:
        raise SurroundingsError(
            f"{tree} could not be written: {error.strerror}", "Make room on its file system."
        ) from error


def _unpinned(said: Iterable[str], locked: Iterable[Locked]) -> tuple[str, ...]:
    """Return a warning of crates that a fetch `said` it got and no `locked` package is, if any."""
    there = {(package.name, package.text) for package in locked}
    told = dict.fromkeys(found.groups() for line in said if (found := _RESOLVED.match(line)))
    free = [f"{name} {version}" for name, version in told if (name, version) not in there]
    if not free:
        return ()
    text = (
        f"Cargo.lock does not pin {', '.join(free)}, which a dependency's feature brings: a later "
        "build may take another version. A feature of the crate's own that turns it on has it "
        "locked."
    )
    return (text,)


@dataclass(frozen=True, kw_only=True)
class _Done:
    """What a command of the fetch did: what it said, and the text of Cargo.lock before and after.

    A command that may not change the lock leaves it as it is.
    """

    said: tuple[str, ...]
    before: str
    after: str


def _fetch(context: Context, command: Command, site: Site, log: Log, lock: str) -> _Done:
    log.command(command)
    said: list[str] = []

    def keep(line: str) -> None:
        said.append(line)
        log(line)

    reasons = Reasons(keep)
    spec = context.spec(
        command,
        mounts=site.mounts(SOURCE, CARGO_HOME, WORK),
        deadline=DEADLINE,
        job="fetch",
    )
    with context.workshop.container(spec) as container:
        site.fill(container)
        container.put(CARGO_HOME, archive(certificates()))
        before = _text(container, f"{SOURCE}/{lock}")
        ended = container.run(reasons)
        after = before if LOCKED in command.argv else _text(container, f"{SOURCE}/{lock}")
    if ended.code:
        setting = Setting(deadline=DEADLINE, network=True, ordinary=Cause.DEPENDENCY)
        error = failure(ended, reasons, setting)
        raise _failure(error, "\n".join(said), str(context.log_path("fetch")))
    return _Done(said=tuple(said), before=before, after=after)


def _text(container: Container, path: str) -> str:
    with container.get(path, limit=_MAX_LOCK) as found, received(found) as files:
        return next(file.content.read().decode("utf-8", "replace") for file in files)


def _failure(error: FarmError, text: str, path: str) -> FarmError:
    """Return `error` with what it means for a fetch; `text` is what cargo wrote."""
    if _STALE.search(text):
        return StaleLockError(
            "Cargo.lock does not fit Cargo.toml: cargo would have to change it",
            f"Run cargo update --workspace and commit Cargo.lock. All of it: {path}",
        )
    if error.cause in {Cause.NETWORK, Cause.DEADLINE} or _UNREACHED.search(text):
        return SurroundingsError(
            f"crates could not be fetched: {error.message}",
            f"Look at the network, the proxy and the CA bundle (farm doctor). All of it: {path}",
            cause=error.cause,
        )
    if lacking := _LACKING.search(text):
        name, locked = lacking.groups()
        return SurroundingsError(
            f"crates could not be fetched: the registry has no {name} {locked}, which Cargo.lock "
            "names",
            f"Ask for it where your mirror of crates.io is kept, if there is one; or run cargo "
            f"update {name} and commit Cargo.lock. All of it: {path}",
            cause=error.cause,
        )
    if error.cause is Cause.DEPENDENCY:
        said = error.message.removeprefix("error: ")
        return UsageError(f"cargo fetch failed: {said}", f"All of it: {path}")
    return error
