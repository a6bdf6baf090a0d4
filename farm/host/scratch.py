"""Directories for a while, which nobody's death leaves behind for long."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_PREFIX = "farm-scratch-"


@contextmanager
def scratch() -> Iterator[Path]:
    """Give a new directory until the end of the block, and remove those of dead processes.

    A directory is locked while its process lives, whatever process namespace that is in.
    """
    top = Path(tempfile.gettempdir())
    for left in top.glob(f"{_PREFIX}*"):
        with suppress(OSError), _locked(left):  # another user's, or in use
            shutil.rmtree(left, ignore_errors=True)
    place = Path(tempfile.mkdtemp(prefix=_PREFIX))
    with _locked(place):
        try:
            yield place
        finally:
            shutil.rmtree(place, ignore_errors=True)


@contextmanager
def _locked(directory: Path) -> Iterator[None]:
    """Hold the directory's lock; raise OSError where another process does."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(descriptor)
