"""In the middle of a run the engine stops, its disk fills up, a container goes, the clock jumps."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import docker
import libfaketime
import pytest
from conftest import wait_for

from farm.engine.build_cache import held_caches
from farm.engine.images import find
from farm.engine.leftovers import JOB_LABEL, RUN_LABEL, SENTINEL_LABEL, look, release
from tests.second_engine import SecondEngine, second_engine

JOB = "py3-none-manylinux_2_28_x86_64"
WHEEL = "program-0.1.0-py3-none-manylinux_2_28_x86_64.whl"
FARM = (sys.executable, "-m", "farm")
PATIENCE = 300.0
SLOW = "fn main() { std::thread::sleep(std::time::Duration::from_secs(8)); }\n"

Project = Callable[[str], Path]


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecondEngine]:
    """Give an engine that holds what x86_64 wheels need, on a disk of 4 GiB."""
    client = docker.from_env()
    names = ("builder-x86_64", "check-x86_64")
    references = [image.reference for image in find(client, names).values()]
    client.close()
    assert len(references) == len(names)
    with second_engine(tmp_path_factory.mktemp("engine"), gib=4) as engine:
        engine.load(references)
        yield engine


@pytest.fixture
def slow(project: Project) -> Path:
    """Return a project of which the build takes eight seconds longer."""
    place = project("program")
    (place / "build.rs").write_text(SLOW)
    return place


class Run:
    """`farm build` at work."""

    def __init__(self, place: Path, address: str, **environment: str) -> None:
        self.farm = subprocess.Popen(
            [*FARM, "build", "--arch", "native", "--no-smoke", "--json"],
            cwd=place,
            env=os.environ
            | {"DOCKER_HOST": address, "XDG_CACHE_HOME": str(place / ".." / "cache")}
            | environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def ended(self) -> tuple[int, dict[str, object], str]:
        """Return status, report and what was said."""
        try:
            out, said = self.farm.communicate(timeout=PATIENCE)
        finally:
            self.farm.kill()
        (job,) = json.loads(out)["jobs"] if out else ({},)
        return self.farm.returncode, job, said


def building(client: docker.DockerClient) -> str:
    """Wait until maturin runs in a container of the engine; return the container's id."""

    def found() -> str:
        there = client.api.containers(filters={"label": [f"{JOB_LABEL}={JOB}"]})
        return next((str(c["Id"]) for c in there if c["Command"].startswith("maturin")), "")

    return str(wait_for(found, PATIENCE))


@contextmanager
def full(directory: Path) -> Iterator[None]:
    """Leave no room in the file system of `directory` until the end of the block."""
    filler = directory / "filler"
    try:
        with filler.open("wb") as file:
            for step in (1 << 28, 1 << 20, 1 << 12):
                with suppress(OSError):  # no room for that much
                    while True:
                        os.posix_fallocate(file.fileno(), os.fstat(file.fileno()).st_size, step)
        yield
    finally:
        filler.unlink()


def left(client: docker.DockerClient) -> list[str]:
    wanted = {"label": [RUN_LABEL]}
    volumes = client.api.volumes(filters=wanted)["Volumes"] or []
    containers = client.api.containers(all=True, filters=wanted)
    told = (f"{c['Command']} ({c['Status']})" for c in containers)
    return [*(volume["Name"] for volume in volumes), *told]


def test_an_engine_that_restarts_costs_time_and_nothing_else(
    engine: SecondEngine, slow: Path
) -> None:
    run = Run(slow, engine.address)
    with engine.client() as client:
        building(client)
    engine.stop()
    engine.start()
    status, job, said = run.ended()
    assert status == 0, said
    assert (job["status"], job["attempts"]) == ("built", 2)
    assert "engine gone" in said
    with engine.client() as client:
        assert left(client) == []


@pytest.mark.slow
def test_a_sentinel_comes_back_with_its_engine(engine: SecondEngine, slow: Path) -> None:
    run = Run(slow, engine.address)
    with engine.client() as client:
        building(client)
    engine.stop()
    engine.start()
    with engine.client() as client:
        building(client)
        sentinels = client.api.containers(filters={"label": [SENTINEL_LABEL]})
        assert len(sentinels) == 1
    assert run.ended()[0] == 0


@pytest.mark.slow
def test_a_container_that_somebody_removes_is_made_again(engine: SecondEngine, slow: Path) -> None:
    run = Run(slow, engine.address)
    with engine.client() as client:
        client.api.remove_container(building(client), force=True)
        status, job, said = run.ended()
        assert status == 0, said
        assert (job["status"], job["attempts"]) == ("built", 2)
        assert left(client) == []


def test_a_disk_that_fills_up_loses_no_wheel_and_the_next_run_ends_well(
    engine: SecondEngine, slow: Path
) -> None:
    (slow / "dist").mkdir()
    (slow / "dist" / WHEEL).write_bytes(b"an older good one")
    run = Run(slow, engine.address)
    with engine.client() as client:
        building(client)
        with full(engine.data):
            status, job, said = run.ended()
        assert status == 3, said
        assert (job["status"], job["cause"]) == ("failed", "no space")
        assert (slow / "dist" / WHEEL).read_bytes() == b"an older good one"
        status, job, said = Run(slow, engine.address).ended()
        assert status == 0, said
        assert [path.name for path in (slow / "dist").iterdir()] == [WHEEL]
        release(client, look(client).kept)
        assert left(client) == []


@pytest.mark.parametrize("jump", [pytest.param("+400d", marks=pytest.mark.slow), "-400d"])
def test_a_clock_that_jumps_changes_nothing(
    engine: SecondEngine, slow: Path, tmp_path: Path, jump: str
) -> None:
    """The controller's clock, not the engine's: both ways, in the middle of the build."""
    clock = tmp_path / "clock"
    clock.write_text("+0")
    library = Path(libfaketime.__file__).parent / "vendor/libfaketime/src/libfaketime.so.1"
    run = Run(
        slow,
        engine.address,
        LD_PRELOAD=str(library),
        FAKETIME_TIMESTAMP_FILE=str(clock),
        FAKETIME_NO_CACHE="1",
        DONT_FAKE_MONOTONIC="1",
    )
    with engine.client() as client:
        building(client)
        clock.write_text(jump)
        status, job, said = run.ended()
        assert status == 0, said
        assert (job["status"], job["attempts"]) == ("built", 1)
        assert left(client) == []
    assert Run(slow, engine.address).ended()[1]["status"] == "cached"


def test_where_room_is_short_what_other_projects_builds_left_goes(
    engine: SecondEngine, project: Project, tmp_path: Path
) -> None:
    """The second engine's disk is smaller than what is to be free."""
    first = project("program")
    second = Path(shutil.copytree(first, tmp_path / "another"))
    (second / "NOTES").write_text("Its wheel is not in the cache.")
    for place in (first, second):
        status, _, said = Run(place, engine.address).ended()
        assert status == 0, said
    assert f"what builds of {first} left is removed, to make room" in said
    with engine.client() as client:
        assert [held.title for held in held_caches(client)] == [str(second)]
