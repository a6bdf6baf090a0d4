"""What is wrong with a wheel, said in one error."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import farm
from farm.model.errors import JobError
from farm.model.failures import Cause

_OURS = Path(farm.__file__).parent
_OF_CODE = (AssertionError, AttributeError, NameError, TypeError)
SHOWN = 20
"""So many faults are written out; a hostile archive can have thousands."""
LONGEST = 500
"""Characters of one of them; a name in an archive can have 65,535."""


def is_bug(error: BaseException) -> bool:
    """Tell whether the farm's own code raised `error`, and not a library that was given bytes.

    A library's reader raises nearly anything on what is no good file; the farm's own TypeError is
    a bug, and no word about the file. What Python itself says of values (a bad offset, bytes that
    are no UTF-8) is about the file, wherever it is raised.
    """
    if not isinstance(error, _OF_CODE):
        return False
    frame = error.__traceback__
    while frame is not None and frame.tb_next is not None:
        frame = frame.tb_next
    return frame is not None and Path(frame.tb_frame.f_code.co_filename).is_relative_to(_OURS)


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
