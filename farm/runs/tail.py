"""A log as it is read while it may still be written."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

_LONGEST = 1 << 16
_PAUSE = 0.3
_END = 1 << 16
"""Bytes in which the last lines are looked for."""


def tail(path: Path, over: Callable[[], bool]) -> Iterator[bytes]:
    """Yield what `path` holds, and what is added to it until `over()` is true.

    Yields lines with their ends, one by one; of a very long line, and of one that is just being
    written, the parts as they come.
    """
    with path.open("rb") as file:
        while True:
            last = over()  # first, since what was written before the end is still to be read
            while line := file.readline(_LONGEST):
                yield line
            if last:
                return
            time.sleep(_PAUSE)


def last_lines(path: Path, count: int) -> tuple[str, ...]:
    """Return the last lines of a log, at most `count`."""
    with path.open("rb") as file:
        file.seek(max(file.seek(0, os.SEEK_END) - _END, 0))
        lines = file.read().decode(errors="replace").split("\n")
    return tuple(lines[:-1] if not lines[-1] else lines)[-count:]
