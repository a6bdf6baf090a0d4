"""What a set of needs comes to in Debian's archive today: values, and reading them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatch

from farm.bases.debian import Selection
from farm.bases.recipes import Need, Recipe


@dataclass(frozen=True, kw_only=True)
class Package:
    """One package file of Debian's archive."""

    name: str
    version: str
    arch: str
    sha256: str
    size: int
    uri: str

    @property
    def identity(self) -> tuple[str, str, str, str]:
        """What it is, wherever it is downloaded from."""
        return self.name, self.version, self.arch, self.sha256

    @property
    def upstream(self) -> str:
        """The version without Debian's epoch, repacking and revision: `1.96.1`, `2.31`."""
        version = self.version.partition(":")[2] or self.version
        return version.rpartition("-")[0].partition("+")[0] or version


@dataclass(frozen=True, kw_only=True)
class Resolved:
    """The exact packages of every need, by image and slot; all of one look at the archive."""

    packages: Mapping[tuple[str, str], tuple[Package, ...]]
    lost: Mapping[tuple[str, str], tuple[str, ...]]
    """Why each candidate that could not be had could not."""
    suites: Mapping[tuple[str, str], tuple[str, ...]] = field(default_factory=dict)
    """Which suites each need was had from."""
    index_bytes: int = 0
    """How much was downloaded to find out."""

    def of(self, image: str) -> dict[str, tuple[Package, ...]]:
        """Return the packages of one image, by slot."""
        return {slot: there for (name, slot), there in self.packages.items() if name == image}

    def has(self, image: str, slot: str) -> bool:
        """Tell whether anything that the need asked for could be had."""
        return (image, slot) in self.packages

    def second_choices(self) -> dict[str, list[str]]:
        """Return what was had otherwise than wanted: the first reason, and the places it struck."""
        struck: dict[str, list[str]] = {}
        for place, reasons in self.lost.items():
            if place in self.suites:
                text = f"{', '.join(self.suites[place])} instead of {reasons[0]}"
                struck.setdefault(text, []).append("/".join(place))
        return struck

    def versions(self, recipe: Recipe) -> dict[str, str]:
        """Return the versions that the labels of `recipe`'s image tell."""
        told: dict[str, str] = {}
        for need in recipe.needs:
            for label, pattern in need.versions:
                for package in self.packages.get((recipe.name, need.slot), ()):
                    if fnmatch(package.name, pattern):
                        told[label] = package.version if need.optional else package.upstream
        return told


def request(recipes: Iterable[Recipe]) -> str:
    """Return the resolve step's question about all needs of `recipes`, as JSON."""
    return json.dumps(
        {
            "needs": [
                {"id": f"{recipe.name}/{need.slot}", "candidates": _candidates(need)}
                for recipe in recipes
                for need in recipe.needs
            ]
        }
    )


def answer(text: str) -> Resolved:
    """Read the resolve step's answer."""
    read = json.loads(text)
    return Resolved(
        packages={
            _place(place): tuple(Package(**package) for package in found["packages"])
            for place, found in read["found"].items()
        },
        lost={_place(place): tuple(reasons) for place, reasons in read["lost"].items()},
        suites={_place(place): tuple(found["suites"]) for place, found in read["found"].items()},
        index_bytes=read["index_bytes"],
    )


def _place(text: str) -> tuple[str, str]:
    image, _, slot = text.partition("/")
    return image, slot


def _candidates(need: Need) -> list[dict[str, object]]:
    """Return the candidates in the order they are tried, each also without its further suites.

    A suite's updates may be gone, or only their files, while it is still there itself. Backports
    are nothing without the suite that they are for.
    """
    spoken = []
    for selection in need.candidates:
        spoken.append(_spoken(selection))
        if selection.suite.pockets and not selection.suite.target:
            spoken.append({**_spoken(selection), "pockets": ()})
    return spoken


def _spoken(selection: Selection) -> dict[str, object]:
    """Return a selection as the resolve step reads it, in Debian's words."""
    suite = selection.suite
    return {
        "suite": suite.name,
        "pockets": suite.pockets,
        "moving": suite.moving,
        "ended": suite.ended,
        "target": suite.name if suite.target else "",
        "arch": selection.arch.debian,
        "foreign": [arch.debian for arch in selection.foreign],
        "packages": selection.packages,
        "leave_out": selection.leave_out,
    }
