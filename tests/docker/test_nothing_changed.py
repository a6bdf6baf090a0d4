"""A second build, of what one build has made: what it takes from the cache, and what not."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from conftest import PROJECTS, Farm, Finished
from relay import Relay
from seen import remove_caches

pytestmark = pytest.mark.docker

JOB = "cp313-manylinux_2_28_x86_64"
NAME = "tiny-0.1.0-cp313-cp313-manylinux_2_28_x86_64.whl"


@dataclass(frozen=True, kw_only=True)
class Place:
    """A project with a cache of its own, and a relay to the engine."""

    farm: Farm
    top: Path
    relay: Relay
    before: Any
    """The report of the build that was."""

    @property
    def wheel(self) -> Path:
        return self.top / "tiny" / "dist" / NAME

    @property
    def stamp(self) -> tuple[int, int]:
        """What is another once the wheel in dist/ was written anew."""
        status = self.wheel.stat()
        return status.st_ino, status.st_mtime_ns

    @property
    def entries(self) -> list[Path]:
        return list((self.top / "cache" / "farm" / "wheels").glob("*/"))

    def __call__(self, *words: str) -> Finished:
        environment = {
            "XDG_CACHE_HOME": str(self.top / "cache"),
            "DOCKER_HOST": f"unix://{self.top / 'engine.sock'}",
        }
        return self.farm(*words, environment=environment).succeeded()

    def build(self, *words: str) -> Finished:
        words = (str(self.top / "tiny"), "--arch", "native", "--py", "3.13", *words)
        return self("build", *words)


@contextmanager
def relayed(top: Path) -> Iterator[Relay]:
    """Give a relay to the engine, at `top`, until the end of the block."""
    relay = Relay(top / "engine.sock")
    try:
        yield relay
    finally:
        relay.go()


@pytest.fixture(scope="module")
def made(farm: Farm, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Any]]:
    """Give where a project was built once, with its cache, and the report."""
    parent = tmp_path_factory.mktemp("nothing")
    top = parent / "made"
    shutil.copytree(PROJECTS / "tiny", top / "tiny")
    with relayed(top) as relay:
        place = Place(farm=farm, top=top, relay=relay, before=None)
        report = place.build("--json").json
    assert "POST" in relay.asked
    yield top, report
    remove_caches(parent)


@pytest.fixture
def place(farm: Farm, made: tuple[Path, Any]) -> Iterator[Place]:
    """Give a copy of it all, which is where that of the test before was."""
    top = made[0].with_name("copy")
    shutil.rmtree(top, ignore_errors=True)
    shutil.copytree(made[0], top, symlinks=True)
    with relayed(top) as relay:
        yield Place(farm=farm, top=top, relay=relay, before=made[1])


def test_where_nothing_changed_nothing_is_started_and_the_run_is_told(place: Place) -> None:
    left = place.stamp
    again = place.build()
    assert not {"POST", "PUT"} & set(place.relay.asked), "the engine was asked to do something"
    assert again.out.strip() == str(place.wheel)
    run = place.before["run"]
    assert f"{JOB}: cached from run {run}: {place.wheel}\n" in again.err
    table = again.err.partition("\ncached\n")[2].splitlines()
    assert table[0].startswith(f"  {JOB} ")
    assert table[0].endswith(f"passed on 3.13; from run {run}")
    assert table[1].endswith(": 1 cached")
    assert place.stamp == left


def test_of_a_wheel_taken_twice_the_run_that_made_it_is_told(place: Place) -> None:
    place.build()
    report = place.build("--json").json
    (result,) = report["jobs"]
    (first,) = place.before["jobs"]
    assert result["status"] == "cached"
    assert result["run"] == place.before["run"] != report["run"]
    same = ("command", "image", "checks", "policy", "mode", "linker")
    assert [result[key] for key in same] == [first[key] for key in same]


@pytest.mark.parametrize("what", ["gone", "another"])
def test_what_dist_lost_is_put_back(place: Place, what: str) -> None:
    whole = place.wheel.read_bytes()
    place.wheel.unlink()
    if what == "another":
        place.wheel.write_bytes(b"another")
    assert ": 1 cached" in place.build().err
    assert place.wheel.read_bytes() == whole


def test_what_is_forced_is_built_and_taken_from_then_on(place: Place) -> None:
    forced = place.build("--force", "--json").json
    assert [job["status"] for job in forced["jobs"]] == ["built"]
    again = place.build("--json").json
    assert [(job["status"], job["run"]) for job in again["jobs"]] == [("cached", forced["run"])]


def test_a_damaged_entry_is_built_again(place: Place) -> None:
    (entry,) = place.entries
    (wheel,) = entry.glob("*.whl")
    content = bytearray(wheel.read_bytes())
    content[len(content) // 2] ^= 1
    wheel.write_bytes(content)
    built = place.build("--json").json
    assert [job["status"] for job in built["jobs"]] == ["built"]
    assert place.entries == [entry]
    assert ": 1 cached" in place.build().err


def test_clean_says_what_the_cache_holds(place: Place) -> None:
    size = sum(path.stat().st_size for entry in place.entries for path in entry.iterdir())
    told = f"1 wheel in the cache: {size / 1000:.0f} kB; --cache removes them\n"
    assert told in place("clean").out
    assert len(place.entries) == 1
