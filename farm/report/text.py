"""Results on stdout for people: a plan, a list of images."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator

from farm.engine.images import Image
from farm.model.plan import Build, Command, Job, Plan


def plan_text(plan: Plan) -> str:
    """Return the plan as text: each job, and under it each command as it can be pasted."""
    lines = [f"{plan.project} {plan.version}: {len(plan.jobs)} jobs", "", "fetch"]
    lines += _commands(plan.fetch)
    for job in plan.jobs:
        lines += ["", *_job(job)]
    lines += [f"\n{line}" for line in plan.left_out]
    lines += [f"\nwarning: {line}" for line in plan.warnings]
    lines += [f"\n{line}" for line in plan.notes]
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
        yield from _commands((*check.prepare, *check.run))


def _build(build: Build) -> Iterator[str]:
    yield f"  build: {build.mode}, linker {build.linker}, in {build.command.image}"
    yield from _commands((*build.prepare, build.command))


def _commands(commands: Iterable[Command]) -> Iterator[str]:
    for command in commands:
        network = "  # on a network" if command.network else ""
        yield f"    {shlex.join(command.argv)}{network}"


def images_text(images: Iterable[Image]) -> str:
    """Return one line for each image: its tag, and the versions inside it."""
    return "\n".join(
        f"{image.reference}  " + ", ".join(f"{k} {v}" for k, v in sorted(image.versions.items()))
        for image in images
    )
