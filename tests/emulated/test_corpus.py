"""The same projects built hybrid and emulated: no wheel tells how it was compiled."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import docker
import pytest
from conftest import PROJECTS, Farm
from elftools.elf.elffile import ELFFile
from elftools.elf.gnuversions import GNUVerNeedSection, GNUVerSymSection
from elftools.elf.sections import SymbolTableSection
from sdists import unpacked

from farm.engine import connection
from farm.model.targets import Arch
from farm.wheels.archive import read_wheel, unpack
from farm.wheels.elf import read_elf

pytestmark = [pytest.mark.docker, pytest.mark.emulated, pytest.mark.slow]

OWN = ("tiny", "program", "library", "calls_c")
REAL = (("rpds-py", "2026.9.1"),)


@dataclass(frozen=True, kw_only=True)
class Library:
    """One ELF file of a wheel, as the dynamic loader sees it."""

    machine: str
    needed: tuple[str, ...]
    search: tuple[str, ...]
    imported: frozenset[tuple[str, str, str]]
    """Name, binding and version of what it takes from others."""
    exported: frozenset[tuple[str, str]]
    """Name and type of what it gives."""


@dataclass(frozen=True, kw_only=True)
class Contents:
    """What there is to say of a wheel but its bytes."""

    name: str
    files: tuple[str, ...]
    libraries: dict[str, Library]
    checks: tuple[tuple[str, bool], ...]
    policy: str


@pytest.fixture(scope="module")
def foreign() -> Iterator[Arch]:
    with connection.connect() as client:
        yield other(client)


def other(client: docker.DockerClient) -> Arch:
    native = connection.arch(client)
    return next(arch for arch in Arch if arch is not native)


@pytest.mark.parametrize("name", OWN)
def test_a_small_project_is_the_same_wheel_either_way(
    farm: Farm, project: Callable[[str], Path], tmp_path: Path, foreign: Arch, name: str
) -> None:
    assert (PROJECTS / name / "Cargo.lock").is_file()
    compare(farm, project(name), tmp_path, foreign)


@pytest.mark.parametrize(("name", "version"), REAL)
def test_a_real_project_is_the_same_wheel_either_way(
    farm: Farm, tmp_path: Path, foreign: Arch, name: str, version: str
) -> None:
    compare(farm, unpacked(name, version, tmp_path), tmp_path, foreign)


def compare(farm: Farm, place: Path, tmp_path: Path, arch: Arch) -> None:
    hybrid, emulated = (
        contents(build(farm, place, mode, tmp_path / mode, arch), tmp_path / f"{mode}-unpacked")
        for mode in ("hybrid", "emulated")
    )
    assert hybrid.libraries
    assert all(library.imported for library in hybrid.libraries.values())
    assert hybrid == emulated


def build(farm: Farm, place: Path, mode: str, out: Path, arch: Arch) -> Any:
    words = ("--arch", arch, "--py", "3.13", "--mode", mode, "--out", out, "--json")
    (job,) = farm("build", place, *words).succeeded().json["jobs"]
    assert job["mode"] == mode
    return job


def contents(job: Any, into: Path) -> Contents:
    wheel = read_wheel(Path(job["wheel"]["path"]))
    unpack(wheel, wheel.elf_files, into)
    return Contents(
        name=wheel.path.name,
        files=tuple(sorted(ZipFile(wheel.path).namelist())),
        libraries={name: library(into, name) for name in wheel.elf_files},
        checks=tuple((check["interpreter"], check["passed"]) for check in job["checks"]),
        policy=job["policy"],
    )


def library(root: Path, name: str) -> Library:
    read = read_elf(root, name)
    with (root / name).open("rb") as stream:
        symbols = tuple(dynamic_symbols(ELFFile(stream)))
    return Library(
        machine=read.machine,
        needed=read.needed,
        search=read.search,
        imported=frozenset((s.name, s.bind, s.version) for s in symbols if s.undefined),
        exported=frozenset((s.name, s.kind) for s in symbols if not s.undefined),
    )


@dataclass(frozen=True, kw_only=True)
class Symbol:
    name: str
    bind: str
    kind: str
    undefined: bool
    version: str


def dynamic_symbols(elf: ELFFile) -> Iterator[Symbol]:
    table = elf.get_section_by_name(".dynsym")
    numbers = elf.get_section_by_name(".gnu.version")
    needs = elf.get_section_by_name(".gnu.version_r")
    assert isinstance(table, SymbolTableSection)
    assert isinstance(numbers, GNUVerSymSection)
    assert isinstance(needs, GNUVerNeedSection)
    names = {
        version["vna_other"]: f"{need.name}:{version.name}"
        for need, versions in needs.iter_versions()
        for version in versions
    }
    for index, symbol in enumerate(table.iter_symbols()):
        if symbol.name:
            yield Symbol(
                name=symbol.name,
                bind=symbol["st_info"]["bind"],
                kind=symbol["st_info"]["type"],
                undefined=symbol["st_shndx"] == "SHN_UNDEF",
                version=names.get(numbers.get_symbol(index)["ndx"], ""),
            )
