"""Files that Rust sources read as they are compiled, and that are not sent.

What is read is told by `include_str!` and the like, by `#[path]` and by the names of modules, so
far as these are written out. This only warns: the code may be under a `cfg` that is off.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from farm.project.additions import Tree, shown
from farm.project.rust_text import read_rust

# What is open-ended is bounded: a text could take time by the square else.
_STRING = r'(?:r(?P<{0}h>\#{{0,9}})"(?P<{0}r>.{{1,999}}?)"(?P={0}h)|"(?P<{0}s>[^"\\]{{1,999}})")'
_MANIFEST = r'env!\s{0,99}\(\s{0,99}"CARGO_MANIFEST_DIR"\s{0,99},?\s{0,99}\)'
_MACRO = re.compile(
    r"include(?P<directory>_dir)?(?:_[a-z_]{1,30})?\s{0,99}!\s{0,99}[(\[{]\s{0,99}(?:"
    + _STRING.format("a")
    + r"|concat!\s{0,99}[(\[{]\s{0,99}(?P<base>"
    + _MANIFEST
    + r"\s{0,99},\s{0,99})?"
    + _STRING.format("b")
    + r"\s{0,99},?\s{0,99}[)\]}])\s{0,99},?\s{0,99}[)\]}]",
    re.DOTALL,
)
_ATTRIBUTE = re.compile(
    r"#\s{0,99}\[\s{0,99}(?:path|(?P<folder>folder))\s{0,99}=\s{0,99}"
    + _STRING.format("a")
    + r"\s{0,99}\]",
    re.DOTALL,
)
_SIGNS = ((b"include", _MACRO), (b"#[path", _ATTRIBUTE), (b"#[folder", _ATTRIBUTE))
"""What a source has at least that holds any of these."""
_VARIABLE = "$CARGO_MANIFEST_DIR/"


@dataclass(frozen=True, kw_only=True)
class Read:
    """One path that a source names."""

    written: str
    of_crate: bool
    """True when it is below the crate's directory, and not the source's."""


@dataclass(frozen=True, kw_only=True)
class Scan:
    """How paths are judged."""

    root: Path
    crates: Sequence[Path]
    """The directories of the project's own crates."""
    sent: Sequence[Path]
    is_made: Callable[[Path], bool]
    excluded: Callable[[Path], bool]

    def absent(self, path: Path) -> bool:
        """Tell whether `path` is there and nothing of it is sent, though the user left it in."""
        if path in self._sent or not path.exists() or self.excluded(path):
            return False
        real = Path(os.path.realpath(path))
        if real.is_dir():
            return not any(sent.is_relative_to(real) for sent in self.sent)
        return real not in self._sent

    @cached_property
    def _sent(self) -> frozenset[Path]:
        return frozenset(self.sent)


def reads(data: bytes) -> tuple[Read, ...]:
    """Return the paths that the Rust source `data` names, also those in its comments."""
    forms = dict.fromkeys(form for sign, form in _SIGNS if sign in data)
    if not forms:
        return ()
    return _reads(data.decode(errors="replace"), forms)


def _reads(text: str, forms: Iterable[re.Pattern[str]]) -> tuple[Read, ...]:
    return tuple(_read(found) for form in forms for found in form.finditer(text))


def _read(found: re.Match[str]) -> Read:
    groups = found.groupdict()
    written = next(filter(None, (groups.get(key) for key in ("ar", "as", "br", "bs"))))
    of_crate = any(groups.get(key) for key in ("base", "directory", "folder"))
    if of_crate:
        written = written.removeprefix(_VARIABLE).lstrip("/")
    return Read(written=written, of_crate=of_crate)


def _modules(tree: Tree, crates: Sequence[Path]) -> list[Path]:
    """Return the modules among the sources of `crates` that git ignores."""
    sources = tuple(f"{crate}/src/" for crate in crates)
    found = [
        path if path.suffix == ".rs" else path / "mod.rs"
        for path in tree.ignored
        if str(path).startswith(sources)
    ]
    return [path for path in found if path.is_file()]


def warnings(
    scan: Scan, sources: Iterable[tuple[Path, tuple[Read, ...]]], tree: Tree
) -> Iterator[str]:
    """Yield a line for each path that one of `sources` reads and that is not sent.

    So for the modules among the sources that git ignores.
    """
    told: set[Path] = set()
    for file, names in sources:
        for path in _paths(file, names, scan.crates):
            if path not in told and scan.absent(path) and path in _in_code(file, scan.crates):
                told.add(path)
                yield _line(scan, f"{shown(file, scan.root)} reads {shown(path, scan.root)}", path)
    for path in _modules(tree, scan.crates):
        if path not in told and not scan.is_made(path) and scan.absent(path):
            yield _line(scan, f"git ignores {shown(path, scan.root)}", path)


def _in_code(file: Path, crates: Sequence[Path]) -> list[Path]:
    """Return the paths that `file` names outside of comments."""
    text = read_rust(file.read_text(errors="replace")).code
    return list(_paths(file, _reads(text, (_MACRO, _ATTRIBUTE)), crates))


def _paths(file: Path, names: Iterable[Read], crates: Sequence[Path]) -> Iterator[Path]:
    around = [crate for crate in crates if file.is_relative_to(crate)]
    if not around:
        return  # not the project's own
    crate = max(around, key=lambda directory: len(directory.parts))
    for name in names:
        if "\0" not in name.written:
            place = crate if name.of_crate else file.parent
            yield Path(os.path.normpath(place / name.written))


def _line(scan: Scan, what: str, path: Path) -> str:
    if not path.is_relative_to(scan.root):
        return f"{what}, which lies out of {scan.root} and is not sent: move it there"
    if scan.is_made(path):
        return f"{what}, which builds and tools make, and is not sent: keep it elsewhere"
    return (
        f"{what}, which is not sent: if the build needs it,"
        " name it in source.include in [tool.farm]"
    )
