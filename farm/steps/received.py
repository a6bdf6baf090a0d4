"""What comes out of a container, read as untrusted input: one tar archive, bounded."""

from __future__ import annotations

import struct
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO

from farm.model.errors import JobError
from farm.wheels.errors import is_bug

MAX_MEMBERS = 10_000
"""Members of one archive that are looked at; each takes memory."""

_FAULTS = (
    ArithmeticError,
    EOFError,
    LookupError,
    RecursionError,
    TypeError,
    ValueError,
    struct.error,
    tarfile.TarError,
)
"""All that `tarfile` raises on bytes that are no good archive; not OSError, which is the disk's."""


@dataclass(frozen=True, kw_only=True)
class Received:
    """One regular file of an archive, whose content can be read until the next one is asked for."""

    name: str
    """Without its directories."""
    size: int
    content: IO[bytes]


@contextmanager
def received(archive: IO[bytes]) -> Iterator[Iterator[Received]]:
    """Yield the regular files of a tar archive, one by one; links and devices are passed over.

    Raises JobError, then or while they are read, when it is no sound archive, has more than
    MAX_MEMBERS, or a file with holes: what is unpacked is never longer than the archive.
    """
    try:
        with tarfile.open(fileobj=archive, mode="r:") as tar:  # a colon: not compressed
            yield _files(tar)
    except _FAULTS as error:
        if is_bug(error):
            raise
        raise JobError(
            f"the container handed out no sound tar archive ({type(error).__name__}: {error})"
        ) from error


def _files(tar: tarfile.TarFile) -> Iterator[Received]:
    for count, member in enumerate(tar, start=1):
        if count > MAX_MEMBERS:
            raise tarfile.TarError(f"more than {MAX_MEMBERS} members")
        if member.issparse():
            raise tarfile.TarError(f"{member.name!r} has holes")
        content = tar.extractfile(member) if member.isreg() else None
        if content is not None:
            name = member.name.rpartition("/")[2]
            yield Received(name=name, size=member.size, content=content)
