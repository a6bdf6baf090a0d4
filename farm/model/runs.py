"""A run as its directory tells of it: after its end, while it goes on, or broken off."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import PurePath

from farm.model.results import JobResult, Report, Status, WheelChecks

BUILT = "built"
"""Below a run's directory: the wheels that were built and not published."""
FETCH = "fetch"
"""The log of what comes before every job."""


class State(StrEnum):
    """Where a run is."""

    RUNNING = "running"
    ENDED = "ended"
    UNFINISHED = "unfinished"
    """Its process is gone and left no report: it was killed, or could not start its jobs."""
    UNREADABLE = "unreadable"
    """It ended, and what it wrote is damaged or another farm's."""


@dataclass(frozen=True, kw_only=True)
class LogFile:
    """One log of a run."""

    name: str
    """The job's id, `fetch`, or the file name of a wheel that was only tested."""
    path: str
    size: int


@dataclass(frozen=True, kw_only=True)
class Run:
    """One run of a project, a build or a test of wheels."""

    id: str
    project: str
    """The directory that it is a run of."""
    directory: str
    """Its own directory."""
    started: float
    """Seconds since 1970."""
    state: State
    planned: tuple[str, ...] = ()
    """The jobs of its plan, in their order; empty where it did not write them down."""
    logs: tuple[LogFile, ...] = ()
    """By name, that of the fetch first."""
    report: Report | None = None
    """None until its end, and of a test of wheels."""
    journal: tuple[JobResult, ...] = ()
    """The jobs that ended, as written down one by one."""
    checks: tuple[WheelChecks, ...] = ()
    """What came of a test of wheels."""
    fault: str = ""
    """Why it can't be read, in one line."""

    @property
    def results(self) -> tuple[JobResult, ...]:
        """What came of the jobs that ended so far."""
        return self.report.jobs if self.report else self.journal

    @property
    def failed(self) -> tuple[str, ...]:
        """The names of the jobs, or tested wheels, that failed."""
        jobs = [r.job for r in self.results if r.status is Status.FAILED]
        return (*jobs, *(PurePath(c.wheel).name for c in self.checks if not c.passed))

    @property
    def open(self) -> tuple[str, ...]:
        """The names of what began and did not end: it is under way, or was broken off."""
        if self.state not in {State.RUNNING, State.UNFINISHED}:
            return ()
        ended = {result.job for result in self.results}
        if len(self.logs) > 1:
            ended.add(FETCH)
        return tuple(log.name for log in self.logs if log.name not in ended)

    @property
    def expected(self) -> tuple[str, ...]:
        """The names of what has no log yet and may still get one, as long as the run goes on."""
        if self.state is not State.RUNNING:
            return ()
        there = {log.name for log in self.logs} | {result.job for result in self.results}
        return tuple(name for name in (FETCH, *self.planned) if name not in there)

    def log(self, name: str) -> LogFile | None:
        """Return the log called `name`."""
        return next((log for log in self.logs if log.name == name), None)
