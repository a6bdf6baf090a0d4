"""The order of many jobs: some builds side by side, and beside them what follows each build.

Jobs are independent: a failed one is a value, and the others go on.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from farm.model.interrupt import Interrupted
from farm.model.plan import Job
from farm.model.results import FAULT, INTERRUPTED, JobResult, Status

Built = TypeVar("Built")


@dataclass(frozen=True, kw_only=True)
class Work(Generic[Built]):
    """What the scheduler calls. None of these raises for a job that fails: that is a result.

    What they raise all the same is a bug, and costs the one job.
    """

    build: Callable[[Job], Built | JobResult]
    """Compile; return what `finish` wants, or the result where the job has already ended."""
    finish: Callable[[Built], JobResult]
    """Audit, check, publish."""
    skipped: Callable[[Job], JobResult]
    """The result of a job that was kept from starting."""
    broken: Callable[[Job, Exception], JobResult]
    """The result of a job in which a bug of the farm's came up."""
    stop: Callable[[str], None]
    """Make every call that is under way end soon, for the reason given."""


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """How jobs are put in order."""

    builders: int = 1
    """How many builds are under way at once."""
    finishers: int = 2
    """How many finishes are."""
    first: Collection[str] = ()
    """Jobs that others wait for: they start before those."""
    awaited: Mapping[str, Sequence[Future[Any]]] = field(default_factory=dict)
    """By job, what has to have ended before, well or not."""
    seconds: Mapping[str, float] = field(default_factory=dict)
    """How long builds took earlier: the longest start first. One not known counts as long."""
    fail_fast: bool = False
    """After the first failure nothing more starts, and what runs is stopped."""


def run_jobs(
    jobs: Sequence[Job], work: Work[Built], schedule: Schedule
) -> tuple[tuple[JobResult, ...], bool]:
    """Run every job; return the results in the jobs' order, and whether Ctrl-C ended the run.

    After Ctrl-C nothing more starts and what runs is stopped.
    """
    run = _Run(jobs, work, schedule)
    with (
        ThreadPoolExecutor(schedule.builders) as run.building,
        ThreadPoolExecutor(schedule.finishers) as run.finishing,
    ):
        try:
            interrupted = run.to_the_end()
        except BaseException:  # a bug in here
            run.stop(FAULT)
            raise
    return run.results(), interrupted


class _Run(Generic[Built]):
    """The jobs of one run: those that wait for their turn, and those that have started."""

    building: ThreadPoolExecutor
    finishing: ThreadPoolExecutor

    def __init__(self, jobs: Sequence[Job], work: Work[Built], schedule: Schedule) -> None:
        self._jobs = jobs
        self._work = work
        self._schedule = schedule
        self._turns = _in_order(jobs, schedule)
        self._builds: dict[str, Future[Future[JobResult] | JobResult]] = {}
        self._stopping: Future[None] = Future()
        """Done once nothing more is to start."""
        self._lock = threading.Lock()

    def to_the_end(self) -> bool:
        """Start one job after the other and wait for all; tell whether Ctrl-C came."""
        try:
            self._drive()
        except Interrupted:
            self.stop(INTERRUPTED)
            self._drive()
            return True
        return False

    def stop(self, why: str) -> None:
        """Start nothing more, and end what runs, once."""
        with self._lock:
            if self._stopping.done():
                return
            self._stopping.set_result(None)
        self._work.stop(why)

    def results(self) -> tuple[JobResult, ...]:
        """Return what came of the jobs, all of which have ended."""
        return tuple(_result(self._builds[job.id]) for job in self._jobs)

    def _drive(self) -> None:
        while len(self._builds) < len(self._jobs):
            awaited = (*self._running(), *self._expected())  # before it is asked who can start
            startable = self._startable()
            for job in startable:
                self._builds[job.id] = self.building.submit(self._first_half, job)
            if not startable:
                wait(awaited, return_when=FIRST_COMPLETED)
        for build in tuple(self._builds.values()):
            _result(build)

    def _startable(self) -> list[Job]:
        """Return the jobs that can start now, as many as there is room for."""
        room = self._schedule.builders - len(self._running())
        waiting = (job for job in self._turns if job.id not in self._builds)
        return [job for job in waiting if self._may_start(job)][:room]

    def _may_start(self, job: Job) -> bool:
        return self._stopping.done() or not self._missing(job)

    def _missing(self, job: Job) -> list[Future[Any]]:
        return [each for each in self._schedule.awaited.get(job.id, ()) if not each.done()]

    def _expected(self) -> list[Future[Any]]:
        """Return what jobs that have not started wait for."""
        if self._stopping.done():
            return []
        waiting = (job for job in self._jobs if job.id not in self._builds)
        return [self._stopping, *(each for job in waiting for each in self._missing(job))]

    def _running(self) -> list[Future[Future[JobResult] | JobResult]]:
        return [build for build in self._builds.values() if not build.done()]

    def _first_half(self, job: Job) -> Future[JobResult] | JobResult:
        try:
            built = self._work.skipped(job) if self._stopping.done() else self._work.build(job)
        except Exception as error:  # noqa: BLE001 - a bug, whatever it is
            return self._ended(self._work.broken(job, error))
        if isinstance(built, JobResult):
            return self._ended(built)
        return self.finishing.submit(self._second_half, job, built)

    def _second_half(self, job: Job, built: Built) -> JobResult:
        try:
            result = self._work.finish(built)
        except Exception as error:  # noqa: BLE001 - a bug, whatever it is
            result = self._work.broken(job, error)
        return self._ended(result)

    def _ended(self, result: JobResult) -> JobResult:
        if self._schedule.fail_fast and result.status is Status.FAILED:
            self.stop(f"--fail-fast, after {result.job} had failed")
        return result


def _in_order(jobs: Sequence[Job], schedule: Schedule) -> list[Job]:
    """Return the jobs in the order in which they start if they can: those others wait for first."""
    longest = float("inf")

    def rank(job: Job) -> tuple[bool, float]:
        return job.id not in schedule.first, -schedule.seconds.get(job.id, longest)

    return sorted(jobs, key=rank)


def _result(half: Future[Future[JobResult] | JobResult]) -> JobResult:
    outcome = half.result()
    return outcome.result() if isinstance(outcome, Future) else outcome
