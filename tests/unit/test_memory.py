"""Builds that share the engine's memory, and one that gets all of it."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import pytest

from farm.model.errors import JobError
from farm.model.failures import Cause
from farm.model.plan import Build, Command
from farm.model.targets import Arch, Mode
from farm.runs.jobs import _again, _Attempt
from farm.runs.memory import Turns

PATIENCE = 10
"""Seconds after which a test that waits has failed."""
COMMAND = Command(image="builder-x86_64", arch=Arch.X86_64, argv=("maturin",), cwd="/src")
ATTEMPT = _Attempt(how=Build(mode=Mode.NATIVE, linker="zig", prepare=(), command=COMMAND))
LACK = JobError("", cause=Cause.MEMORY)


@dataclass
class FakeContext:
    cpus: float = 2
    memory: int = 1
    memory_alone: int = 2


def test_builds_that_share_go_on_side_by_side() -> None:
    turns, both = Turns(), threading.Barrier(2, timeout=PATIENCE)

    def build() -> None:
        with turns.turn(alone=False):
            both.wait()

    with ThreadPoolExecutor(2) as pool:
        for future in [pool.submit(build) for _ in range(2)]:
            future.result(PATIENCE)


def test_who_is_alone_waits_for_the_others_and_has_them_wait() -> None:
    turns, order = Turns(), []

    def alone() -> None:
        with turns.turn(alone=True):
            order.append("alone")

    def late() -> None:
        with turns.turn(alone=False):
            order.append("late")

    with ThreadPoolExecutor(2) as pool, turns.turn(alone=False):
        first = pool.submit(alone)
        while not turns._alone:
            time.sleep(0.001)  # until it wants to be
        second = pool.submit(late)
        order.append("before")
    first.result(PATIENCE)
    second.result(PATIENCE)
    assert order == ["before", "alone", "late"]


def test_two_that_want_to_be_alone_are_one_after_the_other() -> None:
    turns, busy = Turns(), threading.Lock()

    def build() -> None:
        with turns.turn(alone=True):
            assert busy.acquire(blocking=False)
            busy.release()

    with ThreadPoolExecutor(4) as pool:
        for future in [pool.submit(build) for _ in range(20)]:
            future.result(PATIENCE)


def test_a_lack_of_memory_is_answered_by_all_of_it_and_fewer_compile_jobs() -> None:
    context = FakeContext()
    second = _again(ATTEMPT, LACK, context=context)  # type: ignore[arg-type]
    assert second is not None
    assert second.alone
    assert second.how.command.environment["CARGO_BUILD_JOBS"] == "1"
    assert _again(second, LACK, context=context) is None  # type: ignore[arg-type]


def test_one_compile_job_that_lacked_memory_is_tried_once_more_alone() -> None:
    command = replace(COMMAND, environment={"CARGO_BUILD_JOBS": "1"})
    single = _Attempt(how=replace(ATTEMPT.how, command=command))
    second = _again(single, LACK, context=FakeContext())  # type: ignore[arg-type]
    assert second == _Attempt(how=single.how, alone=True)
    assert _again(second, LACK, context=FakeContext()) is None  # type: ignore[arg-type]


def test_who_had_all_of_the_memory_has_no_reason_to_be_alone() -> None:
    context = FakeContext(memory=2)
    second = _again(ATTEMPT, LACK, context=context)  # type: ignore[arg-type]
    assert second is not None
    assert not second.alone


@pytest.mark.parametrize("cause", [Cause.QEMU, Cause.ENGINE])
def test_what_passes_by_itself_is_tried_again_as_it_was(cause: Cause) -> None:
    before = replace(ATTEMPT, alone=True)
    after = _again(before, JobError("", cause=cause), context=FakeContext())  # type: ignore[arg-type]
    assert after is not None
    assert after.alone
