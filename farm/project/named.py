"""The files that manifests name: they are needed, whether git ignores them or not.

References: doc.rust-lang.org/cargo/reference/manifest.html and cargo-targets.html; maturin 1.16,
src/metadata.rs.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from farm.project.crates import Crate
from farm.project.globs import is_literal, matches
from farm.project.inspect import Project
from farm.project.packed import Packing
from farm.project.toml import Table

_LISTS = ("bin", "example", "test", "bench")
_USUAL = ("build.rs", "src/lib.rs", "src/main.rs")
_TERMS = ("LICEN[CS]E*", "COPYING*", "NOTICE*", "AUTHORS*")
_READMES = ("README.md", "README.txt", "README.rst", "README")


@dataclass(frozen=True, kw_only=True)
class Named:
    """One file that a manifest names."""

    path: Path
    by: str
    """Where it is named."""
    packed: bool
    """True when maturin packs it, or reads it for the wheel's metadata."""
    pattern: str = ""
    """What names it, below `place`; empty for the whole content of a directory."""

    @property
    def literally(self) -> bool:
        """True when the name is written out, or at least its leading dot."""
        written = self.pattern.rpartition("/")[2]
        return bool(written) and (is_literal(self.pattern) or written.startswith("."))


def files(project: Project, packing: Packing, skip: Callable[[Path], bool]) -> Iterator[Named]:
    """Yield what the manifests of `project` name and is there; wildcards enter nothing of `skip`.

    A link counts, wherever it leads.
    """
    for found in (*_included(project, packing, skip), *_terms(project, packing, skip)):
        if os.path.lexists(found.path) and not found.path.is_dir():
            yield found
    for path in packing.data_files(skip):
        yield Named(path=path, by="[tool.maturin] data", packed=True)
    for crate in project.crates:
        for path in _of_cargo(crate):
            if os.path.lexists(path) and not path.is_dir():
                yield Named(path=path, by="Cargo.toml", packed=False, pattern=path.name)


def _included(project: Project, packing: Packing, skip: Callable[[Path], bool]) -> Iterator[Named]:
    for pattern in project.pyproject.maturin.include:
        found = list(matches(project.root, pattern, skip))
        if not found and packing.python != project.root:
            found = list(matches(packing.python, pattern, skip))
        for path in found:
            yield Named(path=path, by="[tool.maturin] include", packed=True, pattern=pattern)


def _terms(project: Project, packing: Packing, skip: Callable[[Path], bool]) -> Iterator[Named]:
    root, pyproject = project.root, project.pyproject
    patterns = _TERMS if pyproject.license_files is None else pyproject.license_files
    for pattern in patterns:
        for path in matches(root, pattern, skip):
            yield Named(path=path, by="license-files", packed=True, pattern=pattern)
    for name in pyproject.elsewhere:
        yield Named(path=_joined(root, name), by="pyproject.toml", packed=True, pattern=name)
    place = project.crate.directory
    names = [_inherited(project.crate, "license-file"), _inherited(project.crate, "readme")]
    usual = [place / name for name in _READMES]
    stub = root / f"{packing.module}.pyi"
    for path in (*filter(None, names), *usual, stub):
        yield Named(path=path, by="Cargo.toml", packed=True, pattern=path.name)


def _inherited(crate: Crate, key: str) -> Path | None:
    """Return the file that `package.<key>` names, relative to the manifest that says so."""
    value = crate.table.table("package").data.get(key)
    if isinstance(value, str):
        return _joined(crate.directory, value)
    name = crate.inherited(key) if isinstance(value, dict) else None
    return _joined(crate.workspace_root, name) if name is not None else None


def _of_cargo(crate: Crate) -> Iterator[Path]:
    """Yield the sources that cargo looks for by name, there or not."""
    package = crate.table.table("package").data
    named = [package.get("build"), package.get("license-file"), package.get("readme")]
    named.append(crate.table.table("lib").data.get("path"))
    for key in _LISTS:
        named += [table.data.get("path") for table in _tables(crate.table, key)]
    for name in (*_USUAL, *named):
        if isinstance(name, str) and "\0" not in name:
            yield _joined(crate.directory, name)


def _tables(table: Table, key: str) -> tuple[Table, ...]:
    return table.tables(key) if key in table else ()


def _joined(directory: Path, name: str) -> Path:
    return Path(os.path.normpath(directory / name))
