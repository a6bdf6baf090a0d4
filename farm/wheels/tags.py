"""Compatibility tags (PEP 425, 600): what a wheel claims, and what a job was to make."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain

from packaging.specifiers import SpecifierSet
from packaging.tags import Tag, compatible_tags, cpython_tags

from farm.model.targets import Interpreter, Target
from farm.wheels.archive import Wheel

_PATCHES = range(100)


def claims(wheel: Wheel, interpreters: Iterable[Interpreter]) -> tuple[Interpreter, ...]:
    """Return those of `interpreters`, in their order, that the wheel says it works on.

    The architecture is not looked at: it is the caller's to take interpreters of the right one.
    """
    return tuple(i for i in interpreters if _fits(wheel, i) and _allows(wheel, i))


def expected_tags(target: Target, aliases: Iterable[str] = ()) -> frozenset[Tag]:
    """Return the tags that a wheel for `target` may have.

    `aliases` are other spellings of the target's platform tag. PEP 600 defines the legacy
    tags as exactly that (`manylinux2014_x86_64` is `manylinux_2_17_x86_64`), and maturin writes
    both, so an alias promises nothing that the job did not have to prove.
    """
    platforms = {target.platform_tag, *aliases}
    return frozenset(Tag(target.python_tag, target.abi_tag, p) for p in platforms)


def _fits(wheel: Wheel, interpreter: Interpreter) -> bool:
    """Say whether a tag of the wheel is one that the interpreter accepts on the wheel's platform.

    `packaging` knows that abi3 holds from its version on, and not for free-threaded builds.
    """
    version = (3, interpreter.minor)
    accepted = chain(
        cpython_tags(version, [interpreter.abi_tag], wheel.platforms),
        compatible_tags(version, interpreter.python_tag, wheel.platforms),
    )
    return not wheel.tags.isdisjoint(accepted)


def _allows(wheel: Wheel, interpreter: Interpreter) -> bool:
    """Say whether some patch release of the interpreter's version is in `Requires-Python`.

    Which patch release an image has is known only there; `>=3.9.2` is no reason to leave 3.9 out.
    """
    allowed = SpecifierSet(wheel.requires_python)
    return any(allowed.contains(f"3.{interpreter.minor}.{patch}") for patch in _PATCHES)
