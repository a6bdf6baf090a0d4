"""A controller that dies: nothing half-written, nothing lost, nothing left for long."""

from __future__ import annotations

import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import docker
import pytest
from conftest import wait_for
from relay import Relay

from farm.engine import images, leftovers
from farm.engine.connection import arch
from farm.engine.leftovers import RUN_LABEL, reap
from farm.engine.sentinel import SENTINEL_LABEL
from farm.model.targets import Arch, Interpreter, Target
from farm.runs.directory import new_id
from farm.wheels.audit import audit

JOB = "cp313-manylinux_2_28_x86_64"
SEED = 20261123
PATIENCE = 120.0
EARLIEST = 0.1
"""Seconds after which Python has started, and the farm heeds signals."""

HEARING = ("env", "--default-signal=INT")
"""Whoever starts the tests may ignore SIGINT, as a shell's `&` does, and so would the farm."""

Start = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Return a function that starts `farm build`; what a test leaves running is killed."""
    started: list[subprocess.Popen[str]] = []

    def run(
        project: Path,
        *words: str,
        home: Path = tmp_path,
        prefix: tuple[str, ...] = (),
        environment: Mapping[str, str] | None = None,
    ) -> subprocess.Popen[str]:
        farm = subprocess.Popen(
            [*prefix, *HEARING, sys.executable, "-m", "farm", "build", *words],
            cwd=project,
            env=os.environ | {"XDG_CACHE_HOME": str(home / "cache")} | dict(environment or {}),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        started.append(farm)
        return farm

    yield run
    for farm in started:
        if farm.returncode is None:
            os.killpg(farm.pid, signal.SIGKILL)
            farm.communicate()


def runs(project: Path) -> set[str]:
    return {path.name for path in (project / ".farm" / "runs").iterdir() if not path.is_symlink()}


def left(client: docker.DockerClient, project: Path) -> list[str]:
    """Return the names of all that runs of `project` have on the engine."""
    wanted = {"label": [RUN_LABEL]}
    containers = client.api.containers(all=True, filters=wanted)
    volumes = client.api.volumes(filters=wanted)["Volumes"] or []
    mine = runs(project)
    return [
        str(thing.get("Name") or thing["Names"])
        for thing in (*containers, *volumes)
        if thing["Labels"][RUN_LABEL] in mine
    ]


def require_whole(project: Path) -> None:
    """Assert that every wheel in dist/ is a good one."""
    target = Target(interpreter=Interpreter(minor=13), arch=Arch.X86_64)
    for wheel in (project / "dist").glob("*.whl"):
        audit(wheel, target).require()


ONE = ("--arch", "native", "--py", "3.13", "--force")


def undisturbed(start: Start, place: Path) -> float:
    """Return the seconds that a run takes which nothing disturbs."""
    whole = start(place, *ONE)
    began = time.monotonic()
    whole.communicate(timeout=PATIENCE)
    assert whole.returncode == 0
    return time.monotonic() - began


@pytest.mark.parametrize("kills", [10, pytest.param(100, marks=pytest.mark.slow)])
def test_a_controller_that_is_killed_at_any_moment_leaves_no_harm(
    warm: Callable[[str], Path], client: docker.DockerClient, start: Start, kills: int
) -> None:
    place = warm("tiny")
    longest = undisturbed(start, place)
    moments = random.Random(SEED)  # noqa: S311 - a test that repeats
    for _ in range(kills):
        moment = moments.uniform(0, longest)
        killed = start(place, *ONE)
        time.sleep(moment)
        killed.send_signal(signal.SIGKILL)
        killed.communicate()
        assert [wheel.name for wheel in (place / "dist").glob("*.whl")], f"lost at {moment:.2f} s"
        require_whole(place)
    last = start(place, *ONE)
    _, said = last.communicate(timeout=PATIENCE)
    assert last.returncode == 0, said
    wait_for(lambda: reap(client) and left(client, place) == [])
    assert [path.name for path in (place / "dist").iterdir()] == [
        "tiny-0.1.0-cp313-cp313-manylinux_2_28_x86_64.whl"
    ]
    assert not [*(place / ".farm").rglob("source.tar"), *(place / ".farm").rglob("*.whl")]


@pytest.mark.slow
def test_a_controller_that_is_interrupted_at_any_moment_ends_in_order(
    warm: Callable[[str], Path], client: docker.DockerClient, start: Start
) -> None:
    place = warm("tiny")
    longest = undisturbed(start, place)
    chosen = random.Random(SEED)  # noqa: S311 - a test that repeats
    for _ in range(40):
        number = chosen.choice((signal.SIGINT, signal.SIGTERM, signal.SIGHUP))
        moment = chosen.uniform(EARLIEST, longest)
        farm = start(place, *ONE, "--json")
        time.sleep(moment)
        farm.send_signal(number)
        out, said = farm.communicate(timeout=PATIENCE)
        where = f"{number.name} at {moment:.2f} s: {said}"
        assert farm.returncode in {0, 130}, where
        assert "Traceback" not in said, where
        assert "did not end in order" not in said, where
        if out:
            assert json.loads(out)["interrupted"] is (farm.returncode == 130), where
        else:
            assert farm.returncode == 130, where
        assert left(client, place) == [], where


def test_the_next_run_goes_on_with_what_was_done(
    project: Callable[[str], Path], client: docker.DockerClient, start: Start, tmp_path: Path
) -> None:
    place = project("tiny")
    words = ("--arch", "native", "--py", "3.13", "--py", "3.14")
    killed = start(place, *words)
    # an entry is named by a hash once it is whole, and "new-" before
    wait_for(lambda: list(tmp_path.glob("cache/farm/wheels/[0-9a-f]*/result.json")))
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    following = start(place, *words, "--json")
    out, said = following.communicate(timeout=PATIENCE)
    assert following.returncode == 0, said
    statuses = {job["job"]: job["status"] for job in json.loads(out)["jobs"]}
    assert statuses == {JOB: "cached", JOB.replace("313", "314"): "built"}
    assert "did not end in order" in said
    assert left(client, place) == []


def test_a_run_that_lives_is_never_taken_for_dead(
    warm: Callable[[str], Path], start: Start, tmp_path: Path
) -> None:
    """Two farms at once on one project, from two homes and process namespaces."""
    place = warm("tiny")
    apart = ("unshare", "--pid", "--fork", "--mount-proc")
    both = [start(place, *ONE, home=tmp_path / name, prefix=apart) for name in ("one", "two")]
    for farm in both:
        _, said = farm.communicate(timeout=PATIENCE)
        assert farm.returncode == 0, said
        assert not runs(place) & set(re.findall(r"removed what run (\S+),", said))
    require_whole(place)


def test_ctrl_c_keeps_what_is_finished_and_writes_the_report(
    project: Callable[[str], Path], client: docker.DockerClient, start: Start
) -> None:
    place = project("tiny")
    words = ("--arch", "native", "--py", "3.11", "--py", "3.13", "--py", "3.14", "--json")
    farm = start(place, *words)
    wait_for(lambda: list((place / "dist").glob("*.whl")))
    farm.send_signal(signal.SIGINT)
    out, said = farm.communicate(timeout=PATIENCE)
    assert farm.returncode == 130, said
    report = json.loads(out)
    assert report["interrupted"]
    statuses = [job["status"] for job in report["jobs"]]
    assert statuses[0] == "built"
    assert set(statuses[1:]) <= {"built", "cancelled", "skipped"}
    assert statuses[-1] in {"cancelled", "skipped"}
    assert {job["reason"] for job in report["jobs"] if job["status"] != "built"} == {"interrupted"}
    assert left(client, place) == []


def test_ctrl_c_while_the_run_cleans_up_costs_no_result(
    project: Callable[[str], Path], client: docker.DockerClient, start: Start, tmp_path: Path
) -> None:
    place = project("tiny")
    relay = Relay(tmp_path / "relay.sock", hold=b"DELETE /v1.41/volumes", number=4)
    address = {"DOCKER_HOST": f"unix://{tmp_path / 'relay.sock'}"}
    farm = start(place, *ONE, "--json", environment=address)
    assert relay.held.wait(PATIENCE)  # three volumes go with their job
    assert list((place / ".farm").glob("runs/*/journal.jsonl"))
    farm.send_signal(signal.SIGINT)
    out, said = farm.communicate(timeout=PATIENCE)
    assert farm.returncode == 130, said
    report = json.loads(out)
    assert report["interrupted"]
    assert [job["status"] for job in report["jobs"]] == ["built"]
    wait_for(lambda: reap(client) and left(client, place) == [])


def test_ctrl_c_before_any_job_also_writes_the_report(
    project: Callable[[str], Path], client: docker.DockerClient, start: Start
) -> None:
    place = project("tiny")
    farm = start(place, *ONE, "--json")
    wait_for(lambda: list((place / ".farm").glob("runs/*/source.tar")))
    farm.send_signal(signal.SIGTERM)
    out, said = farm.communicate(timeout=PATIENCE)
    assert farm.returncode == 130, said
    (job,) = json.loads(out)["jobs"]
    assert (job["status"], job["reason"]) == ("skipped", "interrupted")
    assert left(client, place) == []


@pytest.mark.parametrize(
    ("request_line", "number"),
    [
        pytest.param(b"POST /v1.41/containers/create", 1, id="the sentinel"),
        pytest.param(b"POST /v1.41/volumes/create", 1, id="the first volume"),
        pytest.param(b"POST /v1.41/containers/create", 2, id="the fetch"),
    ],
)
def test_ctrl_c_while_the_engine_makes_something_leaves_it_not_there(
    project: Callable[[str], Path],
    client: docker.DockerClient,
    start: Start,
    tmp_path: Path,
    request_line: bytes,
    number: int,
) -> None:
    place = project("tiny")
    relay = Relay(tmp_path / "relay.sock", hold=request_line, number=number)
    address = {"DOCKER_HOST": f"unix://{tmp_path / 'relay.sock'}"}
    farm = start(place, *ONE, environment=address)
    assert relay.held.wait(PATIENCE)
    farm.send_signal(signal.SIGINT)
    _, said = farm.communicate(timeout=PATIENCE)
    assert farm.returncode == 130, said
    assert relay.released.wait(PATIENCE)
    time.sleep(1)  # what an engine makes that nobody waits for
    assert left(client, place) == []


def test_ctrl_c_twice_ends_at_once(project: Callable[[str], Path], start: Start) -> None:
    place = project("tiny")
    farm = start(place, *ONE)
    wait_for(lambda: list((place / ".farm").glob("runs/*/fetch.log")))
    while farm.poll() is None:
        farm.send_signal(signal.SIGINT)
        time.sleep(0.05)
    _, said = farm.communicate()
    assert farm.returncode == 130
    assert said.endswith("interrupted again: what is left is removed by the next run\n")


def test_a_controller_that_is_killed_while_it_makes_an_image(
    warm: Callable[[str], Path], client: docker.DockerClient, start: Start, tmp_path: Path
) -> None:
    name, scratch = "probe-aarch64", tmp_path / "scratch"
    scratch.mkdir()
    image = images.ensure(client, [name], emit=lambda _: None)[name]
    client.api.remove_image(image.reference, force=True)
    place = warm("tiny")
    words, places = ("--arch", "aarch64", "--py", "3.13"), {"TMPDIR": str(scratch)}
    killed = start(place, *words, environment=places)
    wait_for(lambda: list(scratch.glob("*/context/Dockerfile")))
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    following = start(place, *words, environment=places)
    _, said = following.communicate(timeout=PATIENCE)
    assert following.returncode == 0, said
    assert images.find(client, [name])[name].reference == image.reference
    assert list(scratch.iterdir()) == []
    assert left(client, place) == []


def test_a_run_that_starts_while_another_cleans_up_is_left_alone(
    client: docker.DockerClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Seen with its sentinel made and not yet started, it is not dead when that comes to pass."""
    run, name = new_id(), f"builder-{arch(client)}"
    labels = {RUN_LABEL: run, SENTINEL_LABEL: "1"}
    image = images.ensure(client, [name], emit=lambda _: None)[name].id
    sentinel = client.containers.create(image, ["cat"], stdin_open=True, labels=labels)

    def look(engine: docker.DockerClient) -> leftovers.Leftovers:
        found = look_at_it(engine)
        sentinel.start()
        client.volumes.create(f"farm-{run}-work", labels={RUN_LABEL: run})
        monkeypatch.undo()
        return found

    look_at_it = leftovers.look
    monkeypatch.setattr(leftovers, "look", look)
    try:
        leftovers.reap(client)
        sentinel.reload()
        assert sentinel.status == "running"
        assert client.volumes.list(filters={"label": f"{RUN_LABEL}={run}"})
    finally:
        sentinel.remove(force=True)
        leftovers.sweep(client, run)
