"""What of a crate's dependencies a set of features turns on, resolved without cargo.

Cargo's rules (doc.rust-lang.org/cargo/reference/features.html) are followed over the crates of
the tree, whose manifests can be read. Crates from elsewhere are known from Cargo.lock only: which
they reach is read there, which features they ask of each other is not.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from packaging.version import Version

from farm.project.cfg import holds_anywhere
from farm.project.crates import MANIFEST, Crate, Dependency, Locked, Tree, dependencies


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """Which features of the crate to build are asked for."""

    features: tuple[str, ...] = ()
    default: bool = True
    all: bool = False


def names(features: Iterable[str]) -> tuple[str, ...]:
    """Return the features that texts name, each once: cargo takes several in one."""
    return tuple(dict.fromkeys(" ".join(features).replace(",", " ").split()))


@dataclass(frozen=True, kw_only=True)
class Resolved:
    """Crates from outside of the tree that are reached, and the features the tree asks of them."""

    versions: Mapping[str, tuple[Version, ...]]
    """By crate name, ascending."""
    features: Mapping[str, frozenset[str]]
    """By crate name."""


def resolve(tree: Tree, crate: Crate, locked: tuple[Locked, ...], wanted: Wanted) -> Resolved:
    """Resolve `crate` built with the features `wanted` on glibc Linux.

    Dev-dependencies of `crate` itself count, since maturin looks at `cargo metadata`, where they
    do. Raises UsageError when the manifest of a path dependency is broken.
    """
    walk = _Walk(tree, crate)
    walk.run(_initial(crate, wanted))
    reached = _reach(locked, walk.outside)
    versions: dict[str, tuple[Version, ...]] = {}
    for package in reached:
        known = versions.get(package.name, ())
        versions[package.name] = tuple(sorted({*known, package.version}))
    return Resolved(versions=versions, features={k: frozenset(v) for k, v in walk.features.items()})


def _initial(crate: Crate, wanted: Wanted) -> frozenset[str]:
    asked = [*names(wanted.features)]
    if wanted.all:
        asked += crate.features.data
        asked += [d.key for d in dependencies(crate) if d.optional]
    if wanted.default:
        asked.append("default")
    return frozenset(asked)


class _Walk:
    """The crates of the tree, each with the features asked of it so far."""

    def __init__(self, tree: Tree, root: Crate) -> None:
        self._tree = tree
        self._root = root
        self._asked: dict[Path, frozenset[str]] = {}
        self._waiting: dict[Path, None] = {}
        self._dependencies: dict[Path, tuple[Dependency, ...]] = {}
        self.features: dict[str, set[str]] = {}
        self.outside: set[tuple[str, str]] = set()
        """Names of a crate of the tree and of a crate from outside that it depends on."""

    def run(self, asked: frozenset[str]) -> None:
        """Follow dependencies until no crate is asked for more."""
        self._ask(self._root.manifest, asked)
        while self._waiting:
            manifest = next(iter(self._waiting))
            del self._waiting[manifest]
            self._visit(self._tree.crate(manifest))

    def _ask(self, manifest: Path, asked: frozenset[str]) -> None:
        before = self._asked.get(manifest)
        now = (before or frozenset()) | asked
        if now != before:
            self._asked[manifest] = now
            self._waiting[manifest] = None

    def _visit(self, crate: Crate) -> None:
        for dependency, features in self._turned_on(crate):
            if dependency.path is not None and (dependency.path / MANIFEST).is_file():
                self._ask(dependency.path / MANIFEST, features)
            else:
                self.features.setdefault(dependency.package, set()).update(features)
                self.outside.add((crate.name, dependency.package))

    def _turned_on(self, crate: Crate) -> list[tuple[Dependency, frozenset[str]]]:
        """Return the dependencies that are on, each with the features asked of it."""
        candidates = self._candidates(crate)
        active = _Activation(crate, candidates)
        for feature in self._asked[crate.manifest]:
            active.turn_on(feature)
        return [
            (d, active.asked_of(d))
            for d in candidates
            if not d.optional or d.key in active.optional
        ]

    def _candidates(self, crate: Crate) -> tuple[Dependency, ...]:
        if crate.manifest not in self._dependencies:
            dev = crate.manifest == self._root.manifest
            self._dependencies[crate.manifest] = tuple(
                d
                for d in dependencies(crate)
                if (dev or d.kind != "dev") and holds_anywhere(d.condition)
            )
        return self._dependencies[crate.manifest]


class _Activation:
    """One crate's features being turned on."""

    def __init__(self, crate: Crate, candidates: tuple[Dependency, ...]) -> None:
        self._table = crate.features
        self._optional = {d.key for d in candidates if d.optional}
        self._done: set[str] = set()
        self._asked: dict[str, set[str]] = {}
        self.optional: set[str] = set()

    def asked_of(self, dependency: Dependency) -> frozenset[str]:
        """Return the features asked of `dependency` once it is on."""
        default = {"default"} if dependency.default_features else set()
        return frozenset({*dependency.features, *default, *self._asked.get(dependency.key, set())})

    def turn_on(self, feature: str) -> None:
        """Turn `feature` on, and what it implies."""
        todo = [feature]
        while todo:
            each = todo.pop()
            if each not in self._done:
                self._done.add(each)
                todo += self._implied(each)

    def _implied(self, feature: str) -> tuple[str, ...]:
        """Note what `feature` asks of dependencies; return the features that it turns on."""
        name, slash, inner = feature.partition("/")
        if slash:
            weak = name.endswith("?")
            name = name.removesuffix("?")
            self._asked.setdefault(name, set()).add(inner)
            if not weak and name in self._optional:
                self.optional.add(name)
                return (name,) if name in self._table else ()
        elif feature.startswith("dep:"):
            self.optional.add(feature.removeprefix("dep:"))
        elif feature in self._table:
            return self._table.texts(feature)
        elif feature in self._optional:
            self.optional.add(feature)
        return ()


def _reach(locked: tuple[Locked, ...], outside: set[tuple[str, str]]) -> tuple[Locked, ...]:
    """Return the locked packages from outside of the tree that are reached."""
    by_name: dict[str, list[Locked]] = {}
    for package in locked:
        by_name.setdefault(package.name, []).append(package)
    todo = []
    for crate, name in outside:
        entries = [e for p in by_name.get(crate, []) if p.path for e in p.dependencies]
        named = [e for e in entries if e.split(" ")[0] == name] or [name]
        todo += [p for entry in named for p in _named(by_name, entry)]
    seen: dict[Locked, None] = {}
    while todo:
        package = todo.pop()
        if package not in seen:
            seen[package] = None
            todo += [p for e in package.dependencies for p in _named(by_name, e)]
    return tuple(seen)


def _named(by_name: Mapping[str, list[Locked]], entry: str) -> list[Locked]:
    name, _, rest = entry.partition(" ")
    version = rest.partition(" ")[0]
    found = by_name.get(name, [])
    exact = [p for p in found if version and p.text == version]
    return exact or found
