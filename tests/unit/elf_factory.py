"""Makes small ELF files byte by byte: what a compiler for any architecture would leave behind.

Only what the loader and an audit look at is in them (System V ABI, chapters 4 and 5, and the
LSB's symbol versioning); no code. So the tests need no compiler, and can break every rule.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

X86_64, AARCH64, RISCV = 62, 183, 243
X86_64_V3 = 0x4
_GLOBAL, _WEAK, _FUNC = 1 << 4, 2 << 4, 2


@dataclass(frozen=True, kw_only=True)
class ElfSpec:
    """One shared library."""

    machine: int = X86_64
    needed: Sequence[str] = ("libc.so.6",)
    versions: Mapping[tuple[str, str], Sequence[str]] = field(default_factory=dict)
    """(library, version): the symbols wanted in that version."""
    undefined: Sequence[str] = ()
    weak: Sequence[str] = ()
    defined: Sequence[str] = ()
    runpath: str = ""
    executable_stack: bool = False
    isa: int = 0
    """GNU_PROPERTY_X86_ISA_1_NEEDED, or 0 for no such note."""
    sections: bool = True
    """False: as `sstrip` leaves it, without section headers."""


class _Strings:
    def __init__(self) -> None:
        self.data = b"\0"

    def add(self, text: str) -> int:
        offset = len(self.data)
        self.data += text.encode() + b"\0"
        return offset


def extension(name: str, **spec: object) -> bytes:
    """Return an extension module `name` that defines its initialisation function."""
    return elf(ElfSpec(**{"defined": (f"PyInit_{name}",), **spec}))  # type: ignore[arg-type]


def elf(spec: ElfSpec) -> bytes:
    """Return the bytes of the file."""
    strings = _Strings()
    symbols, numbers = _symbols(spec, strings)
    verneed, libraries = _verneed(spec, strings)
    needed = [(1, strings.add(library)) for library in spec.needed]
    runpath = [(29, strings.add(spec.runpath))] if spec.runpath else []
    blocks: list[tuple[str, int, bytes, int, int, int]] = [
        (".dynstr", 3, strings.data, 0, 0, 0),
        (".dynsym", 11, symbols, 1, 1, 24),
        (".gnu.version", 0x6FFFFFFF, numbers, 2, 0, 2),
        (".gnu.version_r", 0x6FFFFFFE, verneed, 1, libraries, 0),
        (".note.gnu.property", 7, _note(spec.isa), 0, 0, 0),
    ]
    at, offset = {}, 64 + 3 * 56
    for name, _, data, *_rest in blocks:
        offset += -offset % 8
        at[name] = offset
        offset += len(data)
    versioned = [(0x6FFFFFF0, at[".gnu.version"]), (0x6FFFFFFE, at[".gnu.version_r"])]
    tags = [*needed, *runpath, (5, at[".dynstr"]), (6, at[".dynsym"])]
    tags += [*versioned, (0x6FFFFFFF, libraries)] if libraries else []
    dynamic = b"".join(struct.pack("<QQ", *tag) for tag in [*tags, (0, 0)])
    blocks.append((".dynamic", 6, dynamic, 1, 0, 16))
    return _assemble(spec, [b for b in blocks if _wanted(b[0], spec, libraries)])


def _wanted(name: str, spec: ElfSpec, libraries: int) -> bool:
    if name == ".note.gnu.property":
        return bool(spec.isa)
    return bool(libraries) or not name.startswith(".gnu.version")


def _symbols(spec: ElfSpec, strings: _Strings) -> tuple[bytes, bytes]:
    rows = [(0, 0, 0, 0)]
    for number, symbols in enumerate(spec.versions.values(), start=2):
        rows += [(strings.add(s), _GLOBAL | _FUNC, 0, number) for s in symbols]
    rows += [(strings.add(s), _GLOBAL | _FUNC, 0, 1) for s in spec.undefined]
    rows += [(strings.add(s), _WEAK | _FUNC, 0, 1) for s in spec.weak]
    rows += [(strings.add(s), _GLOBAL | _FUNC, 1, 1) for s in spec.defined]
    table = b"".join(struct.pack("<IBBHQQ", n, info, 0, index, 0, 0) for n, info, index, _ in rows)
    return table, b"".join(struct.pack("<H", number) for *_, number in rows)


def _verneed(spec: ElfSpec, strings: _Strings) -> tuple[bytes, int]:
    libraries: dict[str, list[tuple[int, str]]] = {}
    for number, (library, version) in enumerate(spec.versions, start=2):
        libraries.setdefault(library, []).append((number, version))
    data = b""
    for left, (library, versions) in zip(
        reversed(range(len(libraries))), libraries.items(), strict=True
    ):
        size = 16 * (1 + len(versions))
        data += struct.pack(
            "<HHIII", 1, len(versions), strings.add(library), 16, size if left else 0
        )
        for more, (number, version) in zip(reversed(range(len(versions))), versions, strict=True):
            data += struct.pack("<IHHII", 0, 0, number, strings.add(version), 16 if more else 0)
    return data, len(libraries)


def _note(isa: int) -> bytes:
    return struct.pack("<III4sIIII", 4, 16, 5, b"GNU\0", 0xC0008002, 4, isa, 0)


def _assemble(spec: ElfSpec, blocks: Sequence[tuple[str, int, bytes, int, int, int]]) -> bytes:
    names = _Strings()
    body, headers = b"", [bytes(64)]
    dynamic = (0, 0)
    start = 64 + 3 * 56
    for name, kind, data, link, info, entry in [*blocks, (".shstrtab", 3, b"", 0, 0, 0)]:
        label = names.add(name)
        content = names.data if name == ".shstrtab" else data
        body += bytes(-(start + len(body)) % 8)
        offset = start + len(body)
        body += content
        where = (offset, offset, len(content))
        headers.append(struct.pack("<IIQQQQIIQQ", label, kind, 2, *where, link, info, 8, entry))
        if name == ".dynamic":
            dynamic = (offset, len(content))
    body += bytes(-(start + len(body)) % 8)
    total = start + len(body)
    segments = struct.pack("<IIQQQQQQ", 1, 5, 0, 0, 0, total, total, 4096)
    offset, size = dynamic
    segments += struct.pack("<IIQQQQQQ", 2, 6, offset, offset, offset, size, size, 8)
    flags = 7 if spec.executable_stack else 6
    segments += struct.pack("<IIQQQQQQ", 0x6474E551, flags, 0, 0, 0, 0, 0, 16)
    table = (total, len(headers), len(headers) - 1) if spec.sections else (0, 0, 0)
    ident = b"\x7fELF" + bytes([2, 1, 1, 0]) + bytes(8)
    head = struct.pack(
        "<HHIQQQIHHHHHH", 3, spec.machine, 1, 0, 64, table[0], 0, 64, 56, 3, 64, *table[1:]
    )
    return ident + head + segments + body + (b"".join(headers) if spec.sections else b"")
