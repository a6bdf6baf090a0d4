"""Results on stdout for people: a plan, a list of images."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator
from datetime import datetime

from farm.engine.images import Image
from farm.model.plan import Build, Command, Job, Plan
from farm.report.excerpt import harmless
from farm.report.words import plural, size

_TOLD = ("rustc", "maturin", "ziglang", "glibc", "qemu")
"""The tools whose versions are told, in this order."""


def plan_text(plan: Plan) -> str:
    """Return the plan as text: each job, and under it each command as it can be pasted."""
    lines = [
        f"{harmless(f'{plan.project} {plan.version}')}: {plural(len(plan.jobs), 'job')}",
        "",
        "fetch",
    ]
    lines += _commands(plan.fetch)
    for job in plan.jobs:
        lines += ["", *_job(job)]
    lines += [f"\n{harmless(line)}" for line in plan.left_out]
    lines += [f"\nwarning: {harmless(line)}" for line in plan.warnings]
    lines += [f"\n{harmless(line)}" for line in plan.notes]
    return "\n".join(lines)


def _job(job: Job) -> Iterator[str]:
    yield job.id
    yield from _build(job.build)
    if job.fallback is not None:
        yield "  if that fails"
        yield from _build(job.fallback)
    for check in job.checks:
        excused = ", excused where a dependency has no wheel" if check.excused else ""
        yield f"  check on {check.interpreter.version}{excused}"
        yield from _commands(check.commands)


def _build(build: Build) -> Iterator[str]:
    yield f"  build: {build.mode}, linker {build.linker}, in {build.command.image}"
    yield from _commands((*build.prepare, build.command))


def _commands(commands: Iterable[Command]) -> Iterator[str]:
    for command in commands:
        network = "  # on a network" if command.network else ""
        yield f"    {harmless(shlex.join(command.argv))}{network}"


def images_text(images: Iterable[Image]) -> str:
    """Return one line for each image: its tag, its size, when it was made, what is inside."""
    rows = [("IMAGE", "SIZE", "MADE", "INSIDE"), *map(_image, images)]
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    return "\n".join(
        f"{name:{widths[0]}}  {bytes_:>{widths[1]}}  {made:{widths[2]}}  {inside}".rstrip()
        for name, bytes_, made, inside in rows
    )


def _image(image: Image) -> tuple[str, str, str, str]:
    identity = image.id.removeprefix("sha256:")[:16]
    made = datetime.fromtimestamp(image.created).astimezone()
    return (
        image.reference or f"{image.name} (no tag) {identity}",
        size(image.size),
        f"{made:%Y-%m-%d %H:%M}",
        _inside(image),
    )


def _inside(image: Image) -> str:
    """Return the versions that decide what a wheel is; `--json` has the others."""
    pythons = [
        _upstream(image.versions.get(f"{i.python_tag}-{i.abi_tag}", i.version))
        for i in image.interpreters
    ]
    tools = [f"{name} {image.versions[name]}" for name in _TOLD if name in image.versions]
    return ", ".join([*([f"Python {' '.join(pythons)}"] if pythons else []), *tools])


def _upstream(version: str) -> str:
    """Return a package's version without Debian's revision."""
    return version.partition("-")[0]
