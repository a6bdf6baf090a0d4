"""What a set of needs comes to in Debian's archive today: the question, and reading the answer."""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from fnmatch import fnmatch

from farm.bases.archive import Archive
from farm.bases.debian import Selection
from farm.bases.recipes import Need, Recipe
from farm.engine.lost import Lost, texts

_TOOLCHAIN = "toolchain"
"""The slot that an archive's wishes about the compiler are for."""


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
class Had:
    """What a need was had as."""

    suite: str
    way: str
    """The suite and how it was read, for people: `bullseye without bullseye-updates, …`."""
    packages: tuple[Package, ...]


@dataclass(frozen=True, kw_only=True)
class Way:
    """One way to the packages of a need."""

    suite: str
    text: str
    """As `Had.way`."""
    spoken: Mapping[str, object]
    """As the resolve step reads it, in Debian's words."""
    kept: bool = False
    """It is what an image that is there was made with."""


@dataclass(frozen=True, kw_only=True)
class Resolved:
    """The exact packages of every need, by image and slot; all of one look at the archive."""

    had: Mapping[tuple[str, str], Had]
    lost: Mapping[tuple[str, str], tuple[Lost, ...]]
    """The ways that were tried in vain."""
    index_bytes: int = 0
    """How much was downloaded to find out."""
    kept: frozenset[tuple[str, str]] = frozenset()
    """What stays as it was, since nothing better could be had."""

    def of(self, image: str) -> dict[str, Had]:
        """Return what one image is made with, by slot."""
        return {slot: had for (name, slot), had in self.had.items() if name == image}

    def has(self, image: str, slot: str) -> bool:
        """Tell whether anything that the need asked for could be had."""
        return (image, slot) in self.had

    def instead(self, image: str, slot: str) -> str:
        """Return what was had otherwise than wanted, and why; empty where it is as wanted."""
        place = (image, slot)
        if place not in self.had or not self.lost.get(place):
            return ""
        reasons = "; ".join(texts(self.lost[place]))
        way = f"{self.had[place].way} as before" if place in self.kept else self.had[place].way
        return f"{way}, since {reasons}"

    def second_choices(self) -> dict[str, list[str]]:
        """Return what was had otherwise than wanted, each with the places that it struck."""
        struck: dict[str, list[str]] = {}
        for image, slot in self.lost:
            if text := self.instead(image, slot):
                struck.setdefault(text, []).append(f"{image}/{slot}")
        return struck

    def versions(self, recipe: Recipe) -> dict[str, str]:
        """Return the versions that the labels of `recipe`'s image tell."""
        told: dict[str, str] = {}
        for need in recipe.needs:
            had = self.had.get((recipe.name, need.slot))
            for label, pattern in need.versions:
                for package in had.packages if had else ():
                    if fnmatch(package.name, pattern):
                        told[label] = package.version if need.optional else package.upstream
        return told


@dataclass(frozen=True, kw_only=True)
class Question:
    """What the resolve step is asked: all needs of some recipes, each with its ways."""

    recipes: tuple[Recipe, ...]
    archive: Archive
    before: Mapping[str, Mapping[str, Had]] = field(default_factory=dict)
    """What images that are there were made with, by image and slot: what can stay."""

    def spoken(self) -> str:
        """Return the question as JSON."""
        archive = self.archive
        return json.dumps(
            {
                "archive": {
                    "mirror": archive.mirror,
                    "security": archive.security,
                    "old": archive.old,
                    "keyring": base64.b64encode(archive.keyring).decode(),
                    "patience": archive.patience,
                },
                "needs": [
                    {
                        "id": f"{image}/{need.slot}",
                        "at_least": _at_least(need, archive),
                        "candidates": [way.spoken for way in ways],
                    }
                    for image, need, ways in self._asked()
                ],
            }
        )

    def answered(self, text: str) -> Resolved:
        """Read the resolve step's answer."""
        read = json.loads(text)
        had, lost, kept = {}, {}, []
        for image, need, ways in self._asked():
            place, name = (image, need.slot), f"{image}/{need.slot}"
            if found := read["found"].get(name):
                way = ways[found["way"]]
                packages = tuple(Package(**package) for package in found["packages"])
                had[place] = Had(suite=way.suite, way=way.text, packages=packages)
                if way.kept:
                    kept.append(place)
            if faults := read["lost"].get(name):
                lost[place] = tuple(Lost.read(ways[each["way"]].text, each) for each in faults)
        return Resolved(had=had, lost=lost, index_bytes=read["index_bytes"], kept=frozenset(kept))

    def _asked(self) -> Iterator[tuple[str, Need, tuple[Way, ...]]]:
        for recipe in self.recipes:
            before = self.before.get(recipe.name, {})
            for need in recipe.needs:
                yield recipe.name, need, ways(need, self.archive, before.get(need.slot))


def ways(need: Need, archive: Archive, before: Had | None = None) -> tuple[Way, ...]:
    """Return the ways to a need's packages, the best first.

    A suite's updates may be gone, or only their files, while it is still there itself. Backports
    are nothing without the suite that they are for. One whose support has ended moves to the
    archive of old releases one day. What the need was had as before is better than all that it
    was better than then.
    """
    found: list[Way] = []
    for selection in need.candidates:
        suite = selection.suite
        if need.slot == _TOOLCHAIN and archive.toolchain not in {"", suite.name}:
            continue
        text = f"{suite.name} with {selection.remark}" if selection.remark else suite.name
        found.append(_way(selection, text, pockets=suite.pockets))
        if suite.pockets and not suite.target:
            found.append(_way(selection, f"{text} without {', '.join(suite.pockets)}"))
        if suite.ended and archive.old:
            found.append(_way(selection, f"{text} of the archive of old releases", old=True))
    if before is not None:
        place = next((n for n, way in enumerate(found, 1) if way.text == before.way), len(found))
        spoken = {"closure": [asdict(package) for package in before.packages]}
        found.insert(place, Way(suite=before.suite, text=before.way, spoken=spoken, kept=True))
    return tuple(found)


def _way(
    selection: Selection, text: str, *, pockets: tuple[str, ...] = (), old: bool = False
) -> Way:
    suite = selection.suite
    return Way(
        suite=suite.name,
        text=text,
        spoken={
            "suite": suite.name,
            "pockets": pockets,
            "moving": suite.moving,
            "old": old,
            "target": suite.name if suite.target else "",
            "arch": selection.arch.debian,
            "foreign": [arch.debian for arch in selection.foreign],
            "packages": selection.packages,
            "leave_out": selection.leave_out,
        },
    )


def remember(had: Mapping[str, Had]) -> str:
    """Return what an image is made with, by slot, as the text of a label."""
    spoken = json.dumps({slot: asdict(each) for slot, each in had.items()}, sort_keys=True)
    return base64.b64encode(zlib.compress(spoken.encode(), 9)).decode()


def recall(label: str) -> dict[str, Had]:
    """Return what the label of an image says that it was made with, by slot."""
    if not label:
        return {}
    return {
        slot: Had(
            suite=each["suite"],
            way=each["way"],
            packages=tuple(Package(**package) for package in each["packages"]),
        )
        for slot, each in json.loads(zlib.decompress(base64.b64decode(label))).items()
    }


def _at_least(need: Need, archive: Archive) -> dict[str, str]:
    """Return the oldest versions that will do, by package."""
    return {"rustc": archive.rust} if need.slot == _TOOLCHAIN and archive.rust else {}
