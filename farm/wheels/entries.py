"""Says what makes a zip file unsafe to unpack, whoever wrote it.

The rules are those of installers and indexes. A wheel that breaks one is refused even where
`zipfile` would cope, as another reader of the same bytes may see another wheel in them.
"""

from __future__ import annotations

import stat
import unicodedata
from collections import Counter
from collections.abc import Iterator
from pathlib import PurePosixPath
from zipfile import ZIP_DEFLATED, ZIP_STORED, ZipFile, ZipInfo

from farm.wheels import layout

MAX_ENTRIES = 50_000
MAX_UNPACKED = 4 << 30
"""Bytes, all files together."""
MAX_RATIO = 200
"""Unpacked by packed size. Shared libraries come to 5, text to 20, a bomb to 1,000."""
MAX_NAME = 255
"""Bytes of one part of a path, as file systems have it."""
MAX_PATH = 1_024
"""Bytes of a whole path; below a temporary directory it still has to be one."""

_ENCRYPTED = 0x1
_UTF8 = 0x800
_HIDDEN = frozenset({"Cc", "Cs", "Zl", "Zp"})
"""Categories of characters that end lines or steer a terminal."""
_TURNS = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
"""Characters that turn the direction of writing: a name looks like another one."""
_FILE_KINDS = (0, stat.S_IFREG, stat.S_IFDIR)
"""Zero: an archiver that writes no Unix mode."""


def faults(archive: ZipFile, size: int) -> Iterator[str]:
    """Say what makes the archive unsafe to read on."""
    entries = archive.infolist()
    if not entries:
        yield f"is an empty zip file of {size} bytes, as a failed repair leaves it"
        return
    if len(entries) > MAX_ENTRIES:
        yield f"has {len(entries)} entries, more than {MAX_ENTRIES}"
        return
    packed = sum(e.compress_size for e in entries)
    unpacked = sum(e.file_size for e in entries)
    if packed > size:
        yield f"claims {packed} packed bytes in a file of {size}: entries overlap"
    if unpacked > MAX_UNPACKED or unpacked > MAX_RATIO * size:
        yield (
            f"unpacks to {unpacked} bytes from {size}"
            f" (allowed: {MAX_RATIO} times as many, at most {MAX_UNPACKED})"
        )
    if first := min(e.header_offset for e in entries):
        yield f"begins with {first} bytes that belong to no entry"
    for entry in entries:
        yield from _entry_faults(entry)
    yield from _clashes(entries)
    yield from layout.faults(archive, size)


def _entry_faults(entry: ZipInfo) -> Iterator[str]:
    name = entry.orig_filename
    if fault := _name_fault(name):
        yield f"entry {name!r} {fault}"
    if not name.isascii() and not entry.flag_bits & _UTF8:
        yield f"entry {name!r} has a name that is neither ASCII nor marked as UTF-8"
    mode = entry.external_attr >> 16
    if stat.S_IFMT(mode) not in _FILE_KINDS:
        yield f"entry {name!r} is neither a file nor a directory (mode {stat.filemode(mode)})"
    if entry.flag_bits & _ENCRYPTED:
        yield f"entry {name!r} is encrypted"
    if entry.compress_type not in (ZIP_STORED, ZIP_DEFLATED):
        yield (
            f"entry {name!r} is compressed with method {entry.compress_type};"
            " installers read stored and deflated ones only"
        )
    if _is_directory(entry) and entry.file_size:
        yield f"directory entry {name!r} has contents"


def _name_fault(name: str) -> str:
    """Return what is wrong with an entry's name, or an empty string."""
    if "\\" in name:
        return "has a backslash in its name"
    if any(unicodedata.category(c) in _HIDDEN or c in _TURNS for c in name):
        return "has a control character in its name"
    if name.startswith("/") or name[1:2] == ":":
        return "has an absolute path"
    return _path_fault(name.removesuffix("/").split("/"))


def _path_fault(parts: list[str]) -> str:
    if ".." in parts:
        return "leads out of the wheel"
    if "." in parts or "" in parts:
        return "has an empty part in its path"
    sizes = [len(part.encode()) for part in parts]
    if sum(sizes) + len(parts) > MAX_PATH or max(sizes) > MAX_NAME:
        return f"has a path of more than {MAX_PATH} bytes, or {MAX_NAME} in a part"
    return ""


def _is_directory(entry: ZipInfo) -> bool:
    return entry.filename.endswith("/")  # ZipInfo.is_dir fails on an empty name


def _clashes(entries: list[ZipInfo]) -> Iterator[str]:
    """Say which names are there twice.

    Names that differ in case only are two files, as on the systems that the wheel is for; two
    spellings of the same characters are one, as nobody could tell them apart.
    """
    spelled = Counter(unicodedata.normalize("NFC", n) for n in {e.filename for e in entries})
    yield from (f"entry {n!r} is there in {c} spellings" for n, c in spelled.items() if c > 1)
    counted = Counter(e.filename for e in entries)
    yield from (f"entry {n!r} is there {times} times" for n, times in counted.items() if times > 1)
    files = {e.filename for e in entries if not _is_directory(e)}
    above = {str(p) for f in files for p in PurePosixPath(f).parents}
    both = files & (above | {e.filename.rstrip("/") for e in entries if _is_directory(e)})
    yield from (f"entry {name!r} is a file and a directory" for name in sorted(both))
