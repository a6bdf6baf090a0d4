"""What is wrong with a wheel, said in one error."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from farm.model.errors import JobError
from farm.model.failures import Cause

SHOWN = 20
"""So many faults are written out; a hostile archive can have thousands."""
LONGEST = 500
"""Characters of one of them; a name in an archive can have 65,535."""


def summary(faults: Sequence[str]) -> str:
    """Return the faults in one line, the first `SHOWN` of them, each cut at `LONGEST`."""
    more = [f"and {len(faults) - SHOWN} more"] if len(faults) > SHOWN else []
    return "; ".join([*map(_cut, faults[:SHOWN]), *more])


def _cut(fault: str) -> str:
    return fault if len(fault) <= LONGEST else f"{fault[:LONGEST]}…"


class WheelError(JobError):
    """A file is no wheel that the farm would publish: `faults` says why, all of it."""

    cause = Cause.AUDIT

    def __init__(self, path: Path, faults: Sequence[str]) -> None:
        self.path = path
        self.faults = tuple(faults)
        super().__init__(
            f"{path.name} is not a sound wheel: {summary(self.faults)}",
            f"It is kept at {path}. Build it again; a wheel from elsewhere, get again.",
        )
