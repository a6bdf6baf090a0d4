"""One job from its build to `dist/`: the steps in their order, each failure a value."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from farm.engine.containers import Cancelled
from farm.host.faults import fault
from farm.model.errors import FarmError, JobError
from farm.model.events import JobPhase, Phase, Warned
from farm.model.failures import Cause
from farm.model.plan import Build, Job
from farm.model.results import CheckResult, JobResult, Status, WheelFacts, broken, skipped
from farm.model.secrets import without_secrets
from farm.runs.cache import user_cache
from farm.runs.directory import append_result
from farm.runs.memory import Turns
from farm.steps.build import build, fewer_jobs
from farm.steps.context import Context, Log, Site
from farm.steps.publish import publish, sha256
from farm.steps.retries import persist
from farm.steps.smoke import check
from farm.steps.targets import Targets
from farm.wheels.audit import audit


@dataclass(kw_only=True)
class Progress:
    """What is known of a job so far."""

    job: Job
    how: Build
    site: Site | None = None
    attempts: int = 0
    phase: Phase = Phase.WAITING
    wheel: Path | None = None
    sound: bool = False
    """The build left the target directory as cargo made it: nothing was repaired in it."""
    policy: str = ""
    checks: tuple[CheckResult, ...] = ()
    seconds: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class _Attempt:
    """How a build is tried."""

    how: Build
    alone: bool = False
    """While no other build is under way, and with all of the memory."""


@dataclass(frozen=True, kw_only=True)
class JobRunner:
    """The steps of one run's jobs."""

    context: Context
    targets: Targets
    out: Path
    keys: Mapping[str, str]
    """By job, what its wheel is called in the cache; empty where nothing is cached."""
    lock: str = ""
    """See `JobResult.lock`."""
    smoke: bool = True
    turns: Turns = field(default_factory=Turns)

    def build(self, job: Job) -> Progress | JobResult:
        """Compile; what failed may be tried again, as it was or as the settings say."""
        progress = Progress(job=job, how=job.build)
        try:
            with self.context.log(job.id) as log, self._phase(progress, Phase.BUILD):
                try:
                    progress.wheel = self._build(progress, log)
                except JobError as error:
                    if job.fallback is None:
                        raise
                    progress.how = job.fallback
                    self._fall_back(job, job.fallback, error, log)
                    progress.wheel = self._build(progress, log)
        except (Cancelled, FarmError) as error:
            return self._ended(progress, error)
        finally:
            self.targets.ended(job.id)
        return progress

    def finish(self, progress: Progress) -> JobResult:
        """Audit, check and publish a wheel that was built."""
        job, path = progress.job, progress.wheel
        if path is None:
            raise TypeError(progress)
        try:
            with self.context.log(job.id) as log:
                with self._phase(progress, Phase.AUDIT):
                    audited = audit(path, job.target)
                    progress.policy = audited.require()
                progress.sound = not audited.wheel.grafted
                for planned in job.checks if self.smoke else ():
                    with self._phase(progress, Phase.CHECK, planned.interpreter.version):
                        checked = check(
                            self.context, audited.wheel, planned, progress.site, log, job=job.id
                        )
                        progress.checks += (checked,)
                _require_passed(progress.checks)
                with self._phase(progress, Phase.PUBLISH):
                    published = publish(path, self.out, self.context.workshop.run)
        except (Cancelled, FarmError) as error:
            return self._ended(progress, error)
        path.unlink()
        self._leave(progress, keep=self.context.keep)
        result = self._result(progress, Status.BUILT, wheel=published)
        self._cache(result)
        self._say(job, Phase.BUILT, str(published))
        return result

    def _cache(self, result: JobResult) -> None:
        if result.job in self.keys:
            try:
                user_cache().store(self.keys[result.job], result)
            except OSError as error:
                text = f"its wheel could not be put into the cache: {error}"
                self.context.emit(Warned(text=text, job=result.job))

    def skipped(self, job: Job) -> JobResult:
        """Return the result of a job that never started, since the run was cancelled."""
        self._say(job, Phase.SKIPPED)
        return skipped(job, self.context.workshop.cancelled)

    def broken(self, job: Job, error: Exception) -> JobResult:
        """Return the result of a job in which a bug of the farm's came up; it is written down."""
        found = fault(error, f"the job {job.id}", self.context.directory)
        log = str(self.context.log_path(job.id))
        result = broken(job, found, self.context.workshop.run, log)
        append_result(self.context.directory, result)
        self._say(job, Phase.FAILED, result.reason, log=log)
        return result

    def _build(self, progress: Progress, log: Log) -> Path:
        """Build as `progress.how` says; that and `attempts` tell of the last attempt."""

        def attempt(attempt: _Attempt) -> Path:
            progress.how = attempt.how
            progress.attempts += 1
            context = self.context
            if attempt.alone:
                log("waiting until no other build is under way: this one gets all of the memory")
                context = replace(context, memory=context.memory_alone)
            with self.turns.turn(alone=attempt.alone):
                return self._compile(progress, context, log)

        def say(text: str) -> None:
            log(text)
            self.context.emit(Warned(text=text, job=progress.job.id))

        return persist(
            attempt,
            _Attempt(how=progress.how),
            stopping=self.context.workshop.stopping,
            say=say,
            again=partial(_again, context=self.context),
        )

    def _compile(self, progress: Progress, context: Context, log: Log) -> Path:
        job = progress.job
        if progress.site is None:
            target = self.targets.volumes[job.id]
            progress.site = context.site(job.id, self.targets.shared, target=target)
        self.targets.prepare(job.id)
        return build(context, job, progress.how, progress.site, log)

    def _leave(self, progress: Progress, *, keep: bool) -> None:
        """Keep the job's volumes for who wants to enter it, or remove its own.

        Its target directory stays in any case, for the next build.
        """
        site, workshop = progress.site, self.context.workshop
        if site is None:
            return
        try:
            if progress.sound:
                self.targets.approve(progress.job.id)
            if keep:
                if site.built is not None:
                    built = self.targets.detached(site.built, progress.job.id)
                    workshop.keep(built, Phase.BUILD)
                if site.checked is not None:
                    workshop.keep(site.checked, Phase.CHECK)
            else:
                workshop.drop(site.source)
                workshop.drop(site.work)
        except (Cancelled, FarmError) as error:  # the job's result stands; the run removes the rest
            with self.context.log(progress.job.id) as log:
                log(str(error))

    def _fall_back(self, job: Job, fallback: Build, error: JobError, log: Log) -> None:
        text = f"{job.build.mode} build failed ({error.message}); trying {fallback.mode}"
        log(text)
        self.context.emit(Warned(text=text, job=job.id))

    @contextmanager
    def _phase(self, progress: Progress, phase: Phase, text: str = "") -> Iterator[None]:
        progress.phase = phase
        self._say(progress.job, phase, text)
        started = time.monotonic()
        try:
            yield
        finally:
            spent = progress.seconds.get(phase, 0) + time.monotonic() - started
            progress.seconds[phase] = round(spent, 3)

    def _ended(self, progress: Progress, error: Cancelled | FarmError) -> JobResult:
        if isinstance(error, Cancelled):
            self._say(progress.job, Phase.CANCELLED)
            return self._result(progress, Status.CANCELLED, reason=str(error))
        with self.context.log(progress.job.id) as log:
            log(f"{progress.phase} failed: {error.message}")
        self._say(
            progress.job,
            Phase.FAILED,
            error.message,
            log=str(self.context.log_path(progress.job.id)),
        )
        self._leave(progress, keep=True)
        return self._result(
            progress,
            Status.FAILED,
            wheel=progress.wheel,
            reason=error.message,
            cause=error.cause,
            exit_code=int(error.exit_code),
        )

    def _result(
        self,
        progress: Progress,
        status: Status,
        *,
        wheel: Path | None = None,
        reason: str = "",
        cause: str = "",
        exit_code: int = 0,
    ) -> JobResult:
        result = JobResult(
            job=progress.job.id,
            status=status,
            run=self.context.workshop.run,
            mode=progress.how.mode,
            linker=progress.how.linker,
            command=without_secrets(progress.how.command),
            prepare=without_secrets(progress.how.prepare),
            image=self._image(progress.how.command.image),
            log=str(self.context.log_path(progress.job.id)),
            seconds=progress.seconds,
            phase=progress.phase if status is Status.FAILED else "",
            reason=reason,
            cause=cause,
            attempts=progress.attempts,
            exit_code=exit_code,
            wheel=_facts(wheel) if wheel else None,
            checks=progress.checks,
            policy=progress.policy,
            lock=self.lock,
        )
        append_result(self.context.directory, result)
        return result

    def _image(self, name: str) -> str:
        """Return the id of an image, empty where it could not be made: the job failed for that."""
        try:
            return self.context.images[name].id
        except FarmError:
            return ""

    def _say(self, job: Job, phase: Phase, text: str = "", *, log: str = "") -> None:
        self.context.emit(JobPhase(job=job.id, phase=phase, text=text, log=log))


def _again(before: _Attempt, error: FarmError, *, context: Context) -> _Attempt | None:
    """Return how to try again after `error`, or None if that is of no use.

    What ran out of its part of the memory gets all of it, and so its compile jobs may stay one.
    """
    alone = error.cause is Cause.MEMORY and context.memory < context.memory_alone
    how = fewer_jobs(before.how, error, cpus=context.cpus)
    if how is None and alone and not before.alone:
        how = before.how
    return None if how is None else _Attempt(how=how, alone=alone or before.alone)


def _require_passed(checks: tuple[CheckResult, ...]) -> None:
    failed = [c for c in checks if not c.passed and not c.excused]
    if failed:
        text = "; ".join(f"on {c.interpreter}: {c.reason}" for c in failed)
        raise JobError(text, cause=Cause(failed[0].cause))


def _facts(path: Path) -> WheelFacts:
    return WheelFacts(path=str(path), sha256=sha256(path), size=path.stat().st_size)
