"""Checks that an extension stays in the stable ABI that its tag promises (PEP 384).

The list of what is in it, and since when, is abi3info's: the data behind abi3audit, which has
no interface for programs and brings an HTTP client, a PE reader and a cache along.
"""

from __future__ import annotations

from collections.abc import Iterator

from farm.wheels.elf import Elf

_PREFIXES = ("Py", "_Py")


def python_symbols(elf: Elf) -> tuple[str, ...]:
    """Return what the file takes from the interpreter that loads it, sorted."""
    return tuple(sorted(name for name in elf.undefined if name.startswith(_PREFIXES)))


def violations(elf: Elf, minor: int) -> Iterator[str]:
    """Say what the file uses that an abi3 wheel for Python 3.`minor` must not use.

    Only what the loader must find is looked at: a weak reference may stay unset, and what
    the compiler inlined is the file's own.
    """
    from abi3info import DATAS, FUNCTIONS  # noqa: PLC0415  (a large table; keeps `farm --help` fast)
    from abi3info.models import PyVersion, Symbol  # noqa: PLC0415

    for name in python_symbols(elf):
        known = FUNCTIONS.get(Symbol(name)) or DATAS.get(Symbol(name))
        if known is None:
            yield f"uses {name}, which is not in the stable ABI"
        elif known.added > PyVersion(3, minor):
            yield f"uses {name}, which the stable ABI has since {known.added} only"
