from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future

import pytest

from farm.model.interrupt import Interrupted
from farm.model.plan import Build, Command, Job
from farm.model.results import JobResult, Status
from farm.model.targets import Arch, Interpreter, Mode, Target
from farm.runs.scheduler import Schedule, Work, run_jobs

PATIENCE = 10
"""Seconds after which a test that waits has failed."""


def make_job(minor: int) -> Job:
    target = Target(interpreter=Interpreter(minor=minor), arch=Arch.X86_64)
    command = Command(image="builder-x86_64", arch=Arch.X86_64, argv=("maturin",), cwd="/src")
    build = Build(mode=Mode.NATIVE, linker="zig", prepare=(), command=command)
    return Job(id=target.id, target=target, build=build, fallback=None, checks=(), out="/work/out")


def result(job: Job, status: Status = Status.BUILT) -> JobResult:
    return JobResult(
        job=job.id,
        status=status,
        mode=Mode.NATIVE,
        linker="zig",
        command=job.build.command,
        image="",
        log="",
    )


class FakeEngine:
    """Builds and finishes at once; a test overrides what it is about."""

    def __init__(self) -> None:
        self.built: list[str] = []
        self.stopped = threading.Event()
        self.why = ""
        self.tells = False
        """Whether a bug in a job is told as its result."""
        self.bugs: list[str] = []

    def build(self, job: Job) -> Job | JobResult:
        self.built.append(job.id)
        return job

    def work(
        self,
        build: Callable[[Job], Job | JobResult] | None = None,
        finish: Callable[[Job], JobResult] = result,
    ) -> Work[Job]:
        return Work(
            build=build or self.build,
            finish=finish,
            skipped=lambda job: result(job, Status.SKIPPED),
            broken=self.broken,
            stop=self.stop,
        )

    def broken(self, job: Job, error: Exception) -> JobResult:
        if not self.tells:
            raise error  # or a test's own assertion would be a result
        self.bugs.append(str(error))
        return result(job, Status.FAILED)

    def stop(self, why: str) -> None:
        self.why = why
        self.stopped.set()


JOBS = tuple(make_job(minor) for minor in (9, 11, 13))


def test_results_come_in_the_order_of_the_jobs_whatever_ends_first() -> None:
    last_is_done = threading.Event()

    def finish(job: Job) -> JobResult:
        if job is JOBS[-1]:
            last_is_done.set()
        elif job is JOBS[0]:
            assert last_is_done.wait(PATIENCE)
        return result(job)

    results, interrupted = run_jobs(JOBS, FakeEngine().work(finish=finish), Schedule())
    assert [r.job for r in results] == [job.id for job in JOBS]
    assert not interrupted


def test_a_failed_job_leaves_the_others_to_finish() -> None:
    def build(job: Job) -> Job | JobResult:
        return result(job, Status.FAILED) if job is JOBS[1] else job

    results, _ = run_jobs(JOBS, FakeEngine().work(build=build), Schedule())
    assert [r.status for r in results] == [Status.BUILT, Status.FAILED, Status.BUILT]


def test_builds_go_on_while_a_finished_one_is_checked() -> None:
    second_is_built = threading.Event()

    def build(job: Job) -> Job | JobResult:
        if job is JOBS[1]:
            second_is_built.set()
        return job

    def finish(job: Job) -> JobResult:
        assert second_is_built.wait(PATIENCE)
        return result(job)

    run_jobs(JOBS, FakeEngine().work(build=build, finish=finish), Schedule())


def test_one_build_at_a_time() -> None:
    busy = threading.Lock()

    def build(job: Job) -> Job | JobResult:
        assert busy.acquire(blocking=False)
        busy.release()
        return job

    run_jobs(JOBS, FakeEngine().work(build=build), Schedule())


def test_fail_fast_starts_no_further_job_and_stops_what_runs() -> None:
    engine = FakeEngine()

    def build(job: Job) -> Job | JobResult:
        engine.built.append(job.id)
        return result(job, Status.FAILED)

    results, interrupted = run_jobs(JOBS, engine.work(build=build), Schedule(fail_fast=True))
    assert [r.status for r in results] == [Status.FAILED, Status.SKIPPED, Status.SKIPPED]
    assert engine.built == [JOBS[0].id]
    assert engine.why == f"--fail-fast, after {JOBS[0].id} had failed"
    assert not interrupted


def test_an_interrupt_keeps_what_is_finished_and_cancels_the_rest(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    engine = FakeEngine()
    first_is_done, second_is_under_way = threading.Event(), threading.Event()

    def build(job: Job) -> Job | JobResult:
        if job is JOBS[1]:
            second_is_under_way.set()
            assert engine.stopped.wait(PATIENCE)
            return result(job, Status.CANCELLED)
        return job

    def finish(job: Job) -> JobResult:
        first_is_done.set()
        return result(job)

    from farm.runs import scheduler

    wait, struck = scheduler.wait, []

    def interrupted_once(running: object, return_when: str) -> object:
        if first_is_done.is_set() and second_is_under_way.is_set() and not struck:
            struck.append(True)
            raise Interrupted
        return wait(running, 0.01, return_when)  # type: ignore[arg-type]

    monkeypatch.setattr(scheduler, "wait", interrupted_once)
    results, interrupted = run_jobs(JOBS, engine.work(build=build, finish=finish), Schedule())
    assert interrupted
    assert engine.why == "interrupted"
    assert [r.status for r in results] == [Status.BUILT, Status.CANCELLED, Status.SKIPPED]


def test_a_bug_in_one_job_costs_that_job() -> None:
    def build(job: Job) -> Job | JobResult:
        if job is JOBS[0]:
            raise ZeroDivisionError("in a build")
        return job

    def finish(job: Job) -> JobResult:
        if job is JOBS[1]:
            raise KeyError("after a build")
        return result(job)

    engine = FakeEngine()
    engine.tells = True
    results, interrupted = run_jobs(JOBS, engine.work(build, finish), Schedule())
    assert [r.status for r in results] == [Status.FAILED, Status.FAILED, Status.BUILT]
    assert engine.bugs == ["in a build", "'after a build'"]
    assert not interrupted
    assert engine.why == ""


def test_a_bug_of_the_scheduling_stops_what_runs_and_is_no_interrupt() -> None:
    def build(job: Job) -> Job | JobResult:
        raise ZeroDivisionError(job.id)

    engine = FakeEngine()
    with pytest.raises(ZeroDivisionError):
        run_jobs(JOBS, engine.work(build=build), Schedule())
    assert engine.why == "a fault of the farm"


def test_as_many_builds_at_once_as_are_allowed() -> None:
    both = threading.Barrier(2, timeout=PATIENCE)
    under_way = threading.Semaphore(2)

    def build(job: Job) -> Job | JobResult:
        assert under_way.acquire(blocking=False)
        if job is not JOBS[2]:
            both.wait()
        under_way.release()
        return job

    results, _ = run_jobs(JOBS, FakeEngine().work(build=build), Schedule(builders=2))
    assert [r.status for r in results] == [Status.BUILT] * 3


def test_a_job_that_others_wait_for_starts_before_them_and_they_beside_it() -> None:
    follower, leader = JOBS[0], JOBS[2]
    there: Future[None] = Future()
    begun = threading.Event()
    order = []

    def build(job: Job) -> Job | JobResult:
        order.append(job.id)
        if job is leader:
            there.set_result(None)
            assert begun.wait(PATIENCE)  # the leader has not ended
        elif job is follower:
            assert there.done()
            begun.set()
        return job

    schedule = Schedule(builders=2, first={leader.id}, awaited={follower.id: (there,)})
    results, _ = run_jobs(JOBS, FakeEngine().work(build=build), schedule)
    assert [r.status for r in results] == [Status.BUILT] * 3
    assert order[0] == leader.id


def test_a_job_waits_for_what_it_needs_and_the_others_go_on_meanwhile() -> None:
    needed: Future[None] = Future()

    def build(job: Job) -> Job | JobResult:
        if job is JOBS[0]:
            assert needed.done()
        elif job is JOBS[2]:
            needed.set_result(None)
        return job

    schedule = Schedule(awaited={JOBS[0].id: (needed,)})
    results, _ = run_jobs(JOBS, FakeEngine().work(build=build), schedule)
    assert [r.status for r in results] == [Status.BUILT] * 3


def test_a_job_whose_needs_can_not_be_met_starts_and_finds_out() -> None:
    lost: Future[None] = Future()
    lost.set_exception(ZeroDivisionError())
    engine = FakeEngine()
    run_jobs(JOBS, engine.work(), Schedule(awaited={JOBS[0].id: (lost,)}))
    assert set(engine.built) == {job.id for job in JOBS}


def test_a_job_that_waits_is_skipped_when_the_run_stops() -> None:
    never: Future[None] = Future()
    awaited = dict.fromkeys((JOBS[1].id, JOBS[2].id), (never,))

    def finish(job: Job) -> JobResult:
        return result(job, Status.FAILED)

    work = FakeEngine().work(finish=finish)
    results, _ = run_jobs(JOBS, work, Schedule(awaited=awaited, fail_fast=True))
    assert [r.status for r in results] == [Status.FAILED, Status.SKIPPED, Status.SKIPPED]


def test_the_longest_builds_start_first_and_those_not_known_before_them() -> None:
    engine = FakeEngine()
    run_jobs(JOBS, engine.work(), Schedule(seconds={JOBS[0].id: 5, JOBS[2].id: 50}))
    assert engine.built == [JOBS[1].id, JOBS[2].id, JOBS[0].id]
