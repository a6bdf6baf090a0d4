"""The farm's images on the engine: which there are, and making those that are missing.

An image's tag and labels say what it was made from, so what is there is found without building
or asking the network: `find` for today's recipes, `existing` for all. `ensure` makes the rest,
each as soon as its parents are there.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import asdict, dataclass
from typing import Any

import docker
from docker.errors import APIError

from farm.bases.recipes import (
    SEED,
    Recipe,
    digest,
    inputs_hash,
    names_for,
    recipe_hashes,
    recipes,
    with_parents,
)
from farm.engine.bake import Order, Oven, recipes_directory, simulate_seed
from farm.engine.resolve import Package, Resolved, answer, request
from farm.model.errors import SurroundingsError
from farm.model.events import Emit, Event, ImageProgress, Note, Warned
from farm.model.targets import Arch, Interpreter

__all__ = ["Image", "ensure", "existing", "find", "names_for", "prune"]

LABEL = "farm"
"""On every object that the farm makes on an engine, with the value `1`."""
_NAME, _RECIPE, _INPUTS = "farm.image", "farm.recipe", "farm.inputs"
_INTERPRETERS, _LEFT_OUT, _VERSION = "farm.interpreters", "farm.left-out", "farm.version."
_SIDE_BY_SIDE = 4


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

    @property
    def recipe(self) -> str:
        """The hash of the recipe that it was made by."""
        return self.labels.get(_RECIPE, "")

    @property
    def inputs(self) -> str:
        """The hash of all that it was made from."""
        return self.labels.get(_INPUTS, "")

    @property
    def left_out(self) -> str:
        """What it was made without, and why; empty when it is whole."""
        return self.labels.get(_LEFT_OUT, "")


def find(engine: docker.DockerClient, names: Iterable[str]) -> dict[str, Image]:
    """Return those of `names` that today's recipes need not make, by name; nothing is built."""
    hashes = _Book.read(engine).hashes
    there = existing(engine)
    return {n: image for n in names if (image := _newest(there, n, hashes.get(n, ""))) is not None}


def existing(engine: docker.DockerClient) -> tuple[Image, ...]:
    """Return all images of the farm on the engine, also those of other recipes, by name."""
    listed = engine.api.images(filters={"label": [f"{LABEL}=1", _NAME]})
    return tuple(sorted((_image(entry) for entry in listed), key=lambda i: (i.name, -i.created)))


def prune(engine: docker.DockerClient, *, emit: Emit) -> tuple[Image, ...]:
    """Remove the farm's images that no recipe names, or that a newer one of it replaced.

    Returns what was removed. One that a container uses stays, with a warning.
    """
    hashes = _Book.read(engine).hashes
    there = existing(engine)
    kept = {image.id for n in hashes if (image := _newest(there, n, hashes[n])) is not None}
    removed = []
    for image in there:
        if image.id in kept:
            continue
        try:
            engine.api.remove_image(image.reference or image.id)
        except APIError as error:
            emit(Warned(text=f"{image.reference or image.id} stays: {error.explanation}"))
        else:
            removed.append(image)
    return tuple(removed)


def ensure(
    engine: docker.DockerClient, names: Iterable[str], *, emit: Emit, upgrade: bool = False
) -> dict[str, Image]:
    """Return the images `names`, made first where the engine has none of today's recipe.

    With `upgrade`, Debian's archive is asked what there is now, and an image is made anew
    exactly when what it is made from has changed. Raises SurroundingsError with a remedy.
    """
    names = tuple(names)
    there = {} if upgrade else find(engine, names)
    if len(there) < len(set(names)):
        _Making(engine, emit).make(names, upgrade=upgrade)
        there = find(engine, names)
    for image in there.values():
        if image.left_out:
            emit(Warned(text=f"{image.name} is without {image.left_out}"))
    return there


@dataclass(frozen=True, kw_only=True)
class _Book:
    """All recipes for one engine, and their hashes."""

    recipes: Mapping[str, Recipe]
    hashes: Mapping[str, str]

    @classmethod
    def read(cls, engine: docker.DockerClient) -> _Book:
        known = recipes(Arch.parse(engine.version()["Arch"]))
        return cls(recipes=known, hashes=recipe_hashes(known, _files()))


def _files() -> dict[str, dict[str, str]]:
    """Return the SHA256 of each file in each folder of `images/`."""
    top = recipes_directory()
    found: dict[str, dict[str, str]] = {}
    for path in sorted(top.rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts and path.parent != top:
            folder, _, rest = path.relative_to(top).as_posix().partition("/")
            found.setdefault(folder, {})[rest] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found


def _newest(there: Iterable[Image], name: str, recipe: str) -> Image | None:
    """Return the newest image of `name` that `recipe` made."""
    made = (i for i in there if i.name == name and i.recipe == recipe and i.reference)
    return max(made, key=lambda image: image.created, default=None)


def _image(entry: Mapping[str, Any]) -> Image:
    """Read an entry of the engine's list of images."""
    labels: dict[str, str] = entry["Labels"]
    tags = [t for t in entry["RepoTags"] or () if t.startswith("farm/")]
    names = labels.get(_INTERPRETERS, "").split()
    return Image(
        name=labels[_NAME],
        reference=tags[0] if tags else "",
        id=entry["Id"],
        labels=labels,
        interpreters=tuple(sorted(Interpreter.parse(n.partition("-")[2]) for n in names)),
        versions={
            key.removeprefix(_VERSION): value
            for key, value in sorted(labels.items())
            if key.startswith(_VERSION)
        },
        created=entry["Created"],
    )


class _Making:
    """One making of images: one look at the archive, and whatever it leads to."""

    def __init__(self, engine: docker.DockerClient, emit: Emit) -> None:
        self.engine = engine
        self.book = _Book.read(engine)
        self.oven = Oven(engine)
        self._emit, self._lock = emit, threading.Lock()
        self.made: dict[str, Image] = {}
        """The images that this making uses, also those that were there."""
        self.bytes = 0

    def make(self, names: Iterable[str], *, upgrade: bool) -> None:
        """Make `names` and what they are made from."""
        todo = self._todo(names, upgrade=upgrade)
        if SEED in {recipe.name for recipe in todo}:
            self._make_seed()
        rest = tuple(recipe for recipe in todo if recipe.name != SEED)
        resolved = self._resolve(rest)
        self._make_side_by_side({r.name: self._job(r, resolved) for r in rest}, rest)
        if self.bytes:
            self.emit(Note(text=f"downloaded {self.bytes / 1e6:,.0f} MB for the images"))

    def emit(self, event: Event) -> None:
        """Emit from any thread, one at a time."""
        with self._lock:
            self._emit(event)

    def _todo(self, names: Iterable[str], *, upgrade: bool) -> tuple[Recipe, ...]:
        """Return the recipes to look at, parents first; the images of the others are there."""
        there = existing(self.engine)
        todo: dict[str, Recipe] = {}

        def add(recipe: Recipe) -> None:
            image = _newest(there, recipe.name, self.book.hashes[recipe.name])
            if image is not None and not upgrade:
                self.made[recipe.name] = image
                return
            for _, parent in recipe.parents:
                if parent not in todo:
                    add(self.book.recipes[parent])
            todo[recipe.name] = recipe

        for name in names:
            for recipe in with_parents(self.book.recipes, (name,))[-1:]:
                add(recipe)
        return tuple(todo.values())

    def _make_seed(self) -> None:
        recipe = self.book.recipes[SEED]
        self.progress(SEED, "looking at the archive")
        packages = simulate_seed(recipe)
        inputs = inputs_hash(self.book.hashes[SEED], {}, {"seed": packages})
        self._take_or_bake(recipe, inputs, {}, self.oven.bake_seed, _spoken(recipe, {}))

    def _resolve(self, rest: tuple[Recipe, ...]) -> Resolved:
        """Ask the archive once, for all needs of `rest`."""
        if not rest:
            return Resolved(packages={}, lost={})
        text = self.oven.resolve(
            self.made[SEED].reference, request(rest), lambda line: self.progress("archive", line)
        )
        resolved = answer(text)
        self.progress("archive", "resolved", done=True)
        self.bytes += resolved.index_bytes
        for text, places in resolved.second_choices().items():
            self.emit(Warned(text=f"{' '.join(places)}: {text}"))
        _refuse_lost(rest, resolved)
        return resolved

    def _job(self, recipe: Recipe, resolved: Resolved) -> Callable[[], None]:
        return lambda: self._make_one(recipe, resolved)

    def _make_side_by_side(
        self, jobs: Mapping[str, Callable[[], None]], rest: tuple[Recipe, ...]
    ) -> None:
        """Run each job as soon as those of its parents are done; the first fault ends it."""
        waiting = {r.name: {p for _, p in r.parents if p in jobs} for r in rest}
        running: dict[Future[None], str] = {}
        with ThreadPoolExecutor(_SIDE_BY_SIDE) as pool:
            while waiting or running:
                for name in [n for n, parents in waiting.items() if not parents]:
                    del waiting[name]
                    running[pool.submit(jobs[name])] = name
                done, _ = wait(running, return_when=FIRST_COMPLETED)
                for future in done:
                    name = running.pop(future)
                    future.result()
                    for parents in waiting.values():
                        parents.discard(name)

    def _make_one(self, recipe: Recipe, resolved: Resolved) -> None:
        packages = resolved.of(recipe.name)
        parents = {name: self.made[name].inputs for _, name in recipe.parents}
        identities = {slot: sorted(p.identity for p in there) for slot, there in packages.items()}
        inputs = inputs_hash(self.book.hashes[recipe.name], parents, identities)
        labels = self._told(recipe, resolved)
        size = sum(p.size for there in packages.values() for p in there)
        size += sum(pin.size for pin in recipe.pins)

        def bake(order: Order, say: Callable[[str], None]) -> None:
            self.oven.bake(order, say)
            self.bytes += size

        self._take_or_bake(recipe, inputs, labels, bake, _spoken(recipe, packages))

    def _told(self, recipe: Recipe, resolved: Resolved) -> dict[str, str]:
        """Return the labels that say what is inside, its parents' among them."""
        labels: dict[str, str] = {}
        for argument, name in recipe.parents:
            inherited = self.made[name].labels if argument != "NATIVE" else {}
            for key, value in inherited.items():
                if key.startswith(_VERSION) or key in {_INTERPRETERS, _LEFT_OUT}:
                    labels[key] = value
        versions = resolved.versions(recipe)
        versions |= {pin.project: pin.version for pin in recipe.pins}
        labels |= {f"{_VERSION}{tool}": version for tool, version in versions.items()}
        slots = [need.slot for need in recipe.needs if need.optional]
        if slots:
            had = [slot for slot in slots if (recipe.name, slot) in resolved.packages]
            labels[_INTERPRETERS] = " ".join(had)
            labels[_LEFT_OUT] = "; ".join(
                f"{slot} ({' '.join(resolved.lost[recipe.name, slot])})"
                for slot in slots
                if slot not in had
            )
        return labels

    def _take_or_bake(
        self,
        recipe: Recipe,
        inputs: str,
        labels: Mapping[str, str],
        bake: Callable[[Order, Callable[[str], None]], None],
        text: str,
    ) -> None:
        """Use the image of exactly these inputs, or bake it."""
        reference = f"farm/{recipe.name}:{inputs[:16]}"
        if (image := self._by_reference(recipe.name, reference)) is None:
            order = Order(
                recipe=recipe,
                reference=reference,
                labels={
                    LABEL: "1",
                    _NAME: recipe.name,
                    _RECIPE: self.book.hashes[recipe.name],
                    _INPUTS: inputs,
                    **labels,
                },
                parents={arg: self.made[name].reference for arg, name in recipe.parents},
                inputs=text,
            )
            self.progress(recipe.name, "starting")
            bake(order, lambda line: self.progress(recipe.name, line))
            image = self._by_reference(recipe.name, reference)
        if image is None:
            raise SurroundingsError(f"the engine has no {reference}, though it was just made")
        self.made[recipe.name] = image
        self.progress(recipe.name, "ready", done=True)

    def _by_reference(self, name: str, reference: str) -> Image | None:
        there = existing(self.engine)
        return next((i for i in there if i.name == name and i.reference == reference), None)

    def progress(self, image: str, text: str, *, done: bool = False) -> None:
        """Emit how far an image is."""
        self.emit(ImageProgress(image=image, text=text, done=done))


def _spoken(recipe: Recipe, packages: Mapping[str, Iterable[Package]]) -> str:
    """Return what the scripts of an image read: its exact packages, pins and settings, as JSON."""
    return json.dumps(
        {
            "packages": {slot: [asdict(p) for p in there] for slot, there in packages.items()},
            "pins": [asdict(pin) for pin in recipe.pins],
            "settings": dict(recipe.settings),
        },
        indent=1,
        sort_keys=True,
    )


def _refuse_lost(rest: Iterable[Recipe], resolved: Resolved) -> None:
    """Raise SurroundingsError when something that no image can do without could not be had."""
    faults = []
    for recipe in rest:
        needs = [n for n in recipe.needs if (recipe.name, n.slot) not in resolved.packages]
        whole = len(needs) == len(recipe.needs)
        for need in needs:
            if not need.optional or whole:
                reasons = "; ".join(resolved.lost[recipe.name, need.slot])
                faults.append(f"{recipe.name} needs {need.slot}: {reasons}")
    if faults:
        raise SurroundingsError(
            "Debian's archive does not have what the images need:\n" + "\n".join(faults),
            "Check the network, and the proxy if there is one; the same command tries again.",
        )
