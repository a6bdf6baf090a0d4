"""The same source gives the same bytes: elsewhere, another day, beside other jobs, built anew."""

from __future__ import annotations

import os
import re
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import libfaketime
import pytest
from conftest import PROJECTS, Farm

pytestmark = pytest.mark.docker

Project = Callable[[str], Path]
CLOCK = Path(libfaketime.__file__).parent / "vendor/libfaketime/src/libfaketime.so.1"
TELLS_THE_TIME = """fn main() {
    println!("cargo:warning=it is {:?}", std::time::SystemTime::now());
}
"""
DAYS = 86400
OLD = 1_000_000_000


def source(place: Path, name: str, clock: str) -> Path:
    """Copy a project to `place`; the clock of its builds is put forward, or back, by `clock`."""
    shutil.copytree(PROJECTS / name, place)
    shutil.copyfile(CLOCK, place / "clock.so")
    (place / "build.rs").write_text(TELLS_THE_TIME)
    with (place / "pyproject.toml").open("a") as file:
        file.write(
            '\n[tool.farm.environment]\nLD_PRELOAD = "/src/clock.so"\n'
            f'DONT_FAKE_MONOTONIC = "1"\nFAKETIME = "{clock}"\n'
        )
    return place


def hashes(report: Any) -> dict[str, str]:
    return {Path(job["wheel"]["path"]).name: job["wheel"]["sha256"] for job in report["jobs"]}


def time_inside(report: Any) -> int:
    """Return what the time was in the first build, in seconds since 1970."""
    told = re.search(
        r"it is SystemTime { tv_sec: (\d+)", Path(report["jobs"][0]["log"]).read_text()
    )
    assert told
    return int(told[1])


@pytest.mark.parametrize("name", [pytest.param("program", marks=pytest.mark.slow), "tiny"])
def test_a_wheel_is_the_same_elsewhere_another_day_and_beside_other_jobs(
    farm: Farm, tmp_path: Path, name: str
) -> None:
    here = source(tmp_path / name, name, "-3000d")
    there = source(tmp_path / "a longer" / "way ümlaut", name, "+400d")
    for path in there.rglob("*"):
        os.utime(path, (OLD, OLD))
    cache = {"XDG_CACHE_HOME": str(tmp_path / "cache")}
    another_day = {"LD_PRELOAD": str(CLOCK), "FAKETIME": "+400d", "DONT_FAKE_MONOTONIC": "1"}
    options = ("--arch", "all", "--no-smoke", "--force", "--json", "--py", "3.13")
    first = farm("build", here, *options, environment=cache).succeeded().json
    second = (
        farm("build", there, *options, "--py", "3.11", environment=cache | another_day)
        .succeeded()
        .json
    )
    assert time_inside(second) - time_inside(first) > 3390 * DAYS
    assert first["run"][:4] < second["run"][:4]
    assert len(hashes(first)) == 2
    assert hashes(second) == hashes(second) | hashes(first)


def test_a_wheel_is_the_same_from_what_other_builds_left(farm: Farm, project: Project) -> None:
    """What is compiled stays on the engine for the next build; the cache of wheels is empty."""
    place = project("tiny")
    build = ("build", place, "--arch", "all", "--py", "3.13", "--no-smoke", "--json")
    first = hashes(farm(*build).succeeded().json)
    library = place / "src" / "lib.rs"
    text = library.read_text()
    library.write_text(f'{text}\n#[no_mangle]\npub extern "C" fn more() -> u8 {{ 7 }}\n')
    changed = hashes(farm(*build).succeeded().json)
    assert not set(changed.values()) & set(first.values())
    library.write_text(text)
    assert hashes(farm(*build).succeeded().json) == first


# farm verify


def test_a_wheel_is_verified_by_building_it_once_more(
    farm: Farm, warm: Project, tmp_path: Path
) -> None:
    place = warm("tiny")
    with (place / "pyproject.toml").open("a") as file:
        file.write('\n[tool.farm.environment]\nMY_TOKEN = "a secret"\n')
    farm("build", place, "--py", "3.13", "--arch", "aarch64", "--no-smoke").succeeded()
    (wheel,) = (place / "dist").iterdir()
    before = wheel.stat()
    verified = farm("verify", wheel, "--project", place).succeeded()
    assert verified.out == "identical\n"
    assert "the secret in MY_TOKEN" in verified.err
    assert wheel.stat() == before
    assert not list(place.glob(".farm/runs/*/verify-*"))

    other = tampered(wheel, tmp_path / wheel.name)
    refused = farm("verify", other, "--project", place, "--json").failed(1)
    first, *others = refused.json["differences"]
    assert (first["member"], first["what"]) == ("tiny/__init__.py", "content")
    assert {each["what"] for each in others} == {"packing"}
    assert refused.json["rebuilt"] == refused.json["reported"] != refused.json["sha256"]
    assert Path(refused.json["path"]).read_bytes() == wheel.read_bytes()

    with (place / "src" / "lib.rs").open("a") as file:
        file.write("// one more line\n")
    gone = farm("verify", wheel, "--project", place).failed(2)
    assert "the source is not that of run" in gone.err


def tampered(wheel: Path, copy: Path) -> Path:
    """Write a copy of `wheel`, packed by another program, with one line more in its package."""
    with zipfile.ZipFile(wheel) as archive, zipfile.ZipFile(copy, "w") as changed:
        for entry in archive.infolist():
            more = b"import os\n" if entry.filename == "tiny/__init__.py" else b""
            changed.writestr(entry, archive.read(entry) + more)
    return copy
