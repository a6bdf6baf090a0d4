"""What is sent besides what git lists: files that manifests name, that maturin packs, or by hand.

What builds and tools make never is, whatever names it. Nor is what git ignores and whose name
begins with a dot, unless that name is written out: such files hold secrets more often than code.
Where a wheel differs for that from the one that maturin makes in the same tree, a line says so.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from pathspec import GitIgnoreSpec

from farm.model.errors import UsageError
from farm.project import git, named
from farm.project.closure import Pruner
from farm.project.inspect import Project
from farm.project.packed import Packing

_SHOWN = 5
"""Files that one line names."""
_MOST_LINKS = 40
"""As many as the kernel follows."""
_SILENT = frozenset({"__pycache__", ".DS_Store"})
_RULES = ".ignore"
"""Its patterns count for maturin with and without git."""
_MADE = "builds and tools make such files"
_HIDDEN = (
    "git ignores it and its name begins with a dot: name it in source.include in [tool.farm] if"
    " it is no secret and the wheel needs it"
)


@dataclass(frozen=True, kw_only=True)
class Tree:
    """What git, or without it the closure of path dependencies, says of a project's files."""

    files: frozenset[Path]
    top: Path | None
    """The git top level, None where git was not asked."""
    ignored: tuple[Path, ...] = ()
    """Files that git ignores, and directories of which it ignores all."""


@dataclass(kw_only=True)
class Additions:
    """What goes in as well."""

    files: set[Path] = field(default_factory=set)
    packed: set[Path] = field(default_factory=set)
    """What maturin packs of these and of the tree, beyond its packages."""
    lines: list[str] = field(default_factory=list)


class _Chooser:
    """Collects additions, and what is left out with its reason."""

    def __init__(self, project: Project, tree: Tree, excluded: Callable[[Path], bool]) -> None:
        self.project, self.tree, self.excluded = project, tree, excluded
        self.pruner = Pruner(project)
        self.found = Additions()
        self.included: set[Path] = set()
        """What manifests name, by that very path, for the wheel."""

    def made(self, path: Path) -> bool:
        """Tell whether a build or a tool made the file `path` or a directory that it lies in."""
        return self.pruner.made(path, self.tree.top)

    def hidden(self, path: Path) -> bool:
        """Tell whether a part of `path` below the project begins with a dot."""
        below = os.path.relpath(path, self.project.root).split("/")
        return any(part.startswith(".") and part != ".." for part in below)

    def tell(self, what: str, paths: Iterable[Path], why: str) -> None:
        """Say `what` of `paths`, if any."""
        names = [shown(path, self.project.root) for path in sorted(set(paths))]
        if names:
            more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
            self.found.lines.append(f"{what} {', '.join(names[:_SHOWN])}{more}: {why}")


def shown(path: Path, root: Path) -> str:
    """Return `path` below `root` as text that can be printed, whatever bytes it has."""
    text = os.path.relpath(path, root)
    return os.fsencode(text).decode(errors="backslashreplace")


def find(
    project: Project,
    packing: Packing,
    tree: Tree,
    *,
    include: Iterable[str],
    excluded: Callable[[Path], bool],
) -> Additions:
    """Return what goes in of `project` besides the files of `tree`.

    `include` is the setting; what `excluded` is true for is not looked at. Raises UsageError where
    it or a manifest holds what is no pattern.
    """
    chooser = _Chooser(project, tree, excluded)
    _by_hand(chooser, include)
    _named(chooser, packing)
    _of_packages(chooser, packing)
    return chooser.found


def _by_hand(chooser: _Chooser, include: Iterable[str]) -> None:
    project, tree = chooser.project, chooser.tree
    spec = _patterns(include, "source.include in [tool.farm]")
    _by_spec(chooser, spec, [project.root, tree.top or project.root], hidden=True)
    for crate in project.crates:
        package = crate.table.table("package")
        if isinstance(package.data.get("include"), list):
            spec = _patterns(package.texts("include"), f"include in {crate.manifest}")
            _by_spec(chooser, spec, [crate.directory], hidden=False)


def _patterns(lines: Iterable[str], where: str) -> GitIgnoreSpec:
    try:
        return GitIgnoreSpec.from_lines(lines)
    except ValueError as error:
        raise UsageError(
            f"{where} holds no pattern: {error}", "Write it as in .gitignore."
        ) from None


def _by_spec(chooser: _Chooser, spec: GitIgnoreSpec, places: list[Path], *, hidden: bool) -> None:
    if not len(spec):
        return
    for path in _ignored_files(chooser, places):
        wanted = any(
            spec.match_file(path.relative_to(place).as_posix())
            for place in places
            if path.is_relative_to(place)
        )
        if wanted and not chooser.excluded(path) and (hidden or not chooser.hidden(path)):
            chooser.found.files |= reached(path, chooser.tree.top)


def _ignored_files(chooser: _Chooser, places: list[Path]) -> Iterator[Path]:
    """Yield what git ignores in `places`, without what builds and tools made."""
    for path in chooser.tree.ignored:
        if chooser.made(path / "x"):
            continue
        if not path.is_dir() or path.is_symlink():
            if not chooser.made(path):
                yield path
        elif any(path.is_relative_to(p) or p.is_relative_to(path) for p in places):
            yield from _walk(path, chooser.pruner)


def _walk(root: Path, pruner: Pruner) -> Iterator[Path]:
    """Yield the files and links below `root`; a directory that can't be read has none."""
    for directory, inner, names in os.walk(root):
        place = Path(directory)
        links = [name for name in inner if (place / name).is_symlink()]
        inner[:] = [n for n in inner if n not in links and not pruner.directory(place / n)]
        yield from (place / n for n in (*names, *links) if not pruner.file(place / n))


def _named(chooser: _Chooser, packing: Packing) -> None:
    made, hidden, found = [], [], chooser.found
    for each in named.files(chooser.project, packing, chooser.pruner.directory):
        path = each.path
        if chooser.excluded(path):
            continue
        way = reached(path, chooser.tree.top)
        missing = way - chooser.tree.files - found.files
        if any(chooser.made(p) for p in missing):
            made += [path] if _matters(path) else []
        elif missing and not each.literally and chooser.hidden(path):
            hidden.append(path)
        else:
            found.files |= missing
            if each.packed:
                found.packed |= {path, *way}
                chooser.included.add(path)
    chooser.tell("left out:", made, f"{_MADE}, though a manifest names it")
    chooser.tell("left out:", hidden, f"a manifest's pattern fits it, but {_HIDDEN}")


def _of_packages(chooser: _Chooser, packing: Packing) -> None:
    """Add what maturin packs of the packages that lie on the disk, ignored or not."""
    found, kept = chooser.found, _unpacked(chooser.project, packing)
    there = set(packing.package_files(chooser.pruner.directory))
    rules = {p for p in (*there, *_rules_above(chooser.project, packing)) if p.name == _RULES}
    found.files |= rules - chooser.tree.files
    sent = chooser.tree.files | found.files
    there -= set(_excluded(there, chooser.project))
    absent = {p for p in there - sent - kept if not packing.drops(p) and not chooser.excluded(p)}
    made = {p for p in absent if chooser.made(p) or p.is_dir()}
    hidden = {p for p in absent - made if chooser.hidden(p)}
    added = absent - made - hidden
    found.files |= added
    chooser.tell("git ignores", added, "maturin packs what lies in a package, so the wheel has it")
    chooser.tell(
        "git ignores",
        {p for p in (there & sent & kept) - chooser.included if not packing.drops(p)},
        "the wheel has it all the same, though maturin in this tree would leave it out",
    )
    chooser.tell(
        "left out of the wheel:", set(filter(_matters, made)), f"{_MADE}, and maturin packs it"
    )
    chooser.tell("left out of the wheel:", hidden, f"maturin packs it, but {_HIDDEN}")


def _rules_above(project: Project, packing: Packing) -> Iterator[Path]:
    """Yield the files beside and above the packages that tell maturin what to pass over."""
    for package in packing.packages:
        for directory in package.parents:
            if directory.is_relative_to(project.root) and (directory / _RULES).is_file():
                yield directory / _RULES


def _excluded(paths: Iterable[Path], project: Project) -> Iterator[Path]:
    """Yield those of `paths` that `[tool.maturin] exclude` keeps out of the wheel."""
    where = f"exclude of [tool.maturin] in {project.pyproject.file}"
    spec = _patterns(project.pyproject.maturin.exclude, where)
    if len(spec):
        for path in paths:
            name = path.relative_to(project.root).as_posix()
            if spec.match_file(f"{name}/x" if path.is_dir() else name):
                yield path


def _matters(path: Path) -> bool:
    """Tell whether anyone might miss `path`, which a build or a tool made, in a wheel."""
    return not (
        path.name in _SILENT or path.suffix == ".pyc" or (path.is_symlink() and path.is_dir())
    )


def _unpacked(project: Project, packing: Packing) -> set[Path]:
    """Return what of the packages maturin leaves out since a .gitignore names it."""
    if not packing.packages or not (project.root / ".git").exists():
        return set()
    try:
        found = git.ignored_below(project.root, packing.packages)
    except (git.GitFailedError, FileNotFoundError):
        return set()
    return {project.root / path for path in found}


def reached(path: Path, top: Path | None) -> set[Path]:
    """Return the links on the way to `path`, and what they lead to; below `top` only."""
    links: set[Path] = set()
    for _ in range(_MOST_LINKS):
        link = next((p for p in (*reversed(path.parents), path) if p.is_symlink()), None)
        if link is None:
            break
        links.add(link)
        path = Path(os.path.normpath(link.parent / link.readlink())) / path.relative_to(link)
    if not links:
        return {path}
    return {p for p in (*links, path) if top is None or p.is_relative_to(top)}
