"""The one root of every error that a user may see.

An error says what failed, where, and what to do next. The command line prints `message`
and `remedy` and exits with `exit_code`; anything else that escapes is a bug.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from enum import IntEnum

from farm.model.failures import Cause
from farm.model.secrets import redact


class ExitCode(IntEnum):
    """What the process ends with."""

    OK = 0
    JOB_FAILED = 1
    USAGE = 2
    SURROUNDINGS = 3
    FAULT = 70
    """A bug of the farm's came up; EX_SOFTWARE of sysexits(3)."""
    INTERRUPTED = 130


class FarmError(Exception):
    """Root of the farm's errors.

    `message` says what failed and where; `remedy` what to do next, as one or more whole
    sentences or commands (empty when there is nothing that the user could do). `cause` is of
    the kind that the class names, unless it is known better. Both are shown without the
    passwords of URLs, which come with what other programs say.
    """

    exit_code = ExitCode.JOB_FAILED
    cause = Cause.OTHER

    def __init__(self, message: str, remedy: str = "", *, cause: Cause | None = None) -> None:
        self.message = redact(message)
        self.remedy = redact(remedy)
        super().__init__(self.message)
        self.cause = cause or self.cause


class UsageError(FarmError):
    """Wrong arguments, settings or project, or a Python that the base lacks."""

    exit_code = ExitCode.USAGE
    cause = Cause.USAGE


class SurroundingsError(FarmError):
    """The surroundings are not fit: engine, rights, emulation, room, `dist/`, network."""

    exit_code = ExitCode.SURROUNDINGS
    cause = Cause.SURROUNDINGS


class FaultError(FarmError):
    """A bug of the farm's: `farm.host.faults` makes these of exceptions that nothing expects."""

    exit_code = ExitCode.FAULT
    cause = Cause.FAULT


class JobError(FarmError):
    """One job's step failed; the other jobs go on."""

    exit_code = ExitCode.JOB_FAILED


def nearest(word: str, known: Iterable[str]) -> str:
    """Return `; did you mean X?` for the known word nearest to `word`, or an empty string."""
    found: Sequence[str] = get_close_matches(word, map(str, known), n=1, cutoff=0.6)
    return f"; did you mean {found[0]!r}?" if found else ""
