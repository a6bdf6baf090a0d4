"""Making images: one look at Debian's archive, and whatever it leads to.

What an image is made from is known before anything is built, and names it; an image of exactly
that is taken where it is there, and baked where not, each as soon as its parents are there.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import asdict

import docker

from farm.bases.recipes import SEED, Recipe, inputs_hash, with_parents
from farm.engine.bake import Order, Oven, simulate_seed
from farm.engine.resolve import Package, Resolved, answer, request
from farm.engine.stock import (
    INPUTS,
    INTERPRETERS,
    LABEL,
    LEFT_OUT,
    NAME,
    RECIPE,
    VERSION,
    Book,
    Image,
    existing,
    newest,
)
from farm.model.errors import SurroundingsError
from farm.model.events import Emit, Event, ImageProgress, Note, Warned

_SIDE_BY_SIDE = 4
"""How many images are baked at once."""


class Making:
    """One making of images: one look at the archive, and whatever it leads to."""

    def __init__(self, engine: docker.DockerClient, emit: Emit) -> None:
        self.engine = engine
        self.book = Book.read(engine)
        self.oven = Oven(engine)
        self._emit, self._lock = emit, threading.Lock()
        self.made: dict[str, Image] = {}
        """The images that this making uses, also those that were there."""
        self.bytes = 0

    def make(self, names: Iterable[str], *, upgrade: bool) -> dict[str, Image]:
        """Make `names` and what they are made from; return `names`."""
        todo = self._todo(names, upgrade=upgrade)
        try:
            self._make_all(todo)
        finally:
            self.oven.sweep()
        if self.bytes:
            self.emit(Note(text=f"downloaded {self.bytes / 1e6:,.0f} MB for the images"))
        return {name: self.made[name] for name in names}

    def _make_all(self, todo: Sequence[Recipe]) -> None:
        if SEED in {recipe.name for recipe in todo}:
            self._make_seed()
        rest = tuple(recipe for recipe in todo if recipe.name != SEED)
        resolved = self._resolve(rest)
        self._make_side_by_side(rest, resolved)

    def emit(self, event: Event) -> None:
        """Emit from any thread, one at a time."""
        with self._lock:
            self._emit(event)

    def _todo(self, names: Iterable[str], *, upgrade: bool) -> tuple[Recipe, ...]:
        """Return the recipes to look at, parents first; the images of the others are there."""
        there = existing(self.engine)
        todo: dict[str, Recipe] = {}

        def add(recipe: Recipe) -> None:
            image = newest(there, recipe.name, self.book.hashes[recipe.name])
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

    def _make_side_by_side(self, recipes: Iterable[Recipe], resolved: Resolved) -> None:
        """Make each image as soon as its parents are there; the first fault ends it."""
        waiting = {recipe.name: recipe for recipe in recipes}
        running: dict[Future[None], str] = {}
        with ThreadPoolExecutor(_SIDE_BY_SIDE) as pool:
            while waiting or running:
                for recipe in [r for r in waiting.values() if self._has_parents_of(r)]:
                    del waiting[recipe.name]
                    running[pool.submit(self._make_one, recipe, resolved)] = recipe.name
                done, _ = wait(running, return_when=FIRST_COMPLETED)
                for future in done:
                    del running[future]
                    future.result()

    def _has_parents_of(self, recipe: Recipe) -> bool:
        return all(name in self.made for _, name in recipe.parents)

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
            with self._lock:
                self.bytes += size

        self._take_or_bake(recipe, inputs, labels, bake, _spoken(recipe, packages))

    def _told(self, recipe: Recipe, resolved: Resolved) -> dict[str, str]:
        """Return the labels that say what is inside, its parents' among them."""
        labels = {
            key: value
            for argument, name in recipe.parents
            if argument != "NATIVE"  # helps to make the image, and leaves nothing in it
            for key, value in self.made[name].labels.items()
            if key.startswith(VERSION) or key in {INTERPRETERS, LEFT_OUT}
        }
        versions = resolved.versions(recipe) | {pin.project: pin.version for pin in recipe.pins}
        labels |= {f"{VERSION}{tool}": version for tool, version in versions.items()}
        return labels | _interpreters_told(recipe, resolved)

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
                    NAME: recipe.name,
                    RECIPE: self.book.hashes[recipe.name],
                    INPUTS: inputs,
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


def _interpreters_told(recipe: Recipe, resolved: Resolved) -> dict[str, str]:
    """Return the labels of which interpreters an image that is made of them has and has not."""
    slots = [need.slot for need in recipe.needs if need.optional]
    if not slots:
        return {}
    lost = {s: resolved.lost[recipe.name, s] for s in slots if not resolved.has(recipe.name, s)}
    return {
        INTERPRETERS: " ".join(slot for slot in slots if slot not in lost),
        LEFT_OUT: "; ".join(f"{slot} ({' '.join(reasons)})" for slot, reasons in lost.items()),
    }


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
        needs = [n for n in recipe.needs if not resolved.has(recipe.name, n.slot)]
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
