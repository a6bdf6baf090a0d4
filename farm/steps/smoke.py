"""Smoke test: a finished wheel, installed and imported in a clean container of its own kind."""

from __future__ import annotations

import math
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import IO

from farm.engine.containers import Container, Mount
from farm.model.errors import FarmError, JobError
from farm.model.events import Warned
from farm.model.failures import Cause, Ended
from farm.model.plan import CHECK, SOURCE, Check, Command
from farm.model.results import CheckResult
from farm.steps.commands import COMPILER, PROGRAM, REQUEST, WHEEL
from farm.steps.context import Context, Log, Site, archive
from farm.steps.network import certificates
from farm.steps.outcome import Setting, failure
from farm.steps.reasons import Reasons
from farm.steps.retries import persist
from farm.wheels.archive import Wheel
from farm.wheels.check import Answer, answer, compile_program, program, request

USER = 1000
"""Who the check runs as, in every check image."""

_NO_VOLUME = re.compile(r"[^A-Za-z0-9_.-]")
"""What the engine takes in no volume's name, and a wheel's may have: `+` of a local version."""


@dataclass(frozen=True, kw_only=True)
class _Room:
    """Where one check happens: its volumes, its wheel, its log."""

    context: Context
    wheel: Wheel
    volume: str
    site: Site | None
    log: Log
    job: str


def check(
    context: Context, wheel: Wheel, planned: Check, site: Site | None, log: Log, *, job: str
) -> CheckResult:
    """Smoke-test `wheel` as `planned`; where its commands want the source, that of `site`.

    The container that runs what the project wrote never had a network. A wheel that fails is a
    result, and `site` says where; what the engine can't do raises.
    """
    started = time.monotonic()
    tried = 0
    error: JobError | None = None

    def attempt(each: Check) -> None:
        nonlocal tried
        tried += 1
        log(f"check of {wheel.path.name} on {each.interpreter.version}")
        _attempt(context, wheel, each, site, log, job=job, number=tried)

    def say(text: str) -> None:
        log(text)
        context.emit(Warned(text=f"check on {planned.interpreter.version}: {text}", job=job))

    try:
        persist(attempt, planned, stopping=context.workshop.stopping, say=say)
    except JobError as failed:
        error = failed
    return CheckResult(
        interpreter=planned.interpreter.version,
        passed=error is None,
        seconds=round(time.monotonic() - started, 3),
        reason=error.message if error else "",
        cause=error.cause if error else "",
        attempts=tried,
        excused=planned.excused and error is not None and error.cause is Cause.DEPENDENCY,
    )


def _attempt(
    context: Context,
    wheel: Wheel,
    planned: Check,
    site: Site | None,
    log: Log,
    *,
    job: str,
    number: int,
) -> None:
    """Try the check once, in a volume of its own; raise JobError when the wheel fails."""
    purpose = _NO_VOLUME.sub("-", f"check-{job}-{planned.interpreter.abi_tag}-{number}")
    volume = context.workshop.volume(purpose)
    room = _Room(context=context, wheel=wheel, volume=volume, site=site, log=log, job=job)
    for stage, commands in enumerate(_stages(planned, wheel)):
        _run_stage(room, commands, fill=stage == 0)
    if not context.keep:
        context.workshop.drop(volume)


def _stages(planned: Check, wheel: Wheel) -> tuple[tuple[Command, ...], ...]:
    """Return the commands of each container: of one image, all on a network or none.

    The environment is made on a network if there is anything to get.
    """
    network = bool(wheel.requires_dist) or any(each.network for each in planned.prepare)
    prepare = tuple(replace(each, network=network) for each in planned.prepare)
    commands = (*prepare, *planned.run)
    grouped = groupby(commands, key=lambda each: (each.image, each.network))
    return tuple(tuple(stage) for _, stage in grouped)


def _run_stage(room: _Room, stage: Sequence[Command], *, fill: bool) -> None:
    """Run the commands of one container, until one fails."""
    deadline = room.context.settings.limits.check_minutes * 60
    mounts = [Mount(volume=room.volume, path=CHECK)]
    if room.site is not None and room.context.settings.smoke.command:
        mounts.append(Mount(volume=room.site.source, path=SOURCE, read_only=True))
    spec = room.context.spec(
        replace(stage[0], argv=("sleep", str(math.ceil(deadline)))),
        mounts=tuple(mounts),
        deadline=deadline,
        job=room.job,
        user=f"{USER}:{USER}",
        place=CHECK,
    )
    with room.context.workshop.container(spec) as container:
        if fill:
            container.put(CHECK, _contents(room))
        container.start()
        for command in (_filled(each, room.wheel) for each in stage):
            if room.site is not None:
                room.site.checked = replace(
                    spec, argv=command.argv, environment=command.environment
                )
            setting = Setting(
                deadline=deadline,
                emulated=command.arch is not room.context.engine_arch,
                network=command.network,
                ordinary=Cause.DEPENDENCY if command.network else Cause.TEST,
            )
            _run(container, command, room.log, setting)


def _contents(room: _Room) -> IO[bytes]:
    """Return what a check starts with: the wheel, and the program that imports its modules."""
    skipped = room.context.settings.smoke.skip_import
    wheel = replace(
        room.wheel,
        modules=tuple(m for m in room.wheel.modules if m not in skipped),
        extensions=tuple(e for e in room.wheel.extensions if e.module not in skipped),
    )
    members: dict[str, bytes | Path] = {
        wheel.path.name: wheel.path,
        PROGRAM: program(),
        COMPILER: compile_program(),
        REQUEST: request(wheel),
        **certificates(),
    }
    return archive(members, directories=("home", "uv", "venv"), owner=USER)


def _filled(command: Command, wheel: Wheel) -> Command:
    """Name the wheel in the word that installs it, and in no other: paths may have braces too."""
    name = f"{CHECK}/{wheel.path.name}"
    words = (
        name + word.removeprefix(WHEEL) if word.startswith(WHEEL) else word for word in command.argv
    )
    return replace(command, argv=tuple(words))


def _run(container: Container, command: Command, log: Log, setting: Setting) -> None:
    """Run one command; raise the error that its failure is."""
    log.command(command)
    if f"{CHECK}/{PROGRAM}" in command.argv:
        _import_modules(container, command, log, setting)
        return
    reasons = Reasons(log)
    ended = container.execute(command.argv, reasons)
    if ended.code and f"{CHECK}/{COMPILER}" in command.argv:
        log("modules that are not compiled by now are when they are imported")
    elif ended.code:
        raise failure(ended, reasons, setting)


def _import_modules(container: Container, command: Command, log: Log, setting: Setting) -> None:
    """Run the check program; a module that ends the process, whatever its status, is a failure."""
    told: Answer | None = None
    importing = ""

    def hear(line: str) -> None:
        nonlocal told
        told = answer([line]) or told

    def listen(line: str) -> None:
        nonlocal importing
        importing = line if line.startswith("importing ") else importing
        log(line)

    reasons = Reasons(listen)
    ended = container.execute(command.argv, hear, on_error_line=reasons)
    if told is None:
        raise _silence(ended, reasons, setting, during=(importing,) if importing else ())
    for fault in told.failures:
        for line in (fault.traceback or fault.error).splitlines():
            log(line)
    log(f"Python {told.python} on {told.machine}, {told.libc}: imported in {told.elapsed} s")
    if told.reason:
        raise JobError(told.reason, cause=setting.ordinary)


def _silence(
    ended: Ended, reasons: Reasons, setting: Setting, *, during: Sequence[str]
) -> FarmError:
    """Return the error of a check program that gave no answer, with the import it was at."""
    if not ended.code:
        return JobError(": ".join((*during, "it ended the process")), cause=setting.ordinary)
    error = failure(ended, reasons, setting)
    return type(error)(": ".join((*during, error.message)), error.remedy, cause=error.cause)
