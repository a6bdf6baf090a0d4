"""Making images: one look at Debian's archive, and whatever it leads to.

What an image is made from is known before anything is built, and names it; an image of exactly
that is taken where it is there, and baked where not, each as soon as its parents are there.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager, suppress
from dataclasses import asdict

import docker
from filelock import FileLock, Timeout
from platformdirs import user_cache_path

from farm.bases.archive import Archive
from farm.bases.recipes import SEED, Recipe, digest, inputs_hash, with_parents
from farm.engine.bake import Order, Oven, Root
from farm.engine.lost import Lost, UnavailableError, Why, remedy, texts
from farm.engine.resolve import Had, Question, Resolved, recall, remember
from farm.engine.stock import (
    INPUTS,
    INSTEAD,
    INTERPRETERS,
    LABEL,
    LEFT_OUT,
    NAME,
    RECIPE,
    RESOLVED,
    SUITE,
    VERSION,
    Book,
    Image,
    existing,
    newest,
)
from farm.engine.supply import Supply, at_hand
from farm.host.faults import fault
from farm.model.errors import FarmError, SurroundingsError
from farm.model.events import Emit, Event, ImageProgress, Note, Warned

_SIDE_BY_SIDE = 4
"""How many images are baked at once."""
_KEY = 32
"""Hex digits in the name of an image's lock."""


class Making:
    """One making of images: one look at the archive, and whatever it leads to."""

    def __init__(self, engine: docker.DockerClient, emit: Emit, archive: Archive) -> None:
        self.engine, self.archive = engine, archive
        self.book = Book.read(engine)
        self.oven = Oven(engine)
        self._emit, self._lock = emit, threading.Lock()
        self._slots = threading.Semaphore(_SIDE_BY_SIDE)
        self._stopping = threading.Event()
        self._orders: dict[str, Order] = {}
        """What is looked at, by name."""
        self._coming: dict[str, Future[Image]] = {}
        """What this making uses: images that were there, and all of the orders."""
        self._before: dict[str, Image] = {}
        """Images that an upgrade may leave as they are."""
        self._bytes = 0

    @contextmanager
    def supply(self, names: Sequence[str], *, upgrade: bool) -> Iterator[Supply]:
        """Give `names`, which are made meanwhile with all that they are made from.

        At the end of the block nothing more is begun, and what is being baked is waited for.
        Raises SurroundingsError when Debian's archive does not have what they need.
        """
        todo = self._todo(names, upgrade=upgrade)
        rest = tuple(recipe for recipe in todo if recipe.name != SEED)
        try:
            if len(rest) < len(todo):
                self._make_seed()
            resolved = self._resolve(rest)
        except BaseException:
            self.oven.sweep()
            raise
        with ThreadPoolExecutor(len(rest) + 1) as pool:
            try:
                for recipe in rest:  # parents come first
                    self._orders[recipe.name] = self._order(recipe, resolved)
                for recipe in rest:
                    size = _size(recipe, resolved)
                    self._coming[recipe.name] = pool.submit(self._make, recipe.name, size)
                pool.submit(self._conclude)
                yield Supply(
                    labels={name: self._labels(name) for name in names},
                    coming={name: self._coming[name] for name in names},
                )
            finally:
                self._stopping.set()

    def emit(self, event: Event) -> None:
        """Emit from any thread, one at a time."""
        with self._lock:
            self._emit(event)

    def _todo(self, names: Iterable[str], *, upgrade: bool) -> tuple[Recipe, ...]:
        """Return the recipes to look at, parents first; the images of the others are there."""
        there = existing(self.engine)
        todo: dict[str, Recipe] = {}

        def add(recipe: Recipe) -> None:
            recipe_hash = self.book.hashes[recipe.name]
            image = newest(there, recipe.name, recipe_hash, self.archive)
            if image is not None and upgrade:
                self._before[image.name] = image
            elif image is not None:
                self._coming[image.name] = at_hand(image)
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
        """Make the seed, of the first suite that can be had, or take the one that is there."""
        recipe, before = self.book.recipes[SEED], self._before.get(SEED)
        lost: list[Lost] = []
        for selection in recipe.needs[0].candidates:
            root = Root(selection=selection, archive=self.archive)
            self.progress(SEED, f"looking at {selection.suite.name}")
            try:
                image = self._seed_of(recipe, root)
            except UnavailableError as error:
                lost.append(error.lost)
                if error.lost.why is Why.FORGED:
                    raise
                if before is None:
                    continue
                self.emit(Warned(text=f"{SEED} stays as it is, since {error.lost.text}"))
                image = before
            else:
                for each in lost:
                    self.emit(Warned(text=f"{SEED}: {selection.suite.name}, since {each.text}"))
            self._coming[SEED] = at_hand(image)
            self.progress(SEED, "ready", done=True)
            return
        reasons = "\n".join(texts(lost))
        raise SurroundingsError(
            f"no suite to make the first image of can be had:\n{reasons}", remedy(lost)
        )

    def _seed_of(self, recipe: Recipe, root: Root) -> Image:
        """Return the seed that is made of `root` today, made where it is not there."""
        inputs = inputs_hash(self.book.hashes[SEED], {}, {"seed": root.simulate()})
        told = {f"{SUITE}{SEED}": root.selection.suite.name}
        order = self._ordered(recipe, inputs, told, _spoken(recipe, {}))
        image = self._by_reference(order)
        if image is None:
            with self._alone(order):
                image = self._by_reference(order)
                if image is None:
                    self.oven.bake_seed(order, root, lambda line: self.progress(SEED, line))
                    image = self._made(order)
        return image

    def _resolve(self, rest: tuple[Recipe, ...]) -> Resolved:
        """Ask the archive once, for all needs of `rest`."""
        if not rest:
            return Resolved(had={}, lost={})
        before = {
            name: recall(image.labels.get(RESOLVED, "")) for name, image in self._before.items()
        }
        question = Question(recipes=rest, archive=self.archive, before=before)
        text = self.oven.resolve(
            self._reference(SEED), question.spoken(), lambda line: self.progress("archive", line)
        )
        resolved = question.answered(text)
        self.progress("archive", "resolved", done=True)
        self._bytes += resolved.index_bytes
        _refuse_forged(resolved)
        for text, places in resolved.second_choices().items():
            self.emit(Warned(text=f"{', '.join(places)}: {text}"))
        _refuse_lost(rest, resolved)
        return resolved

    def _order(self, recipe: Recipe, resolved: Resolved) -> Order:
        """Return what is baked for `recipe`, whose parents are there or ordered."""
        packages = resolved.of(recipe.name)
        parents = {name: self._labels(name)[INPUTS] for _, name in recipe.parents}
        identities = {
            slot: sorted(package.identity for package in had.packages)
            for slot, had in packages.items()
        }
        inputs = inputs_hash(self.book.hashes[recipe.name], parents, identities)
        told = self._told(recipe, resolved)
        return self._ordered(recipe, inputs, told, _spoken(recipe, packages))

    def _ordered(self, recipe: Recipe, inputs: str, told: Mapping[str, str], spoken: str) -> Order:
        return Order(
            recipe=recipe,
            reference=f"farm/{recipe.name}:{inputs[:16]}",
            labels={
                LABEL: "1",
                NAME: recipe.name,
                RECIPE: self.book.hashes[recipe.name],
                INPUTS: inputs,
                **told,
            },
            parents={argument: self._reference(name) for argument, name in recipe.parents},
            inputs=spoken,
        )

    def _told(self, recipe: Recipe, resolved: Resolved) -> dict[str, str]:
        """Return the labels that say what is inside, its parents' among them."""
        labels = {
            key: value
            for argument, name in recipe.parents
            if argument != "NATIVE"  # helps to make the image, and leaves nothing in it
            for key, value in self._labels(name).items()
            if key.startswith((VERSION, SUITE, INSTEAD)) or key in {INTERPRETERS, LEFT_OUT}
        }
        versions = resolved.versions(recipe) | {pin.project: pin.version for pin in recipe.pins}
        labels |= {f"{VERSION}{tool}": version for tool, version in versions.items()}
        had = resolved.of(recipe.name)
        for need in recipe.needs:
            if not need.optional and need.slot in had:
                labels[f"{SUITE}{need.slot}"] = had[need.slot].suite
            if text := resolved.instead(recipe.name, need.slot):
                labels[f"{INSTEAD}{need.slot}"] = text
        return labels | _interpreters_told(recipe, resolved) | {RESOLVED: remember(had)}

    def _labels(self, name: str) -> Mapping[str, str]:
        order = self._orders.get(name)
        return order.labels if order else self._coming[name].result().labels

    def _reference(self, name: str) -> str:
        order = self._orders.get(name)
        return order.reference if order else self._coming[name].result().reference

    def _make(self, name: str, size: int) -> Image:
        """Return the image of an order, baked where it is not there, once its parents are.

        What it is made from are `size` bytes to download. Where an upgrade can't make it, the
        image that it would replace stays.
        """
        order, before = self._orders[name], self._before.get(name)
        try:
            image = self._made_or_there(order, size)
        except SurroundingsError as error:
            if before is None or self._stopping.is_set():
                raise
            self.emit(Warned(text=f"{name} stays as it is: {error.message}"))
            image = before
        except FarmError:
            raise
        except Exception as error:
            self.progress(name, "could not be made", done=True, failed=True)
            raise fault(error, f"the image {name}") from error
        self.progress(name, "ready", done=True)
        return image

    def _made_or_there(self, order: Order, size: int) -> Image:
        """Return the image of `order`, baked where it is not there."""
        name = order.recipe.name
        for argument, parent in order.recipe.parents:
            if self._coming[parent].result().reference != order.parents[argument]:
                raise SurroundingsError(f"{parent}, which it is made from, stays as it is")
        image = self._by_reference(order)
        if image is not None:
            return image
        with self._slots, self._alone(order):
            if self._stopping.is_set():
                raise SurroundingsError(f"the image {name} was not made: the run ended before")
            image = self._by_reference(order)
            if image is not None:
                return image
            self.progress(name, "starting")
            try:
                self.oven.bake(order, lambda line: self.progress(name, line))
            except SurroundingsError:
                self.progress(name, "could not be made", done=True, failed=True)
                raise
        with self._lock:
            self._bytes += size
        return self._made(order)

    @contextmanager
    def _alone(self, order: Order) -> Iterator[None]:
        """Wait until no other farm of this user's makes the same image.

        Farms elsewhere may make it at the same time: both then have one of the same inputs, and
        the engine's name for it goes to the one that was ready last.
        """
        places = user_cache_path("farm") / "locks"
        name = f"{self.engine.info()['ID']} {order.reference}"
        lock = FileLock(places / f"{digest(name)[:_KEY]}.lock")
        with suppress(OSError):  # no place for locks: both make it
            places.mkdir(parents=True, exist_ok=True)
            try:
                lock.acquire(blocking=False)
            except Timeout:
                self.progress(order.recipe.name, "another farm makes it")
                with suppress(Timeout):  # the run ends
                    lock.acquire(cancel_check=self._stopping.is_set)
        try:
            yield
        finally:
            lock.release()

    def _conclude(self) -> None:
        """Once nothing is baked any more, clean up and say how much was downloaded."""
        wait(self._coming.values())
        self.oven.sweep()
        if self._bytes:
            self.emit(Note(text=f"downloaded {self._bytes / 1e6:,.0f} MB for the images"))

    def _made(self, order: Order) -> Image:
        """Return the image that was just baked."""
        image = self._by_reference(order)
        if image is None:
            raise SurroundingsError(f"the engine has no {order.reference}, though it was just made")
        return image

    def _by_reference(self, order: Order) -> Image | None:
        there = existing(self.engine)
        return next((i for i in there if i.reference == order.reference), None)

    def progress(self, image: str, text: str, *, done: bool = False, failed: bool = False) -> None:
        """Emit how far an image is."""
        self.emit(ImageProgress(image=image, text=text, done=done, failed=failed))


def _size(recipe: Recipe, resolved: Resolved) -> int:
    """Return the bytes that are downloaded for an image."""
    packages = (package for had in resolved.of(recipe.name).values() for package in had.packages)
    return sum(package.size for package in packages) + sum(pin.size for pin in recipe.pins)


def _interpreters_told(recipe: Recipe, resolved: Resolved) -> dict[str, str]:
    """Return the labels of which interpreters an image that is made of them has and has not."""
    slots = [need.slot for need in recipe.needs if need.optional]
    if not slots:
        return {}
    lost = {s: resolved.lost[recipe.name, s] for s in slots if not resolved.has(recipe.name, s)}
    gaps = {slot: "; ".join(texts(reasons)) for slot, reasons in lost.items()}
    return {
        INTERPRETERS: " ".join(slot for slot in slots if slot not in lost),
        LEFT_OUT: "; ".join(f"{slot} ({text})" for slot, text in gaps.items()),
    }


def _spoken(recipe: Recipe, packages: Mapping[str, Had]) -> str:
    """Return what the scripts of an image read: its exact packages, pins and settings, as JSON."""
    return json.dumps(
        {
            "packages": {slot: [asdict(p) for p in had.packages] for slot, had in packages.items()},
            "pins": [asdict(pin) for pin in recipe.pins],
            "settings": dict(recipe.settings),
        },
        indent=1,
        sort_keys=True,
    )


def _refuse_forged(resolved: Resolved) -> None:
    """Raise SurroundingsError where something was not what Debian signed, other ways or not."""
    lost = (each for reasons in resolved.lost.values() for each in reasons)
    if forged := [each for each in lost if each.why is Why.FORGED]:
        raise SurroundingsError("\n".join(texts(forged)), remedy(forged))


def _refuse_lost(rest: Iterable[Recipe], resolved: Resolved) -> None:
    """Raise SurroundingsError when something that no image can do without could not be had."""
    faults: dict[str, list[str]] = {}
    lost: list[Lost] = []
    for recipe in rest:
        needs = [n for n in recipe.needs if not resolved.has(recipe.name, n.slot)]
        whole = len(needs) == len(recipe.needs)
        for need in needs:
            if not need.optional or whole:
                reasons = resolved.lost.get((recipe.name, need.slot), ())
                text = (
                    "\n".join(f"  {each}" for each in texts(reasons)) or "  no suite is left to ask"
                )
                faults.setdefault(text, []).append(f"{recipe.name}/{need.slot}")
                lost += reasons
    if faults:
        told = (f"{', '.join(places)} can't be had:\n{text}" for text, places in faults.items())
        raise SurroundingsError(
            "Debian's archive does not have what the images need:\n" + "\n".join(told),
            remedy(lost),
        )
