"""Publish: the one door to `dist/`. A wheel appears whole, by a rename, or not at all."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from farm.model.errors import SurroundingsError
from farm.model.failures import Cause

_UNFINISHED = re.compile(r"\..+\.whl\.\d{8}-\d{6}-[0-9a-f]{4,}\.part", re.DOTALL)


def require_writable(out: Path) -> None:
    """Make `out` if it is not there, and raise SurroundingsError when it can't be written to."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=out):
            pass
    except OSError as error:
        raise SurroundingsError(
            f"wheels can't be written to {out}: {error.strerror}",
            "Make the directory writable, or name another with --out.",
        ) from error


def publish(wheel: Path, out: Path, run: str, *, digest: str = "") -> Path:
    """Put a copy of `wheel` into `out` under its own name and return the new path.

    An older wheel of that name stays until the new one is complete and on the disk. `run` is
    whose copy it is until then. A file there whose sha256 is `digest`, that of `wheel`, is left
    alone. Raises SurroundingsError when it can't be written.
    """
    target = out / wheel.name
    if digest and _is_there(target, digest):
        return target
    unfinished = out / f".{wheel.name}.{run}.part"
    try:
        out.mkdir(parents=True, exist_ok=True)  # somebody may have tidied up since the run began
        with _locked(out, fcntl.LOCK_SH):
            with wheel.open("rb") as source, unfinished.open("wb") as copy:
                shutil.copyfileobj(source, copy, 1 << 20)
                copy.flush()
                os.fsync(copy.fileno())
            unfinished.replace(target)
    except OSError as error:
        unfinished.unlink(missing_ok=True)
        raise SurroundingsError(
            f"{wheel.name} could not be written to {out}: {error.strerror}",
            f"The wheel is kept at {wheel}; make room or name another directory with --out.",
            cause=Cause.ROOM if error.errno == errno.ENOSPC else None,
        ) from error
    return target


def _is_there(path: Path, digest: str) -> bool:
    try:
        return path.is_file() and not path.is_symlink() and sha256(path) == digest
    except OSError:  # what can't be read may still be replaced
        return False


def remove_unfinished(out: Path) -> None:
    """Remove the copies that farms had begun when they were killed, unless one is at work now."""
    with suppress(OSError), _locked(out, fcntl.LOCK_EX | fcntl.LOCK_NB) as alone:
        for path in out.iterdir() if alone else ():
            if _UNFINISHED.fullmatch(path.name):
                path.unlink(missing_ok=True)


@contextmanager
def _locked(directory: Path, how: int) -> Iterator[bool]:
    """Take a lock of the directory, which goes with the process; give whether it is held."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        held = True
        try:
            fcntl.flock(descriptor, how)
        except OSError:  # another's, or a file system without locks
            held = False
        yield held
    finally:
        os.close(descriptor)


def sha256(path: Path) -> str:
    """Return the file's sha256, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
