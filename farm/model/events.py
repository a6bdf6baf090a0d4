"""What happens, as values. The steps emit them; console, JSON and log files listen."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum


@dataclass(frozen=True, kw_only=True)
class Note:
    """A line of prose for the user: what was chosen, what is about to change."""

    text: str


@dataclass(frozen=True, kw_only=True)
class Warned:
    """Something that is not an error and that the user must know."""

    text: str
    job: str = ""
    """Id of the job that it concerns, or empty."""


@dataclass(frozen=True, kw_only=True)
class ImageProgress:
    """An image's preparation moved: what is being done and how far it is."""

    image: str
    """Short name, such as `builder-aarch64`."""
    text: str
    done: bool = False
    failed: bool = False
    """It is done, and there is no image."""


class Phase(StrEnum):
    """Where a job is."""

    WAITING = "waiting"
    BUILD = "build"
    AUDIT = "audit"
    CHECK = "check"
    PUBLISH = "publish"
    BUILT = "built"
    PASSED = "passed"
    """The end of a wheel that was only tested."""
    FAILED = "failed"
    CANCELLED = "cancelled"
    SKIPPED = "skipped"
    """The end of a job that never started."""
    CACHED = "cached"
    """The end of a job whose wheel an earlier run made."""


@dataclass(frozen=True, kw_only=True)
class JobPhase:
    """A job went on to another phase."""

    job: str
    phase: Phase
    text: str = ""
    """The check's interpreter, the wheel's path, or the reason of a failure, in one line."""
    log: str = ""
    """The path of the job's log, where the job failed."""
    run: str = ""
    """The run that made the wheel, where it was found made."""


@dataclass(frozen=True, kw_only=True)
class JobLine:
    """One line of a job's output, as its log keeps it."""

    job: str
    line: str


Event = Note | Warned | ImageProgress | JobPhase | JobLine
Emit = Callable[[Event], None]
