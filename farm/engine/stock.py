"""The farm's images that are on the engine, and the recipes of today that they are held against.

Read from one list of the engine's: an image's labels say what it was made from.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import docker
from packaging.version import Version

from farm.bases.archive import DEFAULT, Archive
from farm.bases.recipes import Recipe, recipe_hashes, recipes
from farm.engine.bake import recipes_directory
from farm.engine.connection import version
from farm.model.targets import Arch, Interpreter

LABEL = "farm"
"""On every object that the farm makes on an engine, with the value `1`."""
NAME, RECIPE, INPUTS = "farm.image", "farm.recipe", "farm.inputs"
INTERPRETERS, LEFT_OUT, VERSION = "farm.interpreters", "farm.left-out", "farm.version."
SUITE, INSTEAD, RESOLVED = "farm.suite.", "farm.instead.", "farm.resolved"


@dataclass(frozen=True, kw_only=True)
class Image:
    """An image of the farm's that is on the engine."""

    name: str
    """Such as `builder-aarch64`."""
    reference: str
    """`farm/<name>:<first 16 hex digits of its inputs' hash>`; empty when it lost its tag."""
    id: str
    """`sha256:…`"""
    labels: Mapping[str, str]
    interpreters: tuple[Interpreter, ...]
    """Those inside, lowest first."""
    versions: Mapping[str, str]
    """What is inside, by tool: rustc, maturin, zig…; each interpreter by its directory's name."""
    created: int = 0
    """Seconds since the epoch, by the engine's clock."""
    size: int = 0
    """Bytes, with what it shares with others."""

    @property
    def recipe(self) -> str:
        """The hash of the recipe that it was made by."""
        return self.labels.get(RECIPE, "")

    @property
    def inputs(self) -> str:
        """The hash of all that it was made from."""
        return self.labels.get(INPUTS, "")

    @property
    def instead(self) -> tuple[str, ...]:
        """What it was made with otherwise than wanted, and why."""
        told = sorted(self.labels.items())
        return tuple(
            f"{key.removeprefix(INSTEAD)}: {text}" for key, text in told if key.startswith(INSTEAD)
        )

    def fits(self, archive: Archive) -> bool:
        """Tell whether what is inside is good enough for `archive`'s wishes."""
        rustc, suite = self.versions.get("rustc"), self.labels.get(f"{SUITE}toolchain", "")
        new_enough = not (rustc and archive.rust) or Version(rustc) >= Version(archive.rust)
        return new_enough and (not suite or archive.toolchain in {"", suite})

    @property
    def left_out(self) -> str:
        """What it was made without, and why; empty when it is whole."""
        return self.labels.get(LEFT_OUT, "")


@dataclass(frozen=True, kw_only=True)
class Book:
    """All recipes for one engine, and their hashes, by name."""

    recipes: Mapping[str, Recipe]
    hashes: Mapping[str, str]

    @classmethod
    def read(cls, engine: docker.DockerClient) -> Book:
        """Return the book for the engine's own architecture."""
        return _book(Arch.parse(version(engine)["Arch"]))


@cache
def _book(arch: Arch) -> Book:
    known = recipes(arch)
    return Book(recipes=known, hashes=recipe_hashes(known, _files()))


def existing(engine: docker.DockerClient) -> tuple[Image, ...]:
    """Return all images of the farm on the engine, also those of other recipes, by name."""
    listed = engine.api.images(filters={"label": [f"{LABEL}=1", NAME]})
    return tuple(sorted((_image(entry) for entry in listed), key=lambda i: (i.name, -i.created)))


def newest(
    there: Iterable[Image], name: str, recipe: str, archive: Archive = DEFAULT
) -> Image | None:
    """Return the newest image of `name` that the recipe of that hash made and `archive` lets be."""
    made = (
        i
        for i in there
        if i.name == name and i.recipe == recipe and i.reference and i.fits(archive)
    )
    return max(made, key=lambda image: image.created, default=None)


def _files() -> dict[str, dict[str, str]]:
    """Return the SHA256 of each file of `images/`, by its folder and its path in there."""
    top = recipes_directory()
    found: dict[str, dict[str, str]] = {}
    for path in sorted(top.rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            folder, _, rest = path.relative_to(top).as_posix().partition("/")
            found.setdefault(folder, {})[rest] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found


def interpreters_of(labels: Mapping[str, str]) -> tuple[Interpreter, ...]:
    """Return the interpreters that an image's labels tell of, lowest first."""
    names = labels.get(INTERPRETERS, "").split()
    return tuple(sorted(Interpreter.parse(name.partition("-")[2]) for name in names))


def _image(entry: Mapping[str, Any]) -> Image:
    """Read an entry of the engine's list of images."""
    labels: dict[str, str] = entry["Labels"]
    tags = [t for t in entry["RepoTags"] or () if t.startswith("farm/")]
    return Image(
        name=labels[NAME],
        reference=tags[0] if tags else "",
        id=entry["Id"],
        labels=labels,
        interpreters=interpreters_of(labels),
        versions={
            key.removeprefix(VERSION): value
            for key, value in sorted(labels.items())
            if key.startswith(VERSION)
        },
        created=entry["Created"],
        size=entry["Size"],
    )
