"""Reads an ELF file of a wheel into a value, for any architecture and without running it.

Dependencies are resolved by auditwheel's `ldd` inside the unpacked wheel only: this machine's
libraries are another system's than the one that the wheel is for.
"""

from __future__ import annotations

import struct
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, cast

from farm.model.errors import FarmError
from farm.model.failures import Cause
from farm.wheels.errors import is_bug

if TYPE_CHECKING:
    from auditwheel.lddtree import Platform
    from elftools.elf.elffile import ELFFile
    from elftools.elf.sections import Symbol, SymbolTableSection

MAGIC = b"\x7fELF"

MAX_VERSIONS = 100_000
"""Version entries that are read of one file; the largest libraries have some hundreds."""

_READER_FAULTS = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    EOFError,
    LookupError,
    MemoryError,
    OSError,
    RecursionError,
    TypeError,
    ValueError,
    struct.error,
)
"""All that pyelftools, and auditwheel through it, raise on bytes that are no good ELF file,
besides their own errors."""

_EXECUTABLE = 0x1
"""The flag PF_X of a segment."""
_VERNEED_BYTES = 16


class ElfError(FarmError):
    """A file begins like an ELF file and cannot be read as one."""

    cause = Cause.AUDIT


@dataclass(frozen=True, kw_only=True, order=True)
class Version:
    """One symbol version (such as `GLIBC_2.28`) that a file needs of a library."""

    library: str
    name: str
    symbols: tuple[str, ...] = ()
    """The symbols that it is needed for."""


@dataclass(frozen=True, kw_only=True, order=True)
class Found:
    """A needed library that is in the wheel, where the loader looks for it."""

    library: str
    file: str


@dataclass(frozen=True, kw_only=True)
class Elf:
    """What one ELF file is, and what it wants of the system that loads it."""

    file: str
    """Its path in the wheel."""
    machine: str
    """`e_machine` as pyelftools names it, with `32` or `BE` behind it where that applies."""
    level: str = ""
    """The instruction set beyond the architecture's first, such as `x86_64_v3`, that the file
    says it needs, or empty. auditwheel's own words where it does not know them."""
    needed: tuple[str, ...] = ()
    """The libraries it names (`DT_NEEDED`), in its order."""
    found: tuple[Found, ...] = ()
    """Those of them, and of what they need in turn, that the wheel ships."""
    versions: tuple[Version, ...] = ()
    undefined: frozenset[str] = frozenset()
    """Names that it must get from another file; weak ones, which may stay unset, are not in it."""
    search: tuple[str, ...] = ()
    """Where its loader looks for libraries first (`DT_RPATH`, `DT_RUNPATH`), as written."""
    executable_stack: bool = False


def read_elf(root: Path, file: str) -> Elf:
    """Return what the ELF file `file` of the wheel unpacked at `root` is.

    Raises ElfError when it cannot be read, or hides what it needs.
    """
    from auditwheel.error import AuditwheelError  # noqa: PLC0415  (keeps `farm --help` fast)
    from elftools.common.exceptions import ELFError  # noqa: PLC0415
    from elftools.construct.core import ConstructError  # noqa: PLC0415
    from elftools.elf.elffile import ELFFile  # noqa: PLC0415

    path = root / file
    try:
        with path.open("rb") as stream:
            elf = ELFFile(stream)
            _require_sane(elf, path.stat().st_size)
            return _read(elf, root, file)
    except (ELFError, ConstructError, AuditwheelError, *_READER_FAULTS) as error:
        if is_bug(error):
            raise
        raise ElfError(f"is no sound ELF file ({type(error).__name__}: {error})") from error


def initialises(stream: BinaryIO, module: str) -> bool:
    """Say whether the ELF file in `stream` has the function that `import module` calls.

    `module` is the last part of the module's name. PEP 489 and PEP 793 name the functions.
    A file that cannot be read has none.
    """
    from elftools.common.exceptions import ELFError  # noqa: PLC0415
    from elftools.construct.core import ConstructError  # noqa: PLC0415
    from elftools.elf.elffile import ELFFile  # noqa: PLC0415

    names = {f"PyInit_{module}", f"PyModExport_{module}"}
    try:
        size = stream.seek(0, 2)
        stream.seek(0)
        elf = ELFFile(stream)
        _require_sane(elf, size)
        table = _symbols(elf)
        symbols = table.iter_symbols() if table is not None else ()
        return any(s.name in names and s["st_shndx"] != "SHN_UNDEF" for s in symbols)
    except ElfError:
        return False
    except (ELFError, ConstructError, *_READER_FAULTS) as error:
        if is_bug(error):
            raise
        return False


def _read(elf: ELFFile, root: Path, file: str) -> Elf:
    from auditwheel.lddtree import ldd  # noqa: PLC0415

    if elf["e_type"] not in ("ET_DYN", "ET_EXEC"):
        return Elf(file=file, machine=_machine(elf))
    tree = ldd(root / file, root=str(root), ldpaths={"conf": [], "env": [], "interp": []})
    libraries = {name: lib.realpath for name, lib in tree.libraries.items() if lib.realpath}
    found = [
        Found(library=name, file=str(path.relative_to(root)))
        for name, path in libraries.items()
        if path.is_relative_to(root) and path.exists()
    ]
    undefined = dict(_undefined(elf))
    return Elf(
        file=file,
        machine=_machine(elf),
        level=_level(tree.platform),
        needed=tree.needed,
        found=tuple(sorted(found)),
        versions=tuple(sorted(_versions(elf, undefined))),
        undefined=frozenset(s.name for s in undefined.values() if not _is_weak(s)),
        search=tuple(_search(elf)),
        executable_stack=any(
            s["p_type"] == "PT_GNU_STACK" and s["p_flags"] & _EXECUTABLE
            for s in elf.iter_segments()
        ),
    )


def _level(platform: Platform) -> str:
    try:
        level = platform.extended_architecture
    except ValueError as error:
        return str(error)
    return level.value if level else ""


def _machine(elf: ELFFile) -> str:
    wide = "" if elf.elfclass == 64 else "32"  # noqa: PLR2004
    return f"{elf['e_machine']}{wide}{'' if elf.little_endian else 'BE'}"


def _require_sane(elf: ELFFile, size: int) -> None:
    """Raise ElfError for tables that would be read for ever, or that hide what is needed.

    auditwheel finds symbols and versions by their sections. The loader uses the dynamic
    segment and no section at all, so the two must tell of the same tables.
    """
    for section in elf.iter_sections():
        inside = section["sh_offset"] + section["sh_size"] <= size
        if section["sh_type"] not in ("SHT_NOBITS", "SHT_NULL") and not inside:
            raise ElfError(
                f"is no sound ELF file (section {section.name!r} reaches beyond its end)"
            )
        entries = section["sh_info"] if section["sh_type"] == "SHT_GNU_verneed" else 0
        if entries * _VERNEED_BYTES > section["sh_size"]:
            raise ElfError("is no sound ELF file (it has more version entries than room for them)")
    places = {"DT_SYMTAB": ".dynsym", "DT_VERNEED": ".gnu.version_r", "DT_VERSYM": ".gnu.version"}
    for tag, value in _dynamic(elf):
        if tag not in places:
            continue
        table = elf.get_section_by_name(places[tag])
        if table is None or table["sh_addr"] != value:
            text = f"no section {places[tag]} for its {tag}: it was stripped or changed"
            raise ElfError(f"is no sound ELF file ({text})")


def _dynamic(elf: ELFFile) -> Iterator[tuple[str, int]]:
    """Yield tag and value of each entry of the dynamic segment."""
    from elftools.elf.dynamic import DynamicSegment  # noqa: PLC0415

    for segment in elf.iter_segments():
        if isinstance(segment, DynamicSegment):
            yield from ((tag.entry.d_tag, tag.entry.d_val) for tag in segment.iter_tags())


def _symbols(elf: ELFFile) -> SymbolTableSection | None:
    from elftools.elf.sections import SymbolTableSection  # noqa: PLC0415

    section = elf.get_section_by_name(".dynsym")
    return section if isinstance(section, SymbolTableSection) else None


def _undefined(elf: ELFFile) -> Iterator[tuple[int, Symbol]]:
    """Yield index and symbol of everything that the file wants from others."""
    table = _symbols(elf)
    if table is None:
        return
    for index, symbol in enumerate(table.iter_symbols()):
        if symbol["st_shndx"] == "SHN_UNDEF" and symbol.name:
            yield index, symbol


def _is_weak(symbol: Symbol) -> bool:
    return bool(symbol["st_info"]["bind"] == "STB_WEAK")


def _versions(elf: ELFFile, undefined: dict[int, Symbol]) -> Iterator[Version]:
    from elftools.elf.gnuversions import GNUVerNeedSection, GNUVerSymSection  # noqa: PLC0415

    needs = elf.get_section_by_name(".gnu.version_r")
    if not isinstance(needs, GNUVerNeedSection):
        return
    users: defaultdict[int, list[str]] = defaultdict(list)
    numbers = elf.get_section_by_name(".gnu.version")
    if isinstance(numbers, GNUVerSymSection):
        for index, symbol in undefined.items():
            users[numbers.get_symbol(index)["ndx"]].append(symbol.name)
    entries = ((need.name or "", aux) for need, auxes in needs.iter_versions() for aux in auxes)
    for library, aux in islice(entries, MAX_VERSIONS):
        if not is_loader(library):
            symbols = tuple(sorted(users[aux["vna_other"]]))
            yield Version(library=library, name=aux.name, symbols=symbols)


def is_loader(library: str) -> bool:
    """Say whether `library` is a dynamic loader, which every system has."""
    return "ld-linux" in library or library in ("ld64.so.1", "ld64.so.2")


def _search(elf: ELFFile) -> Iterator[str]:
    from elftools.elf.dynamic import DynamicSegment  # noqa: PLC0415

    for segment in elf.iter_segments():
        if isinstance(segment, DynamicSegment):
            for tag in cast("Iterator[Any]", segment.iter_tags()):
                if tag.entry.d_tag == "DT_RPATH":
                    yield from tag.rpath.split(":")
                if tag.entry.d_tag == "DT_RUNPATH":
                    yield from tag.runpath.split(":")
