"""A whole run: images, source, crates, jobs, report; and nothing left on the engine."""

from __future__ import annotations

import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path

import docker
import requests
from docker.errors import APIError

import farm
from farm.doctor.foreign import tools_of
from farm.engine import images
from farm.engine.connection import version
from farm.engine.containers import Cancelled, Workshop, open_workshop
from farm.engine.images import Image, Supply
from farm.engine.leftovers import enforce_quota, reap
from farm.model.errors import ExitCode, FarmError, SurroundingsError
from farm.model.events import Emit, JobPhase, Note, Phase, Warned
from farm.model.plan import Job
from farm.model.results import JobResult, Report
from farm.model.secrets import redact, without_secrets
from farm.model.settings import Settings
from farm.model.targets import Arch, Mode
from farm.runs.again import write_asked
from farm.runs.cache import from_cache, user_cache, wheel_keys
from farm.runs.directory import (
    TREE,
    append_result,
    earlier_seconds,
    new_run,
    tidy,
    write_report,
)
from farm.runs.emulation import require_emulation
from farm.runs.jobs import JobRunner, skipped
from farm.runs.planner import Order
from farm.runs.scheduler import INTERRUPTED, Schedule, Work, run_jobs
from farm.runs.workplace import Workplace, open_workplace
from farm.steps.context import Context, Site
from farm.steps.fetch import fetch
from farm.steps.hybrid import hybrid_warnings
from farm.steps.publish import publish, remove_unfinished, require_writable
from farm.steps.retries import persist

_GIB = 1 << 30


@dataclass(frozen=True, kw_only=True)
class Options:
    """How a run goes about its plan."""

    fail_fast: bool = False
    """Stop at the first job that fails."""
    keep: bool = False
    """Keep the volumes of every job, not only of those that fail."""
    force: bool = False
    """Build also what an earlier run has built from the same inputs."""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What came of a run."""

    report: Report
    path: Path
    """The report on this machine."""


@dataclass(kw_only=True)
class _Found:
    """What a run has learned by now; what an interrupted one reports."""

    images: Supply = field(default_factory=lambda: Supply(labels={}, coming={}))
    emulation: Mapping[str, str] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    results: tuple[JobResult, ...] = ()
    interrupted: bool = False
    error: str = ""


def execute(
    order: Order,
    client: docker.DockerClient,
    emit: Emit,
    options: Options,
) -> Outcome:
    """Run the plan of `order` and write the report, also of a run that is interrupted.

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
    run, directory = new_run(order.request.project.root)
    write_asked(order, directory)
    found = _Found()

    def report() -> Outcome:
        whole = _report(order, found, run, time.monotonic() - started, client)
        return Outcome(report=whole, path=write_report(whole, directory))

    try:
        _go(order, client, emit, found, directory, options)
    except KeyboardInterrupt:  # before the jobs, which stop in an orderly way
        found.interrupted = True
    except FarmError as error:
        found.error = error.message
        report()
        raise
    return report()


def exit_code(outcome: Outcome) -> ExitCode:
    """Return the status that a run ends with: the gravest of its jobs'."""
    if outcome.report.interrupted:
        return ExitCode.INTERRUPTED
    return ExitCode(max((job.exit_code for job in outcome.report.jobs), default=0))


def _go(
    order: Order,
    client: docker.DockerClient,
    emit: Emit,
    found: _Found,
    directory: Path,
    options: Options,
) -> None:
    """Take what is cached, and build the rest in a workshop; make the images meanwhile."""
    request, plan = order.request, order.plan
    wanted = (*tools_of(plan.foreign), *plan.images)
    with images.supply(client, wanted, emit=emit) as supply:
        found.images = supply
        _clean_up(order, client, emit)
        keys = {} if request.settings.network else wheel_keys(request, plan, supply.inputs)
        if not options.force:
            found.results = _take_cached(order, keys, directory, emit)
        cached = {result.job for result in found.results}
        jobs = tuple(job for job in plan.jobs if job.id not in cached)
        if not jobs:
            return
        foreign = replace(plan, jobs=jobs).foreign
        for name in tools_of(foreign):
            supply[name]  # or emulation would be looked for before there is anything to try it with
        native = supply[f"builder-{plan.engine_arch}"].id
        with ThreadPoolExecutor(1) as aside:
            tried = aside.submit(require_emulation, client, foreign, emit)
            with open_workshop(client, directory.name, native) as workshop:
                found.emulation = tried.result()
                context = make_context(order, workshop, supply, directory, emit, keep=options.keep)
                _build(order, jobs, context, found, keys, options)
    _make_room(client, request.settings, emit)


def _make_room(client: docker.DockerClient, settings: Settings, emit: Emit) -> None:
    """Release the oldest kept jobs where there are too many; what came of the run stands."""
    try:
        gone = enforce_quota(client, int(settings.limits.keep_gib * _GIB))
    except SurroundingsError as error:
        emit(Warned(text=f"kept jobs could not be counted: {error.message}"))
        return
    for each in gone:
        emit(Note(text=f"{each.job} of run {each.run} is kept no longer: limits.keep-gib is full"))


def _take_cached(
    order: Order, keys: Mapping[str, str], directory: Path, emit: Emit
) -> tuple[JobResult, ...]:
    """Publish the wheels that earlier runs made of the very same inputs; return their results."""
    cache = user_cache()
    results: list[JobResult] = []
    for job, key in keys.items():
        hit = cache.find(key)
        if hit is not None:
            try:
                published = publish(
                    hit.wheel, order.request.out, directory.name, digest=hit.facts.sha256
                )
            except SurroundingsError:
                if hit.wheel.exists():
                    raise
                continue  # another farm just dropped it: it is built
            results.append(from_cache(hit, published))
            emit(JobPhase(job=job, phase=Phase.CACHED, text=str(published), run=hit.result.run))
    if results:
        append_result(directory, *results)
    return tuple(results)


def _clean_up(order: Order, client: docker.DockerClient, emit: Emit) -> None:
    """Remove what runs that were killed left on the engine and on this machine."""
    left = reap(client)
    for run in sorted(left.dead):
        emit(Note(text=f"removed what run {run}, which did not end in order, had left"))
    remove_unfinished(order.request.out)
    tidy(order.request.project.root, left.alive)


def make_context(
    order: Order,
    workshop: Workshop,
    found: Mapping[str, Image],
    directory: Path,
    emit: Emit,
    *,
    keep: bool,
) -> Context:
    """Return what the steps of the run in `directory` share."""
    there, cpus = workshop.default_limits()
    limits = order.request.settings.limits
    memory = int(limits.memory_gib * _GIB)
    builders = max(1, min(side_by_side(cpus), len(order.plan.jobs)))
    if memory:
        builders = max(1, min(builders, there // memory))
    return Context(
        workshop=workshop,
        engine_arch=order.plan.engine_arch,
        images=found,
        directory=directory,
        settings=order.request.settings,
        memory=memory or there // builders,
        cpus=limits.cpus or cpus,
        builders=builders,
        emit=emit,
        keep=keep,
    )


def side_by_side(cpus: float) -> int:
    """Return how many builds an engine of so many CPUs has under way at once.

    Each may use all of its CPUs: while one links, which is the work of one CPU, others compile.
    The memory is shared out between them.
    """
    return max(1, min(int(cpus), 2 + int(cpus) // 8))


def _build(
    order: Order,
    jobs: tuple[Job, ...],
    context: Context,
    found: _Found,
    keys: Mapping[str, str],
    options: Options,
) -> None:
    """Run `jobs` in the project's workplace."""
    tree, inputs = context.directory / TREE, found.images.inputs
    try:
        with open_workplace(order, jobs, context, inputs, tree, force=options.force) as workplace:
            _jobs(order, jobs, context, found, workplace, keys, fail_fast=options.fail_fast)
    finally:
        tree.unlink(missing_ok=True)


def _jobs(
    order: Order,
    jobs: tuple[Job, ...],
    context: Context,
    found: _Found,
    workplace: Workplace,
    keys: Mapping[str, str],
    *,
    fail_fast: bool,
) -> None:
    """Fetch, and run `jobs`."""
    workshop, plan = context.workshop, order.plan
    targets = workplace.targets
    site = context.site("fetch", targets.shared)
    if not targets.have(workplace.crates):
        fetch(context, plan.fetch, site)
        targets.keep(workplace.crates)
    runner = JobRunner(
        context=context,
        targets=targets,
        out=order.request.out,
        keys=keys,
        smoke=order.request.smoke,
    )

    def stop(why: str) -> None:
        if why == INTERRUPTED:
            context.emit(Note(text="interrupted: stopping what runs; Ctrl-C again ends at once"))
        workshop.cancel(why)

    work = Work(
        build=runner.build,
        finish=runner.finish,
        skipped=runner.skipped,
        stop=stop,
    )
    schedule = Schedule(
        builders=context.builders,
        after=workplace.after,
        awaited={job.id: found.images.awaited(job.images) for job in jobs},
        seconds=earlier_seconds(order.request.project.root),
        fail_fast=fail_fast,
    )
    with ThreadPoolExecutor(1) as aside:
        looked = aside.submit(_warn_of_hybrid, order, context, site)
        results, found.interrupted = run_jobs(jobs, work, schedule)
    found.results += results
    found.warnings = looked.result()


def _warn_of_hybrid(order: Order, context: Context, site: Site) -> tuple[str, ...]:
    """Say what a hybrid build may get wrong; what keeps the farm from knowing is a warning too."""
    hybrid = {job.target.arch for job in order.plan.jobs if job.build.mode is Mode.HYBRID}
    if not hybrid:
        return ()

    def look(each: Context) -> tuple[str, ...]:
        return hybrid_warnings(
            each, order.request.project, order.request.source, site, sorted(hybrid)
        )

    def say(text: str) -> None:
        context.emit(Warned(text=f"looking for what a hybrid build can't do: {text}"))

    try:
        found = persist(look, context, stopping=context.workshop.stopping, say=say)
    except Cancelled:
        return ()
    except FarmError as error:
        found = (f"not known what a hybrid build can't do: {error.message}",)
    for text in found:
        context.emit(Warned(text=text))
    return found


def _report(
    order: Order, found: _Found, run: str, seconds: float, client: docker.DockerClient
) -> Report:
    plan = order.plan
    results = {result.job: result for result in found.results}
    why = found.error or INTERRUPTED
    return Report(
        run=run,
        farm=farm.__version__,
        project=plan.project,
        version=plan.version,
        source=order.request.source.digest,
        source_date_epoch=order.request.epoch,
        engine=_engine(client),
        emulation=found.emulation,
        images={
            name: {"id": image.id, "tag": image.reference, "inputs": image.inputs, **image.versions}
            for name, image in found.images.there().items()
            if name in plan.images
        },
        jobs=tuple(results.get(job.id) or skipped(job, why) for job in plan.jobs),
        fetch=without_secrets(plan.fetch),
        commit=order.request.commit,
        checked=order.request.smoke,
        network=order.request.settings.network,
        error=found.error,
        interrupted=found.interrupted,
        notes=plan.notes,
        warnings=(*plan.warnings, *found.warnings),
        left_out=plan.left_out,
        seconds=round(seconds, 3),
    )


def _engine(client: docker.DockerClient) -> dict[str, str]:
    """Return what the engine says of itself, or that it is gone."""
    try:
        client.ping()
        told = version(client)
    except (APIError, requests.RequestException) as error:
        return {"error": redact(str(error))}
    return {
        "version": str(told["Version"]),
        "arch": str(Arch.parse(told["Arch"])),
        "kernel": str(told["KernelVersion"]),
    }
