"""The farm's images on the engine: which there are, and making those that are missing.

An image's tag and labels say what it was made from, so what is there is found without building
or asking the network: `find` for today's recipes, `existing` for all. `ensure` makes the rest.
"""

from __future__ import annotations

from collections.abc import Iterable

import docker
from docker.errors import APIError

from farm.bases.recipes import names_for
from farm.engine.bake import Oven
from farm.engine.stock import Book, Image, existing, newest
from farm.model.events import Emit, Warned

__all__ = ["Image", "ensure", "existing", "find", "names_for", "prune"]


def find(engine: docker.DockerClient, names: Iterable[str]) -> dict[str, Image]:
    """Return those of `names` that today's recipes need not make, by name; nothing is built."""
    hashes = Book.read(engine).hashes
    there = existing(engine)
    return {n: image for n in names if (image := newest(there, n, hashes.get(n, ""))) is not None}


def prune(engine: docker.DockerClient, *, emit: Emit) -> tuple[Image, ...]:
    """Remove the farm's images that no recipe names, or that a newer one of it replaced.

    Returns what was removed. One that a container uses stays, with a warning. What the engine
    keeps of the builds of those that are gone goes too.
    """
    oven = Oven(engine)
    layers = {record.id for record in oven.cache() if record.shared}
    hashes = Book.read(engine).hashes
    there = existing(engine)
    kept = {image.id for n in hashes if (image := newest(there, n, hashes[n])) is not None}
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
    oven.forget(record for record in oven.cache() if record.id in layers)
    oven.sweep()
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
        from farm.engine.making import Making  # noqa: PLC0415  (what is there needs no buildx)

        there = Making(engine, emit).make(names, upgrade=upgrade)
    _warn_of_gaps(there.values(), emit)
    return there


def _warn_of_gaps(images: Iterable[Image], emit: Emit) -> None:
    """Say which interpreters the images were made without, each gap once."""
    gaps: dict[str, list[str]] = {}
    for image in images:
        if image.left_out:
            gaps.setdefault(image.left_out, []).append(image.name)
    for gap, names in gaps.items():
        emit(
            Warned(
                text=f"{', '.join(names)} made without {gap}; "
                "farm images build --upgrade looks for it again"
            )
        )
