"""`farm test`: smoke tests of wheels that somebody else built, on every interpreter they claim."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import docker

from farm.engine import images
from farm.engine.connection import arch as architecture
from farm.engine.containers import open_workshop
from farm.host.archive import read_archive
from farm.model.errors import UsageError
from farm.model.events import Emit, JobPhase, Phase
from farm.model.results import WheelChecks
from farm.model.settings import Settings
from farm.model.targets import Arch, Interpreter
from farm.runs.directory import new_run, write_checks
from farm.runs.emulation import require_emulation
from farm.steps.commands import plan_check
from farm.steps.context import Context
from farm.steps.smoke import check
from farm.wheels.archive import Wheel, read_wheel
from farm.wheels.tags import claims


def test_wheels(
    paths: Sequence[Path],
    pythons: Sequence[str],
    client: docker.DockerClient,
    emit: Emit,
) -> tuple[WheelChecks, ...]:
    """Smoke-test each wheel on its own architecture, and on `pythons` if any are named.

    The logs go to `.farm/` of the current directory. Raises WheelError for what is no wheel, and
    UsageError for one that no image can test.
    """
    asked = frozenset(Interpreter.parse(word) for word in pythons if word != "all")
    native = architecture(client)
    wheels = [read_wheel(path) for path in paths]
    arches = [_architecture(wheel) or native for wheel in wheels]
    names = tuple(dict.fromkeys(f"check-{arch}" for arch in (native, *arches)))
    found = images.ensure(client, names, emit=emit, archive=read_archive())
    require_emulation(client, set(arches) - {native}, emit)
    run, directory = new_run(Path.cwd())
    with open_workshop(client, run, found[f"check-{native}"].id) as workshop:
        memory, cpus = workshop.default_limits()
        context = Context(
            workshop=workshop,
            engine_arch=native,
            images=found,
            directory=directory,
            settings=Settings(),
            memory=memory,
            cpus=cpus,
            emit=emit,
        )
        results = tuple(
            _test(context, wheel, arch, asked) for wheel, arch in zip(wheels, arches, strict=True)
        )
    write_checks(results, directory)
    return results


def _test(context: Context, wheel: Wheel, arch: Arch, asked: frozenset[Interpreter]) -> WheelChecks:
    native = context.engine_arch
    natively = context.images[f"check-{native}"].interpreters
    available = context.images[f"check-{arch}"].interpreters
    chosen = [i for i in claims(wheel, available) if not asked or i in asked]
    name = wheel.path.name
    if not chosen:
        there = ", ".join(i.version for i in available)
        raise UsageError(f"no interpreter to test {name} on", f"The image has {there}.")
    results = []
    with context.log(name) as log:
        for interpreter in chosen:
            context.emit(JobPhase(job=name, phase=Phase.CHECK, text=interpreter.version))
            planned = plan_check(
                interpreter,
                arch,
                context.settings.smoke,
                native=native if interpreter in natively else arch,
                project_path="",
                groups=(),
            )
            results.append(check(context, wheel, planned, None, log, job=name))
    failed = "; ".join(f"on {r.interpreter}: {r.reason}" for r in results if not r.passed)
    path = str(context.log_path(name))
    phase = Phase.FAILED if failed else Phase.PASSED
    context.emit(JobPhase(job=name, phase=phase, text=failed, log=path if failed else ""))
    return WheelChecks(wheel=str(wheel.path), log=path, checks=tuple(results))


def _architecture(wheel: Wheel) -> Arch | None:
    """Return the architecture that the wheel's platform tag names, None for `any`.

    Raises UsageError for a platform that no image has.
    """
    for platform in wheel.platforms:
        for arch in Arch:
            if platform.startswith(("manylinux", "linux")) and platform.endswith(f"_{arch}"):
                return arch
    if wheel.platforms == ("any",):
        return None
    raise UsageError(
        f"{wheel.path.name} is for {', '.join(wheel.platforms)}",
        f"The farm tests wheels for glibc Linux on {', '.join(Arch)}.",
    )
