"""Opens a finished wheel as untrusted input: a zip file that anything may have written.

What makes an archive a sound wheel is the binary distribution format (PEP 427 and the
packaging specifications); that it is a safe one, the rules of installers and indexes:
https://packaging.python.org/en/latest/specifications/binary-distribution-format/
"""

from __future__ import annotations

import hashlib
import shutil
import struct
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO
from zipfile import BadZipFile, ZipFile, ZipInfo

from packaging.tags import Tag

from farm.model.errors import SurroundingsError
from farm.model.failures import Cause
from farm.wheels import contents, elf, entries, metadata, record
from farm.wheels.errors import WheelError, is_bug

MAX_TEXT = 16 << 20
"""Bytes of METADATA, WHEEL, RECORD or entry_points.txt, which are read into memory."""

ZIP_FAULTS = (
    BadZipFile,
    EOFError,
    NotImplementedError,  # a compression or a version of the format that zipfile lacks
    OSError,
    OverflowError,
    RuntimeError,  # an encrypted entry
    ValueError,
    struct.error,
    zlib.error,
)
"""All that `zipfile` raises on bytes that are no good zip file."""


@dataclass(frozen=True, kw_only=True)
class Wheel:
    """A wheel whose archive was read whole and found sound."""

    path: Path
    name: str
    """The distribution's name, spelled as METADATA spells it."""
    version: str
    """The distribution's version, spelled as METADATA spells it."""
    home: str
    """The name of its `.dist-info` directory, in the archive and where it is installed."""
    tags: frozenset[Tag]
    """The file name's tag, expanded (PEP 425)."""
    purelib: bool
    """`Root-Is-Purelib`: the root goes to purelib instead of platlib."""
    requires_python: str
    """The specifier of `Requires-Python`, or empty when every Python will do."""
    requires_dist: tuple[str, ...]
    provides_extra: tuple[str, ...]
    modules: tuple[str, ...]
    """What to import first: top-level modules and packages; of a namespace package, the
    regular packages in it, or its own name when there are none."""
    extensions: tuple[contents.Extension, ...]
    console_scripts: tuple[str, ...]
    """Programs that an installer generates from the entry points."""
    data_scripts: tuple[str, ...]
    """Programs that the wheel ships."""
    elf_files: tuple[str, ...]
    """Every file in the archive that begins like an ELF file, whatever its name."""
    sha256: str
    """Of the archive, in hexadecimal."""
    size: int
    """Of the archive, in bytes."""

    @property
    def platforms(self) -> tuple[str, ...]:
        """The platform tags, sorted."""
        return tuple(sorted({tag.platform for tag in self.tags}))

    @property
    def grafted(self) -> tuple[str, ...]:
        """The libraries of the system that a repair put into the wheel, in `NAME.libs/`."""
        return tuple(f for f in self.elf_files if f.partition("/")[0].endswith(".libs"))

    @property
    def scripts(self) -> tuple[str, ...]:
        """Every program that an installation puts in `bin/`, sorted."""
        return tuple(sorted({*self.console_scripts, *self.data_scripts}))


def read_wheel(path: Path) -> Wheel:
    """Return what the wheel at `path` holds, with everything in it verified.

    Reads every byte once. Raises WheelError naming every fault that was found.
    """
    with _opened(path) as archive:
        _raise(path, entries.faults(archive, path.stat().st_size))
        members = [e for e in archive.infolist() if not e.is_dir()]
        home = _dist_info(path, members)
        texts = _texts(path, archive, home)
        heads, faults = record.verify(archive, members, home, texts["RECORD"])
        about, more = metadata.read(path.name, home, texts)
        if about is None or faults or more:
            raise WheelError(path, [*faults, *more])
        files = [e.filename for e in members]
        elf_files = tuple(f for f in files if heads.get(f) == elf.MAGIC)
        tree = contents.Contents(files=tuple(files), stem=home.removesuffix(".dist-info"))
        return Wheel(
            path=path,
            name=about.name,
            version=about.version,
            home=home,
            tags=about.tags,
            purelib=about.purelib,
            requires_python=about.requires_python,
            requires_dist=about.requires_dist,
            provides_extra=about.provides_extra,
            console_scripts=about.console_scripts,
            modules=tree.modules(),
            extensions=tree.extensions(_plain_extensions(archive, tree, elf_files)),
            data_scripts=tree.scripts(),
            elf_files=elf_files,
            sha256=_sha256(path),
            size=path.stat().st_size,
        )


def unpack(wheel: Wheel, files: Iterable[str], into: Path) -> None:
    """Write `files` of the wheel under `into`, with no permission to run them.

    The wheel is one that `read_wheel` returned, so its names stay below `into`. Raises
    SurroundingsError when there is no room, WheelError when the file has changed since.
    """
    with _opened(wheel.path) as archive:
        for name in files:
            target = into / name
            try:
                target.parent.mkdir(parents=True, exist_ok=True)
                output = target.open("xb")
            except OSError as error:
                raise _no_room(wheel, into, error) from error
            with archive.open(name) as source, output:
                _copy(source, output, wheel, into)


def _copy(source: IO[bytes], output: IO[bytes], wheel: Wheel, into: Path) -> None:
    while chunk := source.read(shutil.COPY_BUFSIZE):  # type: ignore[attr-defined]
        try:
            output.write(chunk)
        except OSError as error:
            raise _no_room(wheel, into, error) from error


def _no_room(wheel: Wheel, into: Path, error: OSError) -> SurroundingsError:
    return SurroundingsError(
        f"cannot unpack {wheel.path.name} in {into} to audit it: {error.strerror}",
        f"Make room on the file system of {into.parent}, or set TMPDIR to another directory.",
        cause=Cause.ROOM,
    )


@contextmanager
def _opened(path: Path) -> Iterator[ZipFile]:
    """Open the archive; what `zipfile` raises, then or later, becomes a WheelError."""
    try:
        with ZipFile(path) as archive:
            yield archive
    except ZIP_FAULTS as error:
        if is_bug(error):
            raise
        said = f"{type(error).__name__}: {error}".removesuffix(": ")
        raise WheelError(path, [f"cannot be read as a zip file ({said})"]) from error


def _raise(path: Path, faults: Iterable[str]) -> None:
    if found := list(faults):
        raise WheelError(path, found)


def _dist_info(path: Path, members: list[ZipInfo]) -> str:
    """Return the name of the one `.dist-info` directory; raise WheelError for any other number."""
    tops = {e.filename.split("/")[0] for e in members if "/" in e.filename}
    found = sorted(top for top in tops if top.endswith(".dist-info"))
    if len(found) != 1:
        names = ", ".join(found) or "none"
        raise WheelError(path, [f"must hold exactly one .dist-info directory, holds {names}"])
    return found[0]


def _texts(path: Path, archive: ZipFile, home: str) -> dict[str, bytes]:
    """Return the files of `home` that are read; raise WheelError if one is missing or huge."""
    wanted = {"METADATA": True, "WHEEL": True, "RECORD": True, "entry_points.txt": False}
    texts: dict[str, bytes] = {}
    faults: list[str] = []
    sizes = {e.filename: e.file_size for e in archive.infolist()}
    for name, required in wanted.items():
        full = f"{home}/{name}"
        if full not in sizes:
            faults += [f"has no {full}"] if required else []
        elif sizes[full] > MAX_TEXT:
            faults.append(f"{full} has {sizes[full]} bytes, more than {MAX_TEXT}")
        else:
            texts[name] = archive.read(full)
    _raise(path, faults)
    return texts


def _plain_extensions(
    archive: ZipFile, tree: contents.Contents, elf_files: tuple[str, ...]
) -> frozenset[str]:
    """Return the files called `x.so`, with no ABI in their name, that are extension modules.

    Others by such a name are libraries that ctypes or cffi opens; only the exported
    initialisation function tells them apart.
    """
    found = set()
    for file, module in tree.plain_libraries():
        if file not in elf_files:
            continue
        with TemporaryFile() as copy, archive.open(file) as source:
            shutil.copyfileobj(source, copy)
            if elf.initialises(copy, module):
                found.add(file)
    return frozenset(found)


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
