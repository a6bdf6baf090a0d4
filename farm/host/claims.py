"""Directories that belong to a process while it lives, and to nobody once it is dead.

A directory is made first and locked a moment later; in between, who looks for what dead processes
left takes it for that. So whoever makes one looks again once the lock is held, and makes another
where this one is gone; and whoever removes one holds its lock meanwhile. A lock goes with its
process, however that dies, and holds between threads, users and process namespaces.
"""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_ATTEMPTS = 100
"""How often others may come in between; each is a clean-up that came in the one wrong moment."""


def claim(make: Callable[[], Path]) -> tuple[Path, int]:
    """Return a new directory of `make`'s and the descriptor that holds its lock.

    `make` is called again for each that somebody removed before it was locked. On a file system
    without locks it is not locked, and never removed by others either. Raises OSError of `make`.
    """
    for _ in range(_ATTEMPTS):
        directory = make()
        try:
            descriptor = _open(directory)
        except FileNotFoundError:
            continue
        with suppress(OSError):  # a file system without locks
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        if _names(directory, descriptor):
            return directory, descriptor
        os.close(descriptor)
    raise FileNotFoundError(
        2,
        "others remove it as soon as it is made, so what cleans up there must stop",
        str(directory),
    )


@contextmanager
def unclaimed(directory: Path) -> Iterator[bool]:
    """Tell whether nobody claims a directory, and keep it so until the end of the block.

    False too where it is gone, is no directory or another user's, or where there are no locks.
    """
    try:
        descriptor = _open(directory)
    except OSError:
        yield False
        return
    try:
        yield _lock(descriptor) and _names(directory, descriptor)
    finally:
        os.close(descriptor)


def remove_unclaimed(directory: Path) -> None:
    """Remove a directory unless somebody claims it."""
    with unclaimed(directory) as nobodys:
        if nobodys:
            shutil.rmtree(directory, ignore_errors=True)


def _open(directory: Path) -> int:
    return os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)


def _lock(descriptor: int) -> bool:
    if os.fstat(descriptor).st_uid != os.geteuid():
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _names(directory: Path, descriptor: int) -> bool:
    """Tell whether the path still names what was opened."""
    try:
        return os.path.samestat(directory.lstat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False
