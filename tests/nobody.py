"""Tests as a user who is not root: as `nobody` where root runs them, else as whoever does."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

NOBODY = 65534


@contextmanager
def nobody() -> Iterator[None]:
    """Be nobody for a while, as far as this process's own rights go."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


@contextmanager
def place_of_nobody() -> Iterator[Path]:
    """Give an empty directory that is nobody's, and that nobody can reach."""
    with tempfile.TemporaryDirectory(prefix="farm-test-") as place:
        if os.geteuid() == 0:
            os.chown(place, NOBODY, NOBODY)
        yield Path(place)


def run_as_nobody(argv: Sequence[str], place: Path) -> subprocess.CompletedProcess[str]:
    """Run a program as nobody, in no group of root's, at home in `place`."""
    user = NOBODY if os.geteuid() == 0 else None
    groups = [] if user else None
    return subprocess.run(
        argv,
        user=user,
        group=user,
        extra_groups=groups,
        cwd=place,
        env=os.environ | {"HOME": str(place), "TMPDIR": str(place)},
        capture_output=True,
        text=True,
        check=False,
    )
