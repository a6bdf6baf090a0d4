"""What came of a job, as a value that serializes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum

from farm.model.errors import FaultError
from farm.model.plan import Command, Job
from farm.model.secrets import without_secrets
from farm.model.targets import Mode

INTERRUPTED = "interrupted"
FAULT = "a fault of the farm"
"""Why jobs did not start, or ended, after Ctrl-C."""


class Status(StrEnum):
    """How a job ended."""

    BUILT = "built"
    CACHED = "cached"
    """An earlier run made the very wheel, from the same inputs."""
    FAILED = "failed"
    CANCELLED = "cancelled"
    """Stopped while it was under way."""
    SKIPPED = "skipped"
    """Never started, since the run ended before."""


@dataclass(frozen=True, kw_only=True)
class CheckResult:
    """How one check ended."""

    interpreter: str
    passed: bool
    seconds: float
    reason: str = ""
    """Why it failed or was excused, in one line."""
    cause: str = ""
    """The kind of that reason, as `Cause` names it."""
    attempts: int = 1
    """How often it was tried."""
    excused: bool = False


@dataclass(frozen=True, kw_only=True)
class WheelFacts:
    """A wheel that a job made."""

    path: str
    """Where it is on this machine: in `dist/`, or kept for inspection."""
    sha256: str
    size: int


@dataclass(frozen=True, kw_only=True)
class JobResult:
    """What came of one job, with all that it takes to build its wheel again."""

    job: str
    status: Status
    mode: Mode
    linker: str
    command: Command
    prepare: tuple[Command, ...] = ()
    """What made the build's environment before it."""
    image: str = ""
    """The builder image's id; empty for a job that never started, as is `log`."""
    log: str = ""
    seconds: Mapping[str, float] = field(default_factory=dict)
    """Wall time of each phase."""
    phase: str = ""
    """Where it failed."""
    reason: str = ""
    """Why it failed, in one line."""
    cause: str = ""
    """The kind of that reason, as `Cause` names it."""
    attempts: int = 1
    """How often its build was started."""
    exit_code: int = 0
    """The exit status that the failure calls for."""
    wheel: WheelFacts | None = None
    checks: tuple[CheckResult, ...] = ()
    policy: str = ""
    """The most compatible platform tag that the audit found the wheel to keep."""
    lock: str = ""
    """sha256 of the Cargo.lock that it was built with, where that is not the source's own."""
    run: str = ""
    """The run that made the wheel: this one, or an earlier one where it was found made."""

    @property
    def published(self) -> str:
        """The path of the wheel in `dist/`, or an empty string."""
        made = self.status in {Status.BUILT, Status.CACHED}
        return self.wheel.path if self.wheel and made else ""


def skipped(job: Job, why: str) -> JobResult:
    """Return the result of a job that never started."""
    return JobResult(
        job=job.id,
        status=Status.SKIPPED,
        mode=job.build.mode,
        linker=job.build.linker,
        command=without_secrets(job.build.command),
        prepare=without_secrets(job.build.prepare),
        attempts=0,
        reason=why,
    )


def broken(job: Job, error: FaultError, run: str, log: str) -> JobResult:
    """Return the result of a job of `run` in which a bug of the farm's came up, wherever."""
    return replace(
        skipped(job, f"{error.message}. {error.remedy}"),
        status=Status.FAILED,
        run=run,
        log=log,
        cause=error.cause,
        exit_code=int(error.exit_code),
    )


@dataclass(frozen=True, kw_only=True)
class Report:
    """A whole run: `report.json` of its directory."""

    run: str
    farm: str
    project: str
    version: str
    source: str
    """sha256 of the source tree that was sent."""
    source_date_epoch: int
    engine: Mapping[str, str]
    """Version, architecture and the like, for information."""
    emulation: Mapping[str, str]
    """QEMU's version for each foreign architecture."""
    images: Mapping[str, Mapping[str, str]]
    """Of each image that ran: its id, the hash of its inputs, the versions of what is in it."""
    jobs: tuple[JobResult, ...]
    fetch: tuple[Command, ...] = ()
    """What got the crates before any job."""
    commit: str = ""
    """The last commit of the project's git; the source may have had changes since."""
    checked: bool = True
    """False after `--no-smoke`."""
    network: bool = False
    """True when the builds had a network."""
    error: str = ""
    """What kept every job from starting."""
    interrupted: bool = False
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    seconds: float = 0


@dataclass(frozen=True, kw_only=True)
class WheelChecks:
    """What came of one wheel's checks."""

    wheel: str
    log: str
    checks: tuple[CheckResult, ...]

    @property
    def passed(self) -> bool:
        """Every check passed, and there was one."""
        return bool(self.checks) and all(c.passed for c in self.checks)
