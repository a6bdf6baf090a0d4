"""Which images there are, what each is made of, and what follows from which.

Pure: `recipes` turns the Debian base's data into values, `closure` and `levels` order them, and
the hashes say which image is which. `farm.engine.images` builds them.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass

from farm.bases import debian
from farm.bases.debian import Pin, Selection
from farm.model.errors import UsageError, nearest
from farm.model.targets import Arch

SEED = "seed"
BAKE_FILE = "docker-bake.hcl"
"""What the building of all images has in common; it stands beside their folders."""


@dataclass(frozen=True, kw_only=True)
class Need:
    """Packages that an image is made with, unpacked together in one root."""

    slot: str
    """What they are in the image's scripts, such as `root` or `cp39-cp39`."""
    candidates: tuple[Selection, ...]
    """The first that can be had is taken."""
    optional: bool = False
    """True where the image is made without, when no candidate can be had."""
    versions: tuple[tuple[str, str], ...] = ()
    """Which version the image's labels tell: pairs of label and package."""


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How one image is made."""

    name: str
    """Such as `builder-aarch64`; its repository on the engine is `farm/<name>`."""
    folder: str
    """Its folder in `images/`, and its target in the bake file."""
    platform: Arch
    """The architecture that the image says it is of."""
    parents: tuple[tuple[str, str], ...] = ()
    """Pairs of build argument and the name of the image that it names."""
    needs: tuple[Need, ...] = ()
    pins: tuple[Pin, ...] = ()
    settings: tuple[tuple[str, str], ...] = ()
    """What its scripts are told besides: pairs."""


def names_for(
    engine_arch: Arch, arches: Iterable[Arch], *, emulated: bool = False
) -> tuple[str, ...]:
    """Return the images that jobs for `arches` run in, on an engine of `engine_arch`.

    With `emulated`, also those in which a foreign architecture's own toolchain runs.
    """
    names: list[str] = []
    for arch in dict.fromkeys(arches):
        names += [f"builder-{arch}", f"check-{arch}"]
        if emulated and arch is not engine_arch:
            names.append(f"emulated-{arch}")
    return tuple(names)


def tools_for(arches: Iterable[Arch]) -> tuple[str, ...]:
    """Return the images that foreign architectures are tried and emulated with."""
    return tuple(f"{kind}-{arch}" for arch in arches for kind in ("qemu", "probe"))


def recipes(engine_arch: Arch) -> dict[str, Recipe]:
    """Return the recipe of every image that an engine of `engine_arch` can have, by name."""
    made = [_seed(engine_arch)]
    for arch in Arch:
        made += [_toolchain(engine_arch, arch), _python(engine_arch, arch)]
        made += [_builder(f"builder-{arch}", arch, host=engine_arch), _check(engine_arch, arch)]
        if arch is not engine_arch:
            made += [_builder(f"emulated-{arch}", arch, host=arch)]
            made += [_qemu(engine_arch, arch), _probe(arch)]
    return {recipe.name: recipe for recipe in made}


def with_parents(known: Mapping[str, Recipe], names: Iterable[str]) -> tuple[Recipe, ...]:
    """Return the recipes of `names` and of all that they are made from, parents first.

    Raises UsageError for a name that is no image.
    """
    ordered: dict[str, Recipe] = {}

    def add(name: str) -> None:
        if name in ordered:
            return
        if name not in known:
            raise UsageError(
                f"there is no image {name!r}{nearest(name, known)}",
                f"Known: {', '.join(known)}.",
            )
        for _, parent in known[name].parents:
            add(parent)
        ordered[name] = known[name]

    for name in names:
        add(name)
    return tuple(ordered.values())


def recipe_hashes(
    known: Mapping[str, Recipe], files: Mapping[str, Mapping[str, str]]
) -> dict[str, str]:
    """Return the hash of each recipe: its data, its folder's files, and its parents' hashes.

    `files` maps each folder of `images/` (and the bake file) to its files' paths and their
    contents' SHA256.
    """
    hashes: dict[str, str] = {}
    for recipe in with_parents(known, known):
        hashes[recipe.name] = digest(
            {
                "recipe": asdict(recipe),
                "files": files[recipe.folder],
                "common": files["common"],
                "resolve": files["resolve"] if recipe.parents else {},
                "bake": files[BAKE_FILE],
                "parents": {name: hashes[name] for _, name in recipe.parents},
            }
        )
    return hashes


def inputs_hash(
    recipe_hash: str, parents: Mapping[str, str], packages: Mapping[str, Iterable[object]]
) -> str:
    """Return the hash of all that an image is made from.

    `parents` maps parents to their own inputs' hashes, `packages` slots to the exact packages
    in them (`Package` values, in any order, wherever they are downloaded from).
    """
    return digest({"recipe": recipe_hash, "parents": parents, "packages": packages})


def digest(value: object) -> str:
    """Return the SHA256 of a value's canonical JSON."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def _seed(engine_arch: Arch) -> Recipe:
    selections = tuple(
        Selection(suite=suite, arch=engine_arch, packages=debian.SEED_PACKAGES)
        for suite in debian.SEED_SUITES
    )
    return Recipe(
        name=SEED,
        folder="seed",
        platform=engine_arch,
        needs=(Need(slot="seed", candidates=selections),),
        pins=debian.pins(engine_arch, "patchelf"),
    )


def _toolchain(engine_arch: Arch, host: Arch) -> Recipe:
    name = f"toolchain-{engine_arch}"
    warmed = SEED if host is engine_arch else name
    return Recipe(
        name=f"toolchain-{host}",
        folder="toolchain",
        platform=engine_arch,  # a carrier of files, whosever programs they are; nothing runs it
        parents=(("SEED", SEED), ("WARMED", warmed)),
        needs=(
            Need(
                slot="toolchain",
                candidates=debian.toolchain_selections(engine_arch, host),
                versions=(("rustc", "rustc"), ("cargo", "cargo")),
            ),
        ),
        pins=debian.pins(host),
        settings=(
            ("arch", host.value),
            ("engine_arch", engine_arch.value),
            ("arches", " ".join(Arch)),
            ("glibc", debian.GLIBC_FLOOR),
        ),
    )


def _python(engine_arch: Arch, arch: Arch) -> Recipe:
    native = SEED if arch is engine_arch else f"python-{engine_arch}"
    slots = {offer: offer.interpreter.prefix.rpartition("/")[2] for offer in debian.OFFERS}
    return Recipe(
        name=f"python-{arch}",
        folder="python",
        platform=arch,
        parents=(("SEED", SEED), ("NATIVE", native)),
        needs=tuple(
            Need(
                slot=slot,
                candidates=(debian.interpreter_selection(offer, arch),),
                optional=True,
                versions=((slot, f"python{offer.interpreter.version}"),),
            )
            for offer, slot in slots.items()
        ),
        settings=(
            ("arch", arch.value),
            ("engine_arch", engine_arch.value),
            *((slot, offer.interpreter.version) for offer, slot in slots.items()),
        ),
    )


def _builder(name: str, arch: Arch, *, host: Arch) -> Recipe:
    """Return the builder of `arch` whose toolchain's own programs run on `host`."""
    return Recipe(
        name=name,
        folder="builder",
        platform=arch,
        parents=(
            ("SEED", SEED),
            ("TOOLCHAIN", f"toolchain-{host}"),
            ("PYTHON", f"python-{arch}"),
        ),
        needs=(_root(debian.BUILDER_PACKAGES, arch),),
        settings=(("arch", arch.value), ("runs", host.value)),
    )


def _check(engine_arch: Arch, arch: Arch) -> Recipe:
    return Recipe(
        name=f"check-{arch}",
        folder="check",
        platform=arch,
        parents=(("SEED", SEED), ("PYTHON", f"python-{arch}")),
        needs=(_root(debian.CHECK_PACKAGES, arch),),
        pins=debian.pins(engine_arch, "uv"),
        settings=(("arch", arch.value), ("runs", arch.value)),
    )


def _root(packages: tuple[str, ...], arch: Arch) -> Need:
    return Need(
        slot="root",
        candidates=debian.root_selections(packages, arch),
        versions=(("glibc", "libc6"),),
    )


def _qemu(engine_arch: Arch, arch: Arch) -> Recipe:
    emulators = tuple(
        Selection(suite=emulator.suite, arch=engine_arch, packages=(emulator.package,))
        for emulator in debian.EMULATORS
    )
    programs = " ".join(emulator.path.format(arch=arch) for emulator in debian.EMULATORS)
    return Recipe(
        name=f"qemu-{arch}",
        folder="qemu",
        platform=engine_arch,
        parents=(("SEED", SEED),),
        needs=(Need(slot="qemu", candidates=emulators, versions=(("qemu", "qemu-user*"),)),),
        settings=(
            (f"usr/bin/qemu-{arch}", f"qemu:{programs}"),
            ("bin/busybox", "seed:usr/bin/busybox"),
        ),
    )


def _probe(arch: Arch) -> Recipe:
    return Recipe(
        name=f"probe-{arch}",
        folder="probe",
        platform=arch,
        parents=(("SEED", SEED),),
        needs=(Need(slot="shell", candidates=(debian.static_shell_selection(arch),)),),
        settings=(("bin/busybox", "shell:usr/bin/busybox"),),
    )
