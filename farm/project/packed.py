"""What maturin packs besides what it compiles, by its own rules.

Source: maturin 1.16, src/project_layout.rs and src/module_writer/mod.rs. It packs what is on the
disk: of a project whose directory is a git top level without what a .gitignore there or below
names, of any other all.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from farm.project.inspect import Project

_NATIVE = (".so", ".pyd", ".dll", ".dylib", ".pdb", ".dwp")


@dataclass(frozen=True, kw_only=True)
class Packing:
    """Where what maturin packs lies, links resolved."""

    python: Path
    """The directory that Python's packages lie in."""
    packages: tuple[Path, ...]
    """Those packages that are there."""
    data: Path | None
    module: str
    """The name of the extension module, without packages."""

    def holds(self, path: Path) -> bool:
        """Tell whether maturin comes by `path` as it walks packages and data."""
        return str(path).startswith(self._prefixes)

    @cached_property
    def _prefixes(self) -> tuple[str, ...]:
        places = (*self.packages, *((self.data,) if self.data else ()))
        return tuple(f"{place}/" for place in places)

    def drops(self, path: Path) -> bool:
        """Tell whether maturin takes `path` for what `maturin develop` left there."""
        ours = path.name.startswith((self.module, f"lib{self.module}"))
        return ours and path.name.endswith(_NATIVE)

    def package_files(self, skip: Callable[[Path], bool]) -> Iterator[Path]:
        """Yield the files and links of the packages, and each directory of `skip` itself."""
        for package in self.packages:
            yield from _walk(package, skip)

    def data_files(self, skip: Callable[[Path], bool]) -> Iterator[Path]:
        """Yield what `package_files` does, of the data."""
        if self.data is not None:
            yield from _walk(self.data, skip)


def packing(project: Project) -> Packing:
    """Return where the Python and the data of `project` lie."""
    maturin = project.pyproject.maturin
    library = project.crate.table.table("lib").text("name")
    name = maturin.module_name or library or project.pyproject.name or project.crate.name
    parts = name.split(".")
    python = _python(project)
    packages = {python / part for part in (parts[0], *maturin.python_packages) if part}
    data = Path(os.path.normpath(project.root / (maturin.data or f"{name}.data")))
    return Packing(
        python=python,
        packages=tuple(sorted(p for p in packages if _is_package(p, project.root))),
        data=data if data.is_dir() else None,
        module=parts[-1],
    )


def _python(project: Project) -> Path:
    named, root = project.pyproject.maturin.python_source, project.root
    if named is not None and "\0" not in named:
        return (root / named).resolve()
    package = (project.pyproject.name or "").replace("-", "_")
    packages = filter(None, (package, *project.pyproject.maturin.python_packages))
    python_first = (root / "rust" / "Cargo.toml").is_file() and any(
        (root / "src" / name / "__init__.py").is_file() for name in packages
    )
    return root / "src" if python_first else root


def _is_package(path: Path, root: Path) -> bool:
    """Tell whether maturin walks `path`, which takes a directory below `root` and no link to it.

    What has the crate's name and holds a crate is no package.
    """
    if not path.is_dir() or not path.is_relative_to(root) or path.resolve() != path:
        return False
    return (path / "__init__.py").is_file() or not (path / "Cargo.toml").is_file()


def _walk(directory: Path, skip: Callable[[Path], bool]) -> Iterator[Path]:
    todo = [directory]
    while todo:
        with os.scandir(todo.pop()) as entries:
            for entry in entries:
                path = Path(entry.path)
                if entry.is_symlink() or not entry.is_dir() or skip(path):
                    yield path
                else:
                    todo.append(path)
