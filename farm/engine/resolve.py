"""What a set of needs comes to in Debian's archive today: values, and reading them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
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
    warnings: tuple[str, ...] = ()
    index_bytes: int = 0
    """How much was downloaded to find out."""

    def of(self, image: str) -> dict[str, tuple[Package, ...]]:
        """Return the packages of one image, by slot."""
        return {slot: there for (name, slot), there in self.packages.items() if name == image}

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
        warnings=tuple(read["warnings"]),
        index_bytes=read["index_bytes"],
    )


def _place(text: str) -> tuple[str, str]:
    image, _, slot = text.partition("/")
    return image, slot


def _candidates(need: Need) -> list[dict[str, object]]:
    return [_spoken(selection) for selection in need.candidates]


def _spoken(selection: Selection) -> dict[str, object]:
    """Return a selection as the resolve step reads it, in Debian's words."""
    suite = selection.suite
    return {
        **asdict(suite),
        "suite": suite.name,
        "target": suite.name if suite.target else "",
        "arch": selection.arch.debian,
        "foreign": [arch.debian for arch in selection.foreign],
        "packages": selection.packages,
        "leave_out": selection.leave_out,
    }
