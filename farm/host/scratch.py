"""Directories for a while, which nobody's death leaves behind for long."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from farm.host.claims import claim, remove_unclaimed
from farm.model.errors import SurroundingsError

_PREFIX = "farm-scratch-"


@contextmanager
def scratch() -> Iterator[Path]:
    """Give a new directory until the end of the block, and remove those of dead processes.

    Raises SurroundingsError where there is no place for one.
    """
    try:
        top = Path(tempfile.gettempdir())
        for left in top.glob(f"{_PREFIX}*"):
            remove_unclaimed(left)
        place, lock = claim(lambda: Path(tempfile.mkdtemp(prefix=_PREFIX, dir=top)))
    except OSError as error:
        raise SurroundingsError(
            f"no directory for temporary files can be made: {error.strerror}",
            "Make room, or name another place in TMPDIR.",
        ) from error
    try:
        yield place
    finally:
        shutil.rmtree(place, ignore_errors=True)
        os.close(lock)
