"""Build: maturin, with an explicit interpreter, in a container of the target's architecture."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import IO

from farm.engine.containers import Container
from farm.model.errors import FarmError, JobError, SurroundingsError
from farm.model.failures import Cause
from farm.model.plan import SOURCE, TARGET, WORK, Build, Command, Job
from farm.model.runs import BUILT
from farm.steps.context import Context, Log, Site
from farm.steps.outcome import Setting, failure
from farm.steps.reasons import Reasons
from farm.steps.received import received
from farm.wheels.metadata import file_name_fault

_JOBS = "CARGO_BUILD_JOBS"
_SHOWN = 5
"""So many wheels are named where one was due."""


def fewer_jobs(how: Build, error: FarmError, *, cpus: float) -> Build | None:
    """Return how to try `how` again after `error`, or None if trying again is of no use.

    What is a matter of load is tried with half the compile jobs; the build's environment, else
    the container's `cpus`, says how many there were. One job that had too little memory will
    have it again.
    """
    if not error.cause.passing:
        return None
    if not error.cause.of_load:
        return how
    jobs = compile_jobs(how, cpus)
    if jobs == 1 and error.cause is Cause.MEMORY:
        return None
    environment = {**how.command.environment, _JOBS: str(max(jobs // 2, 1))}
    return replace(how, command=replace(how.command, environment=environment))


def compile_jobs(how: Build, cpus: float) -> int:
    """Return how many compile jobs cargo has at once."""
    told = how.command.environment.get(_JOBS, "")
    return int(told) if told.isdecimal() and int(told) else max(int(cpus), 1)


def build(context: Context, job: Job, how: Build, site: Site, log: Log) -> Path:
    """Build the wheel of `job` at `site`; return where it was put: the run's `built/` directory.

    Raises JobError when a command fails, or leaves anything but one wheel, and
    SurroundingsError where that is no fault of the job.
    """
    with brought_up(context, job, how, site, log) as container:
        _run(context, container, how.command, log, Cause.COMPILE)
        with container.get(job.out) as archive:
            return take_wheel(archive, context.directory / BUILT / job.id)


@contextmanager
def brought_up(context: Context, job: Job, how: Build, site: Site, log: Log) -> Iterator[Container]:
    """Fill the volumes of `site`, run what comes before the command, and give its container.

    That container was not started; `site.built` says what it is. Raises as `build`.
    """
    for number, command in enumerate((*how.prepare, how.command)):
        spec = context.spec(
            command,
            mounts=site.mounts(SOURCE, TARGET, WORK),
            deadline=_deadline(context),
            job=job.id,
        )
        site.built = replace(spec, environment=command.environment)
        with context.workshop.container(spec) as container:
            if number == 0:
                site.fill(container)
            if command is how.command:
                yield container
            else:
                _run(context, container, command, log, Cause.DEPENDENCY)


def _run(
    context: Context, container: Container, command: Command, log: Log, ordinary: Cause
) -> None:
    """Run the container's command; raise what its failure is, which is `ordinary` if no other."""
    log.command(command)
    reasons = Reasons(log)
    ended = container.run(reasons)
    if ended.code:
        setting = Setting(
            deadline=_deadline(context),
            emulated=command.arch is not context.engine_arch,
            network=command.network,
            ordinary=ordinary,
        )
        raise failure(ended, reasons, setting)


def _deadline(context: Context) -> float:
    return context.settings.limits.build_minutes * 60


def take_wheel(archive: IO[bytes], into: Path) -> Path:
    """Unpack the one wheel of a tar archive that came out of a container; return its path.

    What comes out of a container is not trusted: only a wheel's plain name of a regular file
    counts. Raises JobError when there is not exactly one wheel, SurroundingsError when there is
    no room for it.
    """
    shutil.rmtree(into, ignore_errors=True)
    into.mkdir(parents=True)
    found: list[str] = []
    with received(archive) as files:
        for file in files:
            if not file.name.endswith(".whl"):
                continue
            found.append(file.name)
            if len(found) == 1 and not file_name_fault(file.name):
                _write(file.content, into / file.name)
    if len(found) != 1:
        names = ", ".join(map(ascii, found[:_SHOWN])) or "none"
        raise JobError(f"maturin left {len(found)} wheels where one was due: {names}")
    if fault := file_name_fault(found[0]):
        raise JobError(f"what maturin left is no wheel: {fault}")
    return into / found[0]


def _write(content: IO[bytes], path: Path) -> None:
    try:
        with path.open("xb") as file:
            shutil.copyfileobj(content, file)
    except OSError as error:
        raise SurroundingsError(
            f"{path.name} could not be written to {path.parent}: {error.strerror}",
            "Make room on its file system.",
        ) from error
