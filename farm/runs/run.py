"""A whole run: images, source, crates, jobs, report; and nothing left on the engine."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import docker

import farm
from farm.engine import images
from farm.engine.containers import Workshop
from farm.engine.images import Image
from farm.model.errors import ExitCode
from farm.model.events import Emit, Note, Warned
from farm.model.results import JobResult, Report
from farm.model.targets import Arch, Mode
from farm.runs.directory import new_run, write_report
from farm.runs.emulation import require_emulation
from farm.runs.jobs import JobRunner
from farm.runs.planner import Order
from farm.runs.scheduler import Work, run_jobs
from farm.steps.context import Context, Volumes
from farm.steps.fetch import fetch, send_source
from farm.steps.hybrid import hybrid_warnings
from farm.steps.publish import require_writable


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What came of a run."""

    report: Report
    path: Path
    """The report on this machine."""
    interrupted: bool


def execute(
    order: Order, client: docker.DockerClient, emit: Emit, *, fail_fast: bool = False
) -> Outcome:
    """Run the plan of `order` and write the report.

    Raises UsageError and SurroundingsError for what keeps every job from starting; a job that
    fails is in the report.
    """
    started = time.monotonic()
    plan = order.plan
    require_writable(order.request.out)
    for text in plan.notes:
        emit(Note(text=text))
    for text in plan.warnings:
        emit(Warned(text=text))
    found = images.ensure(client, plan.images, emit=emit)
    foreign = {job.target.arch for job in plan.jobs} - {plan.engine_arch}
    qemu = require_emulation(client, foreign, emit)
    run, directory = new_run(order.request.project.root)
    workshop = Workshop(client=client, run=run)
    context = _context(order, workshop, found, directory, emit)
    try:
        warnings, results, interrupted = _jobs(order, context, fail_fast=fail_fast)
    finally:
        workshop.close()
    report = Report(
        run=run,
        farm=farm.__version__,
        project=plan.project,
        version=plan.version,
        source=order.request.source.digest,
        source_date_epoch=order.request.epoch,
        engine=_engine(client),
        emulation=qemu,
        images={name: {"id": i.id, "tag": i.reference, **i.versions} for name, i in found.items()},
        jobs=results,
        checked=order.request.smoke,
        network=order.request.settings.network,
        notes=plan.notes,
        warnings=(*plan.warnings, *warnings),
        left_out=plan.left_out,
        seconds=round(time.monotonic() - started, 3),
    )
    return Outcome(report=report, path=write_report(report, directory), interrupted=interrupted)


def exit_code(outcome: Outcome) -> ExitCode:
    """Return the status that a run ends with: the gravest of its jobs'."""
    if outcome.interrupted:
        return ExitCode.INTERRUPTED
    return ExitCode(max((job.exit_code for job in outcome.report.jobs), default=0))


def _context(
    order: Order, workshop: Workshop, found: Mapping[str, Image], directory: Path, emit: Emit
) -> Context:
    memory, cpus = workshop.default_limits()
    limits = order.request.settings.limits
    return Context(
        workshop=workshop,
        engine_arch=order.plan.engine_arch,
        images=found,
        directory=directory,
        settings=order.request.settings,
        memory=int(limits.memory_gib * (1 << 30)) or memory,
        cpus=limits.cpus or cpus,
        emit=emit,
    )


def _jobs(
    order: Order, context: Context, *, fail_fast: bool
) -> tuple[tuple[str, ...], tuple[JobResult, ...], bool]:
    """Send the source, fetch, run every job; return warnings, results, and if interrupted."""
    workshop, plan = context.workshop, order.plan
    volumes = Volumes(
        source=workshop.volume("source"),
        cargo=workshop.volume("cargo"),
        work=workshop.volume("work"),
        linker=workshop.volume("linker"),
    )
    send_source(context, order.request.source, volumes, epoch=order.request.epoch)
    fetch(context, plan.fetch, volumes)
    warnings = _warn_of_hybrid(order, context, volumes)
    runner = JobRunner(
        context=context, volumes=volumes, out=order.request.out, smoke=order.request.smoke
    )
    work = Work(
        build=runner.build,
        finish=runner.finish,
        cancelled=runner.cancelled,
        stop=workshop.cancel,
    )
    results, interrupted = run_jobs(plan.jobs, work, fail_fast=fail_fast)
    return warnings, results, interrupted


def _warn_of_hybrid(order: Order, context: Context, volumes: Volumes) -> tuple[str, ...]:
    hybrid = {job.target.arch for job in order.plan.jobs if job.build.mode is Mode.HYBRID}
    if not hybrid:
        return ()
    found = hybrid_warnings(
        context, order.request.project, order.request.source, volumes, sorted(hybrid)
    )
    for text in found:
        context.emit(Warned(text=text))
    return found


def _engine(client: docker.DockerClient) -> dict[str, str]:
    version = client.version()
    return {
        "version": str(version["Version"]),
        "arch": str(Arch.parse(version["Arch"])),
        "kernel": str(version["KernelVersion"]),
    }
