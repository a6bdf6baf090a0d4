"""Cargo manifests and Cargo.lock, read without cargo: crates, workspaces, dependencies.

Reference: doc.rust-lang.org/cargo/reference (manifest, workspaces, specifying dependencies).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from packaging.version import InvalidVersion, Version

from farm.model.errors import UsageError
from farm.project.toml import Table, parse_toml, read_toml

MANIFEST = "Cargo.toml"
LOCK = "Cargo.lock"
INSIST = (
    "Is the project not yours to change? locked = false in [tool.farm] has cargo choose what is "
    "not pinned."
)

Kind = Literal["normal", "build", "dev"]
_KINDS: tuple[tuple[Kind, tuple[str, ...]], ...] = (
    ("normal", ("dependencies",)),
    ("build", ("build-dependencies", "build_dependencies")),
    ("dev", ("dev-dependencies", "dev_dependencies")),
)


@dataclass(frozen=True, kw_only=True)
class Crate:
    """One Cargo.toml with a package in it, and the workspace that governs it."""

    manifest: Path
    table: Table
    workspace: Table
    """The parsed Cargo.toml of the workspace root; the crate's own where there is none."""

    @property
    def directory(self) -> Path:
        """The crate's directory."""
        return self.manifest.parent

    @property
    def workspace_root(self) -> Path:
        """The workspace root's directory: Cargo.lock lies here."""
        return self.workspace.file.parent

    @property
    def name(self) -> str:
        """The package's name."""
        return self.table.table("package").text("name") or ""

    @property
    def features(self) -> Table:
        """The table of features."""
        return self.table.table("features")

    def inherited(self, key: str) -> str | None:
        """Return the text of `package.<key>`, the workspace's where it says so, or None."""
        package = self.table.table("package")
        if isinstance(package.data.get(key), dict):
            return self.workspace.table("workspace").table("package").text(key)
        return package.text(key)


@dataclass(frozen=True, kw_only=True)
class Dependency:
    """One entry of a crate's dependency tables, with what it inherits from the workspace."""

    key: str
    """The name that features use."""
    package: str
    """The crate's real name, which differs from `key` when it is renamed."""
    requirement: str
    kind: Kind
    condition: str
    """The platform condition, empty when there is none."""
    optional: bool
    default_features: bool
    features: tuple[str, ...]
    path: Path | None
    """Directory of a path dependency."""


@dataclass(frozen=True, kw_only=True)
class Locked:
    """One package of Cargo.lock."""

    name: str
    version: Version
    """Without what of SemVer's suffixes PEP 440 can't read."""
    text: str
    """The version as it is written."""
    path: bool
    """True when it has no source: a crate of the tree itself."""
    dependencies: tuple[str, ...]
    """`name`, `name version` or `name version (source)`, as Cargo writes them."""


class Tree:
    """The manifests that one look at the disk needs, each read once."""

    def __init__(self) -> None:
        self._tables: dict[Path, Table] = {}
        self._governed: dict[Path, frozenset[Path]] = {}
        self._crates: dict[Path, Crate] = {}

    def crate(self, manifest: Path) -> Crate:
        """Return the crate of `manifest` with the workspace that governs it.

        Raises UsageError when a file is missing, broken, or no package.
        """
        if manifest not in self._crates:
            table = self._table(manifest)
            if "package" not in table:
                raise UsageError(
                    f"{manifest} is a workspace without a package of its own"
                    if "workspace" in table
                    else f"{manifest} has no [package]",
                    "Set manifest-path in [tool.maturin] to the Cargo.toml of the crate to build.",
                )
            self._crates[manifest] = self._crate(table)
        return self._crates[manifest]

    def crates(self, crate: Crate) -> tuple[Crate, ...]:
        """Return what every crate directory holds that cargo reads for `crate`, by directory.

        These are the crate, its workspace's members and all that they reach by path, followed
        into other workspaces, and the roots of those. Raises UsageError when a manifest is
        broken; one that is missing is left to cargo.
        """
        seen: dict[Path, Crate] = {}
        todo = [crate.directory, crate.workspace_root, *member_directories(crate.workspace)]
        while todo:
            directory = todo.pop()
            manifest = directory / MANIFEST
            if directory in seen or not manifest.is_file():
                continue
            found = seen[directory] = self._crate(self._table(manifest))
            todo += [found.workspace_root, *member_directories(found.workspace)]
            todo += path_dependencies(found)
        return tuple(seen[directory] for directory in sorted(seen))

    def _table(self, manifest: Path) -> Table:
        if manifest not in self._tables:
            self._tables[manifest] = read_toml(
                manifest, "Set manifest-path in [tool.maturin] to the Cargo.toml to build."
            )
        return self._tables[manifest]

    def _crate(self, table: Table) -> Crate:
        return Crate(manifest=table.file, table=table, workspace=self._workspace_of(table))

    def _workspace_of(self, table: Table) -> Table:
        """Return the workspace root's manifest, as `find_workspace_root` of cargo finds it."""
        directory = table.file.parent
        if "workspace" in table:
            return table
        named = table.table("package").text("workspace")
        if named is not None:
            return self._table(Path(os.path.normpath(directory / named / MANIFEST)))
        for parent in directory.parents:
            if not (parent / MANIFEST).is_file():
                continue
            root = self._table(parent / MANIFEST)
            if "workspace" in root and directory in self._governed_by(root):
                return root
        return table

    def _governed_by(self, root: Table) -> frozenset[Path]:
        """Return the directories of the members of `root` and of what they reach by path."""
        if root.file not in self._governed:
            place, workspace = root.file.parent, root.table("workspace")
            seen: set[Path] = set()
            todo = [place, *member_directories(root)]
            while todo:
                directory = todo.pop()
                manifest = directory / MANIFEST
                if directory not in seen and manifest.is_file():
                    seen.add(directory)
                    table = self._table(manifest)
                    todo += path_dependencies(Crate(manifest=manifest, table=table, workspace=root))
            governed = frozenset(d for d in seen if not _excluded(workspace, place, d))
            self._governed[root.file] = governed
        return self._governed[root.file]


def _excluded(workspace: Table, root: Path, directory: Path) -> bool:
    """Tell whether `directory` is excluded, and not a member by its own name either."""

    def under(names: tuple[str, ...]) -> bool:
        return any(directory.is_relative_to(os.path.normpath(root / name)) for name in names)

    return under(workspace.texts("exclude")) and not under(workspace.texts("members"))


def member_directories(root: Table) -> tuple[Path, ...]:
    """Return the directories of the members that the workspace `root` lists, globs expanded."""
    place = root.file.parent
    workspace = root.table("workspace")
    found = [place] if "package" in root else []
    for member in workspace.texts("members"):
        found += _expand(workspace, place, os.path.normpath(member))
    return tuple(d for d in dict.fromkeys(found) if (d / MANIFEST).is_file())


def _expand(workspace: Table, place: Path, member: str) -> Iterator[Path]:
    if not any(mark in member for mark in "*?["):
        yield Path(os.path.normpath(place / member))
        return
    try:
        found = sorted(place.glob(member))
    except (NotImplementedError, ValueError) as error:  # an absolute one; `**` in a word
        raise workspace.fault("members", f"an array of patterns: {member!r}: {error}") from None
    yield from (d for d in found if not _excluded(workspace, place, d))


def path_dependencies(crate: Crate) -> tuple[Path, ...]:
    """Return the directories that `crate` names as path dependencies, patches included."""
    found = [d.path for d in dependencies(crate) if d.path is not None]
    sections = [crate.table.table("replace")]
    patches = crate.table.table("patch")
    sections += [patches.table(name) for name in patches.data]
    workspace = crate.table.table("workspace").table("dependencies")
    for section in (*sections, workspace):
        found += [
            Path(os.path.normpath(crate.directory / entry["path"]))
            for entry in section.data.values()
            if isinstance(entry, dict) and isinstance(entry.get("path"), str)
        ]
    return tuple(dict.fromkeys(found))


def dependencies(crate: Crate) -> tuple[Dependency, ...]:
    """Return all dependencies of `crate`, of every kind and platform."""
    found = list(_of_section(crate, crate.table, ""))
    targets = crate.table.table("target")
    for condition in targets.data:
        found += _of_section(crate, targets.table(condition), condition)
    return tuple(found)


def _of_section(crate: Crate, section: Table, condition: str) -> Iterator[Dependency]:
    for kind, keys in _KINDS:
        entries = section.table(*keys)
        for key in entries.data:
            yield _dependency(crate, entries, key, kind, condition)


def _dependency(crate: Crate, entries: Table, key: str, kind: Kind, condition: str) -> Dependency:
    entry = _entry(entries, key)
    given, place = entry, crate.directory
    if entry.flag("workspace"):
        given = _entry(crate.workspace.table("workspace").table("dependencies"), key)
        place = crate.workspace_root
    path = given.text("path")
    return Dependency(
        key=key,
        package=given.text("package") or key,
        requirement=given.text("version") or "",
        kind=kind,
        condition=condition,
        optional=bool(entry.flag("optional")),
        default_features=_default_features(entry, given),
        features=(*dict.fromkeys((*given.texts("features"), *entry.texts("features"))),),
        path=Path(os.path.normpath(place / path)) if path is not None else None,
    )


def _entry(entries: Table, key: str) -> Table:
    value = entries.data.get(key, {})
    if isinstance(value, str):
        value = {"version": value}
    if not isinstance(value, dict):
        raise entries.fault(key, "a version or a table")
    return Table(file=entries.file, data=value, name=f"{entries.name}.{key}")


def _default_features(entry: Table, given: Table) -> bool:
    """Judge default features; an entry that inherits can turn them on, but not off."""
    keys = ("default-features", "default_features")
    whole = given.flag(*keys)
    own = entry.flag(*keys)
    return (whole is not False) or (entry is not given and own is True)


def read_lock(crate: Crate) -> tuple[Locked, ...]:
    """Return the packages of the workspace's Cargo.lock.

    Raises UsageError when it is missing or broken.
    """
    file = crate.workspace_root / LOCK
    if not file.is_file():
        raise UsageError(
            f"Cargo.lock missing in {crate.workspace_root}",
            f"Run `cargo generate-lockfile` in {crate.workspace_root} and commit it.",
        )
    return _packages(read_toml(file, "Run `cargo generate-lockfile` and commit it."))


def locked_in(file: Path, text: str) -> tuple[Locked, ...]:
    """Return the packages of the Cargo.lock `text`, which is called `file` where it is broken.

    Raises UsageError then.
    """
    return _packages(parse_toml(file, text))


def _packages(table: Table) -> tuple[Locked, ...]:
    return tuple(_locked(package) for package in table.tables("package"))


def check_pinned(crate: Crate, locked: tuple[Locked, ...]) -> None:
    """Raise UsageError when Cargo.lock lacks a crate from outside that `crate` depends on.

    That is what can be told without cargo, and can't be mended in the fetch, which mends what is
    only the workspace's own.
    """
    outside = {d.package for d in dependencies(crate) if d.path is None}
    absent = outside - {package.name for package in locked}
    if absent:
        place = crate.workspace_root
        raise UsageError(
            f"Cargo.lock in {place} is stale: {crate.name} depends on "
            f"{', '.join(sorted(absent))}, not in it",
            f"Run `cargo update --workspace` in {place} and commit it. {INSIST}",
        )


def _locked(package: Table) -> Locked:
    text = package.text("version") or "0"
    try:
        version = _semver(text)
    except ValueError:  # InvalidVersion, or a number of thousands of digits
        raise package.fault("version", "a version") from None
    return Locked(
        name=package.text("name") or "",
        version=version,
        text=text,
        path="source" not in package,
        dependencies=package.texts("dependencies"),
    )


def _semver(text: str) -> Version:
    try:
        return Version(text)
    except InvalidVersion:
        return Version(text.partition("+")[0].partition("-")[0])
