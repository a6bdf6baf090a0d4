"""Smoke test: a finished wheel, installed and imported in a clean container of its own kind."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO

from farm.engine.containers import Container, Mount
from farm.model.plan import CHECK, SOURCE, Check, Command
from farm.model.results import CheckResult
from farm.model.settings import Smoke
from farm.model.targets import Arch, Interpreter
from farm.steps.context import Context, Log, Site, archive, certificates
from farm.steps.outcome import Reasons, explain
from farm.wheels.archive import Wheel
from farm.wheels.check import answer, program, request

USER = 1000
"""Who the check runs as, in every check image."""

_VENV = f"{CHECK}/venv"
_PROGRAM, _REQUEST = "check.py", "wheel.json"
_ENVIRONMENT = {
    "HOME": f"{CHECK}/home",
    "PATH": f"{_VENV}/bin:/usr/bin:/bin",
    "VIRTUAL_ENV": _VENV,
    "LANG": "C.UTF-8",
    "PYTHONDONTWRITEBYTECODE": "1",
    "UV_CACHE_DIR": f"{CHECK}/uv",
    "UV_LINK_MODE": "hardlink",
    "UV_NO_CONFIG": "1",
    "UV_PYTHON_DOWNLOADS": "never",
}
_UV = "/opt/uv/bin/uv"


def plan_check(
    interpreter: Interpreter,
    arch: Arch,
    smoke: Smoke,
    *,
    project_path: str,
    groups: tuple[str, ...],
) -> Check:
    """Return the smoke test of one wheel on one interpreter.

    `groups` are the requirements of the settings' dependency groups, already looked up.
    """
    extras = f"[{','.join(smoke.extras)}]" if smoke.extras else ""

    def command(*argv: str, network: bool = False) -> Command:
        return Command(
            image=f"check-{arch}",
            arch=arch,
            argv=argv,
            cwd=f"{CHECK}/home",
            environment=_ENVIRONMENT,
            network=network,
        )

    needs_network = bool(smoke.requires or groups)
    prepare = (
        command(_UV, "venv", "--no-project", "--python", interpreter.path, _VENV),
        command(
            *(_UV, "pip", "install", "--only-binary", ":all:", "--python", _VENV),
            *(f"{CHECK}/{{wheel}}{extras}", *smoke.requires, *groups),
            network=needs_network,
        ),
    )
    run = [command("python", f"{CHECK}/{_PROGRAM}", f"{CHECK}/{_REQUEST}")]
    if smoke.command:
        place = f"{SOURCE}/{project_path}".rstrip("/.")
        run.append(command(*(word.replace("{project}", place) for word in smoke.command)))
    return Check(
        interpreter=interpreter,
        prepare=prepare,
        run=tuple(run),
        excused=any(Interpreter.parse(text) == interpreter for text in smoke.excuse),
    )


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
    log(f"check of {wheel.path.name} on {planned.interpreter.version}")
    volume = context.workshop.volume(f"check-{job}-{planned.interpreter.abi_tag}")
    room = _Room(context=context, wheel=wheel, volume=volume, site=site, log=log, job=job)
    reason, excused = "", False
    for number, stage in enumerate(_stages(planned, wheel)):
        reason = _run_stage(room, stage, fill=number == 0)
        if reason:
            excused = planned.excused and stage[0].network
            break
    if excused or not (reason or context.keep):
        context.workshop.drop(volume)
    return CheckResult(
        interpreter=planned.interpreter.version,
        passed=not reason,
        seconds=round(time.monotonic() - started, 3),
        reason=reason,
        excused=excused,
    )


def _stages(planned: Check, wheel: Wheel) -> tuple[tuple[Command, ...], ...]:
    """Return the commands of each container: two, if there is anything to get on a network."""
    if not any(command.network for command in planned.prepare) and not wheel.requires_dist:
        return ((*planned.prepare, *planned.run),)
    return tuple(replace(command, network=True) for command in planned.prepare), planned.run


def _run_stage(room: _Room, stage: Sequence[Command], *, fill: bool) -> str:
    """Run the commands of one container; return why one failed, or an empty string."""
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
            reason = _run(container, command, room.log, deadline)
            if reason:
                return reason
    return ""


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
        _PROGRAM: program(),
        _REQUEST: request(wheel),
        **certificates(),
    }
    return archive(members, directories=("home", "uv", "venv"), owner=USER)


def _filled(command: Command, wheel: Wheel) -> Command:
    argv = (word.replace("{wheel}", wheel.path.name) for word in command.argv)
    return replace(command, argv=tuple(argv))


def _run(container: Container, command: Command, log: Log, deadline: float) -> str:
    """Run one command; return why it failed, or an empty string."""
    log.command(command)
    if f"{CHECK}/{_PROGRAM}" in command.argv:
        return _import_modules(container, command, log, deadline)
    reasons = Reasons(log)
    ended = container.execute(command.argv, reasons)
    return explain(ended, reasons, deadline=deadline) if ended.code else ""


def _import_modules(container: Container, command: Command, log: Log, deadline: float) -> str:
    """Run the check program; a module that ends the process, whatever its status, is a failure."""
    output: list[str] = []
    errors: list[str] = []
    reasons = Reasons(log)

    def listen(line: str) -> None:
        errors.append(line)
        reasons(line)

    ended = container.execute(command.argv, output.append, on_error_line=listen)
    told = answer(output)
    if told is None:
        importing = [line for line in errors if line.startswith("importing ")]
        why = explain(ended, reasons, deadline=deadline) if ended.code else "it ended the process"
        return ": ".join((*importing[-1:], why))
    for failure in told.failures:
        for line in (failure.traceback or failure.error).splitlines():
            log(line)
    log(f"Python {told.python} on {told.machine}, {told.libc}: imported in {told.elapsed} s")
    return told.reason
