"""The times that a build sees on source files: a file's changes when its content does.

Cargo takes what it compiled for fresh as long as no source file is newer, so over a target
directory of an earlier run the time of a changed file has to be later than everything there,
whatever its time on this machine: an older version put back, an unpacked sdist, a clock that
jumped. What did not change keeps its time, so that only what did is compiled.
"""

from __future__ import annotations

import io
import secrets
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import IO

from pydantic import ValidationError

from farm.model.adapters import adapter
from farm.project.source import Source


@dataclass(frozen=True, kw_only=True)
class Stamp:
    """One file, as it was last sent."""

    sha256: str
    time: float
    """Seconds since the epoch, by the engine's clock."""


@dataclass(frozen=True, kw_only=True)
class Stamps:
    """All files, as they were last sent. Written down before any build sees them."""

    generation: str
    """A target directory of another generation says nothing about these files."""
    last: float
    """When they were sent."""
    files: Mapping[str, Stamp] = field(default_factory=dict)

    @property
    def times(self) -> dict[str, float]:
        """The time of each file, by its path."""
        return {path: stamp.time for path, stamp in self.files.items()}


def stamped(source: Source, before: Stamps | None, now: float) -> Stamps:
    """Return the stamps of `source`, sent `now` after it was sent as `before` says.

    `now` is the engine's time, in seconds since the epoch. A new generation begins where nothing
    is known of earlier ones, and where the clock went back: what was compiled since may be
    newer than `now`. Raises UsageError when a file can't be read.
    """
    if before is None or before.last >= now:
        before = Stamps(generation=secrets.token_hex(8), last=now)
    files = {}
    for file, content in zip(source.files, source.hashes, strict=True):
        old = before.files.get(file.path)
        same = old is not None and old.sha256 == content
        files[file.path] = old if old and same else Stamp(sha256=content, time=now)
    return Stamps(generation=before.generation, last=now, files=files)


def stamp_tar(tree: IO[bytes], into: IO[bytes], times: Mapping[str, float]) -> None:
    """Copy the archive `tree` of a source to `into`, with the `times` of its files by their paths.

    Neither is sought in.
    """
    with (
        tarfile.open(fileobj=tree, mode="r|") as source,
        tarfile.open(fileobj=into, mode="w|", format=tarfile.PAX_FORMAT) as archive,
    ):
        for member in source:
            member.mtime = times.get(member.name, member.mtime)
            archive.addfile(member, source.extractfile(member) if member.isreg() else None)


def replace_in_tar(
    tree: IO[bytes], into: IO[bytes], name: str, content: bytes, time: float
) -> None:
    """Copy the archive `tree` of a source to `into`, with other `content` of the file `name`.

    That file is of `time`. Neither is sought in.
    """
    with (
        tarfile.open(fileobj=tree, mode="r|") as source,
        tarfile.open(fileobj=into, mode="w|", format=tarfile.PAX_FORMAT) as archive,
    ):
        for member in source:
            if member.name == name:
                member.size, member.mtime = len(content), time
                archive.addfile(member, io.BytesIO(content))
            else:
                archive.addfile(member, source.extractfile(member) if member.isreg() else None)


def read_stamps(text: bytes) -> Stamps | None:
    """Return the stamps that `text` holds; None for what is none, as if nothing were known."""
    try:
        return adapter(Stamps).validate_json(text)
    except ValidationError:
        return None


def stamps_text(stamps: Stamps) -> bytes:
    """Return what `read_stamps` reads."""
    return adapter(Stamps).dump_json(stamps)
