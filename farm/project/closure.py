"""The files of a project without git's help: walking its directories and what they depend on."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from pathspec import GitIgnoreSpec

from farm.project.cargo_config import local_directories
from farm.project.crates import MANIFEST
from farm.project.inspect import Project

_MADE = frozenset(
    {
        ".cache",
        ".eggs",
        ".farm",
        ".git",
        ".hg",
        ".hypothesis",
        ".mypy_cache",
        ".nox",
        ".pytest_cache",
        ".ruff_cache",
        ".svn",
        ".tox",
        "__pycache__",
        "node_modules",
    }
)
"""Directories that tools make, wherever they lie."""
_CACHE_TAG = "CACHEDIR.TAG"
"""What marks a directory as a cache (bford.info/cachedir); cargo puts it into its target."""
_ENVIRONMENT = "pyvenv.cfg"
_DEVELOP_BUILDS = GitIgnoreSpec.from_lines(
    ("*.abi3.so", "*.abi3t.so", "*.cpython-*.so", "*.pypy*-*.so", "*.pyd", "*.pyc", ".DS_Store")
)
"""What `maturin develop` and Python leave among the sources; maturin would pack it."""
_TERMS = ("LICEN[CS]E*", "COPYING*", "NOTICE*", "README*", "rust-toolchain*")
_CONFIG = (".cargo/config.toml", ".cargo/config")


class Pruner:
    """Which directories are never source, for one project."""

    def __init__(self, project: Project) -> None:
        self._root = project.root
        outputs = [project.root / "dist"]
        outputs += [d / "target" for d in (project.root, *project.directories)]
        self._outputs = frozenset(outputs)
        self._vendored = vendored(project)
        self._known: dict[Path, bool] = {}
        self._below: dict[Path, bool] = {}

    def always(self, path: Path) -> bool:
        """Tell whether the file `path` lies where only builds write, tracked or not."""
        directory = path.parent
        if directory not in self._below:
            around = (directory, *directory.parents)
            self._below[directory] = any(p in self._outputs or p.name == ".farm" for p in around)
        return self._below[directory]

    def untracked(self, path: Path, top: Path) -> bool:
        """Tell whether the file `path` below `top` lies in a directory that a tool made."""
        for parent in path.parents:
            if parent == top:
                return False
            if self.directory(parent):
                return True
        return False

    def made(self, path: Path, top: Path | None) -> bool:
        """Tell whether the ignored file `path`, perhaps below `top`, is what builds or tools made.

        Above `top`, or else the project's directory, no names are looked at.
        """
        around = next((p for p in (top, self._root) if p and path.is_relative_to(p)), path.parent)
        return self.always(path) or self.file(path) or self.untracked(path, around)

    def file(self, path: Path) -> bool:
        """Tell whether the untracked file `path` was made by a build."""
        return _DEVELOP_BUILDS.match_file(path.name) and not self._is_vendored(path)

    def _is_vendored(self, path: Path) -> bool:
        """Tell whether cargo knows `path` by its checksum: then all of it must be there."""
        return any(path.is_relative_to(directory) for directory in self._vendored)

    def directory(self, path: Path) -> bool:
        """Tell whether the directory `path` was made by a build or a tool."""
        if path not in self._known:
            self._known[path] = not self._is_vendored(path) and (
                path in self._outputs
                or path.name in _MADE
                or (path / _ENVIRONMENT).is_file()
                or (path / _CACHE_TAG).is_file()
                or (path.name == "target" and (path.parent / MANIFEST).is_file())
            )
        return self._known[path]


def files(project: Project) -> Iterator[Path]:
    """Yield the files of the project's directory and of every crate that it reaches by path.

    Beside them go what pyproject.toml names elsewhere, vendored crates, and the terms, readme
    and configuration that lie at the workspace root.
    """
    yield from _walks(project, _roots(project))
    place = project.crate.workspace_root
    for pattern in (*_TERMS, *_CONFIG):
        yield from (p for p in place.glob(pattern) if p.is_file())


def files_beside(project: Project, listed: set[Path]) -> Iterator[Path]:
    """Yield the files of what the project needs and of which nothing is among `listed`.

    That is a crate outside of the git work tree, or one that git ignores.
    """
    directories = {path.parent for path in listed}
    covered = listed.union(directories, *(directory.parents for directory in directories))
    yield from _walks(project, [root for root in _roots(project) if root not in covered])


def vendored(project: Project) -> tuple[Path, ...]:
    """Return the directories that the project's cargo configuration takes crates from."""
    highest = Path(os.path.commonpath((project.root, project.crate.workspace_root)))
    found = local_directories(highest, project.root)
    return tuple(place for place in found if not project.root.is_relative_to(place))


def _roots(project: Project) -> list[Path]:
    """Return the directories and files to walk, links resolved."""
    workspace = project.crate.workspace
    roots = [project.root, *vendored(project)]
    # A workspace root without a crate of its own holds other projects beside this one.
    roots += [
        d for d in project.directories if d != workspace.file.parent or "package" in workspace
    ]
    named = [project.root / name for name in project.pyproject.elsewhere]
    # One around the project would bring in what has nothing to do with it.
    roots += [p for p in named if not project.root.is_relative_to(p.resolve())]
    return sorted({root.resolve() for root in roots if root.exists()})


def _walks(project: Project, roots: list[Path]) -> Iterator[Path]:
    pruner = Pruner(project)
    seen: set[Path] = set()
    for root in roots:
        if root.is_dir():
            yield from _walk(root, pruner, seen)
        else:
            yield root


def _walk(root: Path, pruner: Pruner, seen: set[Path]) -> Iterator[Path]:
    todo = [root]
    while todo:
        directory = todo.pop()
        if directory in seen:
            continue
        seen.add(directory)
        with os.scandir(directory) as entries:
            for entry in entries:
                path = Path(entry.path)
                if not entry.is_dir(follow_symlinks=False):
                    if not pruner.file(path):
                        yield path
                elif not pruner.directory(path):
                    todo.append(path)
