"""The order of many jobs: builds in a row, and beside them what follows each build.

Jobs are independent: a failed one is a value, and the others go on.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Generic, TypeVar

from farm.model.plan import Job
from farm.model.results import JobResult, Status

INTERRUPTED = "interrupted"

Built = TypeVar("Built")


@dataclass(frozen=True, kw_only=True)
class Work(Generic[Built]):
    """What the scheduler calls. None of these raises for a job that fails: that is a result."""

    build: Callable[[Job], Built | JobResult]
    """Compile; return what `finish` wants, or the result where the job has already ended."""
    finish: Callable[[Built], JobResult]
    """Audit, check, publish."""
    skipped: Callable[[Job], JobResult]
    """The result of a job that was kept from starting."""
    stop: Callable[[str], None]
    """Make every call that is under way end soon, for the reason given."""


def run_jobs(
    jobs: Sequence[Job],
    work: Work[Built],
    *,
    builders: int = 1,
    finishers: int = 2,
    fail_fast: bool = False,
) -> tuple[tuple[JobResult, ...], bool]:
    """Run every job; return the results in the jobs' order, and whether Ctrl-C ended the run.

    At most `builders` builds and `finishers` finishes are under way at once. After Ctrl-C, and
    with `fail_fast` after the first failure, nothing more starts and what runs is stopped.
    """
    stopping = threading.Event()

    def stop(why: str) -> None:
        if not stopping.is_set():
            stopping.set()
            work.stop(why)

    def ended(result: JobResult) -> JobResult:
        if fail_fast and result.status is Status.FAILED:
            stop(f"--fail-fast, after {result.job} had failed")
        return result

    with ThreadPoolExecutor(builders) as building, ThreadPoolExecutor(finishers) as finishing:

        def first_half(job: Job) -> Future[JobResult] | JobResult:
            if stopping.is_set():
                return work.skipped(job)
            built = work.build(job)
            if isinstance(built, JobResult):
                return ended(built)
            return finishing.submit(lambda: ended(work.finish(built)))

        halves = [building.submit(first_half, job) for job in jobs]
        try:
            return _results(halves, stop)
        except BaseException:  # a bug
            stop(INTERRUPTED)
            raise


def _results(
    halves: Sequence[Future[Future[JobResult] | JobResult]], stop: Callable[[str], None]
) -> tuple[tuple[JobResult, ...], bool]:
    """Wait for the results; on Ctrl-C `stop`, and wait for what is left of them."""
    try:
        return tuple(_result(half) for half in halves), False
    except KeyboardInterrupt:
        stop(INTERRUPTED)
        return tuple(_result(half) for half in halves), True


def _result(half: Future[Future[JobResult] | JobResult]) -> JobResult:
    outcome = half.result()
    return outcome.result() if isinstance(outcome, Future) else outcome
