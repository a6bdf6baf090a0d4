"""Checks a wheel's RECORD: every file is in it, nothing else is, and every hash is right."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import BinaryIO, cast
from zipfile import ZipFile, ZipInfo

from installer.records import InvalidRecordEntry, RecordEntry, parse_record_file

ALGORITHMS = ("sha256", "sha384", "sha512")
"""The specification wants sha256 or better, and rules out md5 and sha1 by name."""
SIGNATURES = ("RECORD.jws", "RECORD.p7s")
"""Files that sign RECORD and so cannot be in it."""
HEAD = 4
"""Bytes that tell what kind of file it is."""


def verify(
    archive: ZipFile, entries: Sequence[ZipInfo], home: str, text: bytes
) -> tuple[dict[str, bytes], list[str]]:
    """Verify `entries` (the files of `archive`) against the RECORD whose bytes are `text`.

    `home` is the `.dist-info` directory. Returns the first bytes of each file, and the
    faults. Raises what `zipfile` raises on bad data.
    """
    try:
        rows = list(parse_record_file(text.decode().splitlines()))
    except (InvalidRecordEntry, csv.Error, UnicodeDecodeError) as error:
        return {}, [f"RECORD cannot be read: {error}"]
    faults = list(_name_faults(rows, entries, home))
    by_name = {row[0]: row for row in rows}
    heads: dict[str, bytes] = {}
    for entry in entries:
        with archive.open(entry) as stream:
            heads[entry.filename] = stream.read(HEAD)
        if entry.filename in by_name and entry.filename != f"{home}/RECORD":
            faults.extend(_content_faults(archive, entry, by_name[entry.filename]))
    return heads, faults


def _name_faults(
    rows: Sequence[tuple[str, str, str]], entries: Sequence[ZipInfo], home: str
) -> Iterator[str]:
    listed = Counter(row[0] for row in rows)
    there = {entry.filename for entry in entries}
    unlisted = {f"{home}/{name}" for name in SIGNATURES}
    yield from (f"RECORD lists {n} {times} times" for n, times in listed.items() if times > 1)
    yield from (f"RECORD lists {name}, which is not there" for name in listed.keys() - there)
    missing = there - listed.keys() - unlisted
    yield from (f"{name} is not in RECORD" for name in sorted(missing))


def _content_faults(archive: ZipFile, entry: ZipInfo, row: tuple[str, str, str]) -> Iterator[str]:
    name = entry.filename
    try:
        expected = RecordEntry.from_elements(*row)
    except InvalidRecordEntry as error:
        yield f"RECORD is wrong about {name}: {error}"
        return
    if expected.hash_ is None or expected.size is None:
        yield f"RECORD has no hash or no size for {name}"
    elif expected.hash_.name not in ALGORITHMS:
        yield f"RECORD hashes {name} with {expected.hash_.name}, which is too weak"
    else:
        with archive.open(entry) as stream:
            if not expected.validate_stream(cast("BinaryIO", stream)):
                yield f"{name} is not what RECORD says: hash or size differ"
