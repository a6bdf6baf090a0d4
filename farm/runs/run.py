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
from farm.bases.recipes import tools_for
from farm.engine import images
from farm.engine.connection import version
from farm.engine.images import Supply
from farm.engine.leftovers import enforce_quota, reap
from farm.host.faults import fault
from farm.model.errors import ExitCode, FarmError, SurroundingsError
from farm.model.events import Emit, JobPhase, Note, Phase, Warned
from farm.model.interrupt import Interrupted
from farm.model.plan import Job
from farm.model.results import INTERRUPTED, JobResult, Report, skipped
from farm.model.secrets import redact, without_secrets
from farm.model.settings import Settings
from farm.model.targets import Arch
from farm.runs.again import write_asked
from farm.runs.cache import from_cache, user_cache, wheel_keys
from farm.runs.directory import (
    TREE,
    append_result,
    new_run,
    tidy,
    write_report,
    write_tree,
)
from farm.runs.planner import Order, without_lost
from farm.steps.publish import publish, remove_unfinished, require_writable

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
class Found:
    """What a run has learned by now; what an interrupted one reports."""

    order: Order
    """What it is about: planned anew where images lack an interpreter."""
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
    found = Found(order=order)

    def report() -> Outcome:
        whole = _report(found, run, time.monotonic() - started, client)
        return Outcome(report=whole, path=write_report(whole, directory))

    try:
        _go(order, client, emit, found, directory, options)
    except Interrupted:  # before the jobs, which stop in an orderly way
        found.interrupted = True
    except FarmError as error:
        found.error = error.message
        report()
        raise
    except Exception as error:
        lost = fault(error, "the run", directory)
        found.error = lost.message
        report()
        raise lost from error
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
    found: Found,
    directory: Path,
    options: Options,
) -> None:
    """Take what is cached, and build the rest in a workshop; make the images meanwhile."""
    request = order.request
    wanted = (*tools_for(order.plan.foreign), *order.plan.images)
    with images.supply(client, wanted, emit=emit, archive=request.archive) as supply:
        found.images = supply
        found.order = order = without_lost(order, supply)
        plan = order.plan
        _clean_up(order, client, emit)
        settled = request.settings.locked and not request.settings.network
        keys = wheel_keys(request, plan, supply.inputs) if settled else {}
        if not options.force:
            found.results = _take_cached(order, keys, directory, emit)
        cached = {result.job for result in found.results}
        jobs = tuple(job for job in plan.jobs if job.id not in cached)
        if not jobs:
            return
        tree = directory / TREE
        try:
            write_tree(request, tree)  # first: while images are made its files may be edited
            _build(order, jobs, client, emit, found, directory, keys, options)
        finally:
            tree.unlink(missing_ok=True)
    _make_room(client, request.settings, emit)


def _build(
    order: Order,
    jobs: tuple[Job, ...],
    client: docker.DockerClient,
    emit: Emit,
    found: Found,
    directory: Path,
    keys: Mapping[str, str],
    options: Options,
) -> None:
    """Build `jobs` in a workshop, as soon as there are the images that it takes."""
    # Only now: a run that builds nothing is quicker without.
    from farm.engine.containers import open_workshop  # noqa: PLC0415
    from farm.runs.building import build_jobs, make_context  # noqa: PLC0415
    from farm.runs.emulation import require_emulation  # noqa: PLC0415

    supply, foreign = found.images, replace(order.plan, jobs=jobs).foreign
    for name in tools_for(foreign):
        supply[name]  # or emulation would be looked for before there is anything to try it with
    native = supply[f"builder-{order.plan.engine_arch}"].id
    with ThreadPoolExecutor(1) as aside:
        tried = aside.submit(require_emulation, client, foreign, emit)
        with open_workshop(client, directory.name, native) as workshop:
            found.emulation = tried.result()
            context = make_context(order, workshop, supply, directory, emit, keep=options.keep)
            build_jobs(order, jobs, context, found, keys, options)


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


def _report(found: Found, run: str, seconds: float, client: docker.DockerClient) -> Report:
    order, plan = found.order, found.order.plan
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
            name: {
                "id": image.id,
                "tag": image.reference,
                "inputs": image.inputs,
                **image.versions,
                **({"instead": "; ".join(image.instead)} if image.instead else {}),
            }
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
