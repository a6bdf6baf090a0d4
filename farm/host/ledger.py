"""What the farm changed on this machine, written down so that it can be taken back.

A change is written down before it is made: a kill in between costs an undo of something that
was not done, which does no harm, and never leaves a change that nobody remembers.

Only the standard library is needed here: the set-up runs before there is a virtual environment.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from farm.model.errors import SurroundingsError

SCHEMA = 1
SYSTEM = Path("/var/lib/farm/changes.json")
"""Root's ledger: no part of any home directory, so that it outlives an emptied HOME."""
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


@dataclass(frozen=True, kw_only=True)
class Packages:
    """Packages that apt-get brought and that were not there before."""

    names: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Written:
    """A file that the farm put on this machine."""

    path: str
    sha256: str
    """Of the content; a file that has another by now is somebody else's."""


@dataclass(frozen=True, kw_only=True)
class Mounted:
    """A file system that the farm mounted; gone with the boot that it was made in."""

    path: str
    boot: str
    """Linux's boot id; see proc(5)."""


@dataclass(frozen=True, kw_only=True)
class Registered:
    """A binfmt_misc handler of the farm's own name; gone when the engine's machine restarts."""

    name: str
    engine: str
    """The engine's id: its handlers are its machine's."""
    host: str
    """The engine's name for its machine, for people."""
    local: bool
    """The engine ran on this machine."""


Change = Packages | Written | Mounted | Registered
_KINDS: dict[str, Callable[..., Change]] = {
    "packages": Packages,
    "written": Written,
    "mounted": Mounted,
    "registered": Registered,
}


def default_path() -> Path:
    """Return where this user's ledger is: root's in a system place, others' in their own."""
    if os.geteuid() == 0:
        return SYSTEM
    state = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(state) / "farm" / "changes.json"


def boot_id() -> str:
    """Return what tells this boot of the machine from every other; empty where it is not told."""
    return _BOOT_ID.read_text().strip() if _BOOT_ID.exists() else ""


@dataclass(frozen=True, kw_only=True)
class Ledger:
    """The changes in one file, oldest first; each write replaces the file whole."""

    path: Path

    def changes(self) -> tuple[Change, ...]:
        """Return what stands in the ledger.

        Raises SurroundingsError when the file is not one that this farm can read.
        """
        try:
            document = json.loads(self.path.read_text("utf-8"))
        except FileNotFoundError:
            return ()
        except (OSError, ValueError) as error:
            raise self._unreadable(str(error)) from error
        try:
            if document["schema"] != SCHEMA:
                raise self._unreadable(f"its schema is {document['schema']}, not {SCHEMA}")
            return tuple(_parse(entry) for entry in document["changes"])
        except (KeyError, TypeError) as error:
            raise self._unreadable(f"an entry lacks {error}") from error

    def add(self, change: Change) -> None:
        """Write `change` down, once however often it is made."""
        with self._locked():
            self._write((*(c for c in self.changes() if c != change), change))

    def remove(self, change: Change) -> None:
        """Strike `change` out; the file goes with its last entry."""
        with self._locked():
            self._write(tuple(c for c in self.changes() if c != change))

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            directory = os.open(self.path.parent, os.O_RDONLY)
            try:
                fcntl.flock(directory, fcntl.LOCK_EX)
                yield
            finally:
                os.close(directory)
        except OSError as error:
            raise SurroundingsError(
                f"what the farm changes cannot be written down in {self.path}: {error.strerror}",
                "Nothing is changed on this machine without it. Make the directory writable.",
            ) from error

    def _write(self, changes: tuple[Change, ...]) -> None:
        if not changes:
            self.path.unlink(missing_ok=True)
            return
        names = {kind: name for name, kind in _KINDS.items()}
        entries = [{"kind": names[type(change)], **asdict(change)} for change in changes]
        text = json.dumps({"schema": SCHEMA, "changes": entries}, indent=2) + "\n"
        handle, scratch = tempfile.mkstemp(dir=self.path.parent, prefix=".changes-")
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        Path(scratch).replace(self.path)

    def _unreadable(self, why: str) -> SurroundingsError:
        return SurroundingsError(
            f"{self.path}, where the farm writes down what it changes, cannot be read: {why}",
            "Was it edited, or written by a newer farm? Look into it, undo by hand what it "
            "lists, and delete it.",
        )


def _parse(entry: dict[str, Any]) -> Change:
    fields = dict(entry)
    kind = _KINDS[fields.pop("kind")]
    lists = {name: tuple(v) if isinstance(v, list) else v for name, v in fields.items()}
    return kind(**lists)
