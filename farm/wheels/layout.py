"""Says where a zip file's bytes would be read otherwise by another reader.

A reader that unpacks while it downloads follows the local headers, others the central directory;
both have to tell of the same files, and of every byte. The rules are PyPI's:
https://blog.pypi.org/posts/2025-08-07-wheel-archive-confusion-attacks/
Reference: APPNOTE.TXT of PKWARE, sections 4.3 to 4.5.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import BinaryIO, cast
from zipfile import ZIP_STORED, BadZipFile, ZipFile, ZipInfo

_LOCAL = struct.Struct("<4s5H3L2H")
_END = struct.Struct("<4s4H2LH")
_LOCAL_MAGIC, _END_MAGIC = b"PK\x03\x04", b"PK\x05\x06"
_ZIP64, _OTHER_NAME = 0x0001, 0x7075
"""Kinds of extra fields: sizes beyond 32 bits, and Info-ZIP's second name."""
_IN_ZIP64 = 0xFFFFFFFF
_MANY = 0xFFFF
"""What stands for a count of entries that is told elsewhere."""
_STREAMED = 0x8
"""The flag of an entry whose sizes follow its contents."""
_UTF8 = 0x800
_FLAGS = 0x1 | _STREAMED | _UTF8
_DESCRIPTORS = (12, 16, 20, 24)
"""Bytes of such sizes: with or without a signature, of 32 or 64 bits."""


@dataclass(frozen=True, kw_only=True)
class _Local:
    """What stands before an entry's contents."""

    flags: int
    method: int
    packed: int
    size: int
    name: bytes
    extra: bytes
    end: int
    """Where the contents of the entry end, by the size that the central directory tells."""


def faults(archive: ZipFile, size: int) -> Iterator[str]:
    """Say where the `size` bytes of the archive can be read in two ways.

    Raises what `zipfile` raises on bad data.
    """
    stream = cast("BinaryIO", archive.fp)
    entries = sorted(archive.infolist(), key=lambda e: e.header_offset)
    yield from _end_faults(stream, len(entries), size)
    places = [(entry, _local(stream, entry)) for entry in entries]
    for entry, local in places:
        yield from _disagreements(entry, local)
    starts = [*(entry.header_offset for entry in entries), archive.start_dir]
    for (entry, local), (_, start) in zip(places, pairwise(starts), strict=True):
        gap = start - local.end
        if gap < 0:
            yield f"entry {entry.filename!r} overlaps what follows it by {-gap} bytes"
        elif gap not in (_DESCRIPTORS if entry.flag_bits & _STREAMED else (0,)):
            yield f"{gap} bytes behind entry {entry.filename!r} belong to no entry"


def _end_faults(stream: BinaryIO, entries: int, size: int) -> Iterator[str]:
    stream.seek(max(size - _END.size, 0))
    end = stream.read(_END.size)
    if len(end) < _END.size or not end.startswith(_END_MAGIC) or end[-2:] != b"\0\0":
        yield "ends with bytes that belong to no entry"
        return
    count = _END.unpack(end)[4]
    if count not in (entries, _MANY):
        yield f"says that it has {count} entries and lists {entries}"


def _local(stream: BinaryIO, entry: ZipInfo) -> _Local:
    stream.seek(entry.header_offset)
    head = stream.read(_LOCAL.size)
    if len(head) < _LOCAL.size or not head.startswith(_LOCAL_MAGIC):
        raise BadZipFile(f"entry {entry.filename!r} has no header of its own")
    _, _, flags, method, _, _, _, packed, size, names, extras = _LOCAL.unpack(head)
    name, extra = stream.read(names), stream.read(extras)
    if (size, packed) == (_IN_ZIP64, _IN_ZIP64):
        size, packed = _sizes(extra)
    end = entry.header_offset + _LOCAL.size + names + extras + entry.compress_size
    return _Local(
        flags=flags, method=method, packed=packed, size=size, name=name, extra=extra, end=end
    )


def _disagreements(entry: ZipInfo, local: _Local) -> Iterator[str]:
    encoding = "utf-8" if entry.flag_bits & _UTF8 else "cp437"
    own = (local.name.decode(encoding), local.flags & _FLAGS, local.method)
    if own != (entry.orig_filename, entry.flag_bits & _FLAGS, entry.compress_type):
        yield f"entry {entry.filename!r} is another one by its own header: {own[0]!r}"
    told = (0, 0) if entry.flag_bits & _STREAMED else (entry.compress_size, entry.file_size)
    if (local.packed, local.size) not in (told, (entry.compress_size, entry.file_size)):
        yield f"entry {entry.filename!r} has other sizes by its own header"
    if entry.compress_type == ZIP_STORED and entry.compress_size != entry.file_size:
        yield f"entry {entry.filename!r} is stored, and not as long as it says"
    kinds = {kind for extra in (local.extra, entry.extra) for kind, _ in _extras(extra)}
    if _OTHER_NAME in kinds:
        yield f"entry {entry.filename!r} has a second name"


def _sizes(extra: bytes) -> tuple[int, int]:
    """Return the unpacked and the packed size of a ZIP64 field."""
    for kind, data in _extras(extra):
        if kind == _ZIP64:
            size, packed = struct.unpack_from("<QQ", data)
            return size, packed
    raise BadZipFile("an entry has no sizes")


def _extras(extra: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at + 4 <= len(extra):
        kind, size = struct.unpack_from("<HH", extra, at)
        yield kind, extra[at + 4 : at + 4 + size]
        at += 4 + size
