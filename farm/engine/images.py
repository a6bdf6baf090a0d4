"""The farm's images on the engine: which there are, and making those that are missing.

An image's tag and labels say what it was made from, so what is there is found without building
or asking the network: `find` for today's recipes, `existing` for all. The rest is made: `ensure`
waits for it, `supply` gives each image once it is there.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager

import docker
from docker.errors import APIError

from farm.bases.archive import DEFAULT, Archive
from farm.bases.recipes import names_for
from farm.engine.bake import Oven
from farm.engine.stock import Book, Image, existing, newest
from farm.engine.supply import Supply, at_hand
from farm.model.events import Emit, Warned

__all__ = ["Image", "Supply", "ensure", "existing", "find", "names_for", "prune", "supply"]


def find(
    engine: docker.DockerClient, names: Iterable[str], archive: Archive = DEFAULT
) -> dict[str, Image]:
    """Return those of `names` that today's recipes need not make, by name; nothing is built."""
    hashes = Book.read(engine).hashes
    there = existing(engine)
    found = {name: newest(there, name, hashes.get(name, ""), archive) for name in names}
    return {name: image for name, image in found.items() if image is not None}


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


@contextmanager
def supply(
    engine: docker.DockerClient,
    names: Iterable[str],
    *,
    emit: Emit,
    archive: Archive = DEFAULT,
    upgrade: bool = False,
) -> Iterator[Supply]:
    """Give the images `names`; those of which the engine has none of today's recipe are made.

    They are made meanwhile, in about the order of `names`; at the end of the block what is being
    made is waited for, and nothing more begun. With `upgrade`, Debian's archive is asked what
    there is now, and an image is made anew exactly when what it is made from has changed. Raises
    SurroundingsError with a remedy, also when an image is asked for that could not be made.
    """
    wanted = tuple(dict.fromkeys(names))
    there = {} if upgrade else find(engine, wanted, archive)
    with ExitStack() as stack:
        if len(there) == len(wanted):
            found = Supply(
                labels={name: image.labels for name, image in there.items()},
                coming={name: at_hand(image) for name, image in there.items()},
            )
        else:
            from farm.engine.making import Making  # noqa: PLC0415  (what is there needs no buildx)

            found = stack.enter_context(
                Making(engine, emit, archive).supply(wanted, upgrade=upgrade)
            )
        for gap, lacking in found.gaps.items():
            emit(
                Warned(
                    text=f"{', '.join(lacking)} made without {gap}; "
                    "farm images build --upgrade looks for it again"
                )
            )
        yield found


def ensure(
    engine: docker.DockerClient,
    names: Iterable[str],
    *,
    emit: Emit,
    archive: Archive = DEFAULT,
    upgrade: bool = False,
) -> dict[str, Image]:
    """Return the images `names`, once all are there; else as `supply`."""
    with supply(engine, names, emit=emit, archive=archive, upgrade=upgrade) as found:
        return dict(found)
