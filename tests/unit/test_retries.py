from __future__ import annotations

import gc
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socketserver import ThreadingUnixStreamServer

import docker
import pytest
from tenacity import RetryCallState, wait_none

from farm.engine.containers import Cancelled, Workshop
from farm.model.errors import FarmError, JobError, SurroundingsError
from farm.model.failures import Cause
from farm.model.plan import Build, Command
from farm.model.targets import Arch, Mode
from farm.steps.build import compile_jobs, fewer_jobs
from farm.steps.retries import ATTEMPTS, persist, same_again, wait


class Flaky:
    """Fails with each of `causes` in turn, then succeeds; keeps how it was tried."""

    def __init__(self, *causes: Cause) -> None:
        self.causes = list(causes)
        self.tried: list[object] = []

    def __call__(self, how: object) -> str:
        self.tried.append(how)
        if self.causes:
            raise JobError("it failed", cause=self.causes.pop(0))
        return "done"


def persisted(flaky: Flaky, said: list[str] | None = None) -> str:
    return persist(
        flaky,
        "how",
        stopping=threading.Event(),
        say=(said if said is not None else []).append,
        wait=wait_none(),
    )


@pytest.mark.parametrize("cause", [Cause.QEMU, Cause.ENGINE, Cause.NETWORK])
def test_what_may_pass_is_tried_again_and_each_attempt_is_told(cause: Cause) -> None:
    flaky, said = Flaky(cause, cause), list[str]()
    assert persisted(flaky, said) == "done"
    assert len(flaky.tried) == 3
    assert said == [
        f"attempt {number} of 3 failed ({cause}: it failed); trying again in 0 s"
        for number in (1, 2)
    ]


def test_there_is_a_limit_and_the_last_error_counts() -> None:
    flaky = Flaky(*[Cause.QEMU] * 9)
    with pytest.raises(JobError) as caught:
        persisted(flaky)
    assert caught.value.cause is Cause.QEMU
    assert len(flaky.tried) == ATTEMPTS


FINAL = [cause for cause in Cause if not cause.passing]


@pytest.mark.parametrize("cause", FINAL)
def test_what_will_not_pass_is_never_tried_again(cause: Cause) -> None:
    flaky = Flaky(cause)
    with pytest.raises(JobError):
        persisted(flaky)
    assert len(flaky.tried) == 1
    assert fewer_jobs(make_build(), JobError("", cause=cause), cpus=8) is None


def test_causes_of_the_project_and_deadlines_are_final() -> None:
    assert {
        *(Cause.COMPILE, Cause.TEST, Cause.AUDIT, Cause.DEPENDENCY, Cause.LIBRARY),
        *(Cause.OFFLINE, Cause.DEADLINE),
    } <= set(FINAL)


def test_a_failure_after_another_is_judged_by_itself() -> None:
    flaky = Flaky(Cause.QEMU, Cause.COMPILE)
    with pytest.raises(JobError) as caught:
        persisted(flaky)
    assert caught.value.cause is Cause.COMPILE
    assert len(flaky.tried) == 2


def test_without_compilers_a_lack_of_memory_is_final() -> None:
    assert same_again("how", JobError("", cause=Cause.MEMORY)) is None


def test_a_bug_is_not_tried_again() -> None:
    def act(_: str) -> str:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        persist(act, "how", stopping=threading.Event(), say=[].append)


def make_build(**environment: str) -> Build:
    command = Command(
        image="emulated-aarch64",
        arch=Arch.AARCH64,
        argv=("maturin",),
        cwd="/src",
        environment=environment,
    )
    return Build(mode=Mode.EMULATED, linker="zig", prepare=(), command=command)


@pytest.mark.parametrize(
    ("environment", "cpus", "jobs"),
    [
        ({}, 8.0, 8),
        ({}, 2.5, 2),
        ({}, 0.5, 1),
        ({"CARGO_BUILD_JOBS": "3"}, 8.0, 3),
        ({"CARGO_BUILD_JOBS": "default"}, 8.0, 8),
        ({"CARGO_BUILD_JOBS": "0"}, 8.0, 8),
    ],
)
def test_as_many_compile_jobs_as_cargo_would_have(
    environment: dict[str, str], cpus: float, jobs: int
) -> None:
    assert compile_jobs(make_build(**environment), cpus) == jobs


def test_a_lack_of_memory_halves_the_compile_jobs_down_to_one() -> None:
    how: Build | None = make_build()
    jobs = []
    while how is not None:
        jobs.append(how.command.environment.get("CARGO_BUILD_JOBS"))
        how = fewer_jobs(how, JobError("", cause=Cause.MEMORY), cpus=5)
    assert jobs == [None, "2", "1"]


def test_a_crash_of_qemu_with_one_compile_job_is_tried_again() -> None:
    how = make_build(CARGO_BUILD_JOBS="1")
    assert fewer_jobs(how, JobError("", cause=Cause.QEMU), cpus=8) == how


def test_a_lost_engine_is_no_matter_of_load() -> None:
    how = make_build()
    assert fewer_jobs(how, SurroundingsError("", cause=Cause.ENGINE), cpus=8) is how


@pytest.mark.parametrize(
    ("cause", "least", "most"),
    [(Cause.QEMU, 0, 5), (Cause.ENGINE, 10, 60), (Cause.NETWORK, 10, 60)],
)
def test_waits_are_bounded_random_and_longer_for_what_takes_longer(
    cause: Cause, least: float, most: float
) -> None:
    waits = []
    for attempt in (1, 2):
        state = RetryCallState(None, None, (), {})  # type: ignore[arg-type]
        state.attempt_number = attempt
        state.set_exception((JobError, JobError("", cause=cause), None))
        waits += [wait(state) for _ in range(50)]
    assert all(least <= seconds <= most for seconds in waits)
    assert len(set(waits)) > 50


def test_an_interrupt_ends_the_wait_at_once() -> None:
    workshop = Workshop(client=None, run="run")  # type: ignore[arg-type]

    def act(_: str) -> str:
        if workshop.cancelled:
            raise Cancelled
        threading.Timer(0.05, workshop.cancel, ("interrupted",)).start()
        raise SurroundingsError("gone", cause=Cause.ENGINE)

    started = time.monotonic()
    with pytest.raises(Cancelled):
        persist(act, "how", stopping=workshop.stopping, say=[].append, wait=lambda _: 60.0)
    assert time.monotonic() - started < 10


class _Answer(BaseHTTPRequestHandler):
    """Answers like an engine's /info; keeps the connection, as the engine does."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        body = b'{"MemTotal": 4294967296, "NCPU": 2}'
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def address_string(self) -> str:
        return "client"

    def log_message(self, *_: object) -> None:
        pass


class _Engine(ThreadingUnixStreamServer):
    """An engine that can go away with all its connections, and come back."""

    def __init__(self, path: Path) -> None:
        self.open: list[socket.socket] = []
        super().__init__(str(path), _Answer)

    def get_request(self) -> tuple[socket.socket, str]:
        request, address = super().get_request()
        self.open.append(request)
        return request, address

    def go(self) -> None:
        self.shutdown()
        for request in self.open:
            with suppress(OSError):  # closed by its client
                request.shutdown(socket.SHUT_RDWR)
        self.server_close()
        Path(str(self.server_address)).unlink()


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Callable[[], _Engine]]:
    running: list[_Engine] = []

    def start() -> _Engine:
        server = _Engine(tmp_path / "engine.sock")
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        running.append(server)
        return server

    yield start
    running[-1].go()


@pytest.mark.filterwarnings("ignore::ResourceWarning")  # the SDK, of what it could not connect
def test_an_attempt_after_the_engine_came_back_reaches_it(
    engine: Callable[[], _Engine], tmp_path: Path
) -> None:
    first = engine()
    client = docker.DockerClient(base_url=f"unix://{tmp_path}/engine.sock", version="1.41")
    workshop = Workshop(client=client, run="run")
    assert workshop.default_limits()[1] == 2
    first.go()
    with pytest.raises(FarmError) as caught:
        workshop.default_limits()
    assert caught.value.cause is Cause.ENGINE
    del caught
    gc.collect()  # while the warning is ignored
    engine()
    assert workshop.default_limits()[1] == 2
    client.close()
