"""Files on the disk by pattern, as the Rust crate `glob` finds them, which maturin and cargo use.

`*`, `?` and `[…]` stay within one part of a path, and take a leading dot for any character; `**`
stands for any directories, and at the end for directories only, so for no file at all. Links are
followed.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from fnmatch import fnmatchcase
from pathlib import Path

_MAGIC = frozenset("*?[")


def is_literal(pattern: str) -> bool:
    """Tell whether `pattern` names one path, without any wildcard."""
    return _MAGIC.isdisjoint(pattern)


def matches(place: Path, pattern: str, skip: Callable[[Path], bool]) -> Iterator[Path]:
    """Yield the files and the links that lead nowhere below `place` that `pattern` matches.

    No wildcard leads into a directory for which `skip` is true, or back up by a link. What maturin
    refuses, an absolute path or one with `..`, matches nothing. A directory that can't be read has
    no files.
    """
    parts = pattern.split("/")
    if {"", ".", ".."}.isdisjoint(parts) and "\0" not in pattern:
        yield from dict.fromkeys(_below(place, parts, skip))


def _below(directory: Path, parts: list[str], skip: Callable[[Path], bool]) -> Iterator[Path]:
    head, rest = parts[0], parts[1:]
    if head == "**":
        if rest:
            yield from _below(directory, rest, skip)
            for entry in _entries(directory):
                if _enters(entry, skip):
                    yield from _below(entry, parts, skip)
        return
    literal = is_literal(head)
    found = [directory / head] if literal else _entries(directory)
    for path in found:
        if not literal and not fnmatchcase(path.name, head):
            continue
        if not rest:
            if os.path.lexists(path) and not path.is_dir():
                yield path
        elif path.is_dir() if literal else _enters(path, skip):
            yield from _below(path, rest, skip)


def _entries(directory: Path) -> list[Path]:
    try:
        return sorted(directory.iterdir())
    except PermissionError:
        return []


def _enters(path: Path, skip: Callable[[Path], bool]) -> bool:
    if not path.is_dir() or skip(path):
        return False
    return not path.is_symlink() or not path.parent.resolve().is_relative_to(path.resolve())
