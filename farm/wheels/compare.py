"""Tells in what two wheels differ that ought to be one: member by member."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator, Mapping
from itertools import zip_longest
from pathlib import Path
from zipfile import ZIP_STORED, ZipFile, ZipInfo

from farm.model.verdict import Difference
from farm.wheels import entries
from farm.wheels.archive import ZIP_FAULTS
from farm.wheels.errors import is_bug, summary

_OF_CONTENT = ("file", "content")
_NOT_THERE = "not there"
_Members = Mapping[str, Mapping[str, str]]


def differences(wheel: Path, rebuilt: Path) -> tuple[Difference, ...]:
    """Return what differs between two files; none exactly when they have the same bytes.

    Neither needs to be a sound wheel, or an archive at all. Of those that are, the members are
    compared: what they hold, which comes first, and what the archive says of them.
    """
    offset = _first_difference(wheel, rebuilt)
    if offset is None:
        return ()
    one, one_fault = _members(wheel)
    two, two_fault = _members(rebuilt)
    if one_fault or two_fault:
        sound = "can be read"
        return (_of_all("archive", one_fault or sound, two_fault or sound),)
    found = tuple(sorted(_of_members(one, two), key=lambda each: each.what not in _OF_CONTENT))
    if not found and list(one) != list(two):
        found = (_of_all("order of the members", ", ".join(one), ", ".join(two)),)
    if not found:
        sizes = [f"{path.stat().st_size} bytes" for path in (wheel, rebuilt)]
        found = (_of_all(f"what is beside the members, from byte {offset}", *sizes),)
    return found


def _of_members(one: _Members, two: _Members) -> Iterator[Difference]:
    for name in dict.fromkeys((*one, *two)):
        if name not in one or name not in two:
            there = [each[name]["content"] if name in each else _NOT_THERE for each in (one, two)]
            yield Difference(member=name, what="file", wheel=there[0], rebuilt=there[1])
            continue
        for what, value in one[name].items():
            if value != two[name][what]:
                yield Difference(member=name, what=what, wheel=value, rebuilt=two[name][what])
                if what == "content":  # and so the rest follows
                    break


def _of_all(what: str, wheel: str, rebuilt: str) -> Difference:
    return Difference(member="", what=what, wheel=wheel, rebuilt=rebuilt)


def _members(path: Path) -> tuple[_Members, str]:
    """Return what the archive holds, by path in its order, or else why it can't be read."""
    try:
        with ZipFile(path) as archive:
            if faults := list(entries.faults(archive, path.stat().st_size)):
                return {}, summary(faults)
            return {entry.filename: _facts(archive, entry) for entry in archive.infolist()}, ""
    except ZIP_FAULTS as error:
        if is_bug(error):
            raise
        return {}, f"can't be read as a zip file ({type(error).__name__}: {error})"


def _facts(archive: ZipFile, entry: ZipInfo) -> dict[str, str]:
    """Return what can differ of a member, in words, that which explains most first."""
    packing = "stored" if entry.compress_type == ZIP_STORED else "deflated"
    return {
        "content": f"{entry.file_size} bytes, sha256 {_sha256(archive, entry)}",
        "time": "{:04}-{:02}-{:02} {:02}:{:02}:{:02}".format(*entry.date_time),
        "mode": f"{entry.external_attr >> 16:o}",
        "packing": f"{packing}, {entry.compress_size} bytes",
    }


def _sha256(archive: ZipFile, entry: ZipInfo) -> str:
    found = hashlib.sha256()
    with archive.open(entry) as stream:
        while block := stream.read(shutil.COPY_BUFSIZE):  # type: ignore[attr-defined]
            found.update(block)
    return found.hexdigest()


def _first_difference(one: Path, two: Path) -> int | None:
    """Return the offset of the first byte that differs, None where there is none."""
    offset = 0
    with one.open("rb") as first, two.open("rb") as second:
        while True:
            blocks = first.read(1 << 20), second.read(1 << 20)
            if blocks[0] != blocks[1]:
                pairs = enumerate(zip_longest(*blocks))
                return offset + next(at for at, (a, b) in pairs if a != b)
            if not blocks[0]:
                return None
            offset += len(blocks[0])
