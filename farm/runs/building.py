"""The jobs of a run that the cache could not answer: fetch, build, check, publish.

Apart from `run`, since a run that builds nothing is quick by not even importing this.
"""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from farm.engine.containers import Cancelled, Workshop
from farm.engine.images import Image
from farm.host.faults import fault
from farm.model.errors import FarmError
from farm.model.events import Emit, Note, Warned
from farm.model.plan import Job
from farm.model.results import INTERRUPTED
from farm.model.targets import Mode
from farm.runs.directory import TREE, earlier_seconds
from farm.runs.jobs import JobRunner
from farm.runs.planner import Order
from farm.runs.run import Found, Options
from farm.runs.scheduler import Schedule, Work, run_jobs
from farm.runs.workplace import Workplace, open_workplace
from farm.steps.context import Context, Site
from farm.steps.fetch import Fetched, fetch
from farm.steps.hybrid import hybrid_warnings
from farm.steps.retries import persist

_GIB = 1 << 30


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


def build_jobs(
    order: Order,
    jobs: tuple[Job, ...],
    context: Context,
    found: Found,
    keys: Mapping[str, str],
    options: Options,
) -> None:
    """Run `jobs` in the project's workplace, on the source that is in the run's directory.

    `keys` are by what the cache will have the wheels. What came of the jobs is added to `found`
    at once: what fails after that costs no result. Raises UsageError and SurroundingsError for
    what keeps every job from starting.
    """
    tree, inputs = context.directory / TREE, found.images.inputs
    with open_workplace(order, jobs, context, inputs, tree, force=options.force) as workplace:
        _jobs(order, jobs, context, found, workplace, keys, fail_fast=options.fail_fast)


def _jobs(
    order: Order,
    jobs: tuple[Job, ...],
    context: Context,
    found: Found,
    workplace: Workplace,
    keys: Mapping[str, str],
    *,
    fail_fast: bool,
) -> None:
    """Fetch, and run `jobs`."""
    workshop, plan = context.workshop, order.plan
    targets = workplace.targets
    site = context.site("fetch", targets.shared)
    fetched = Fetched()
    if not targets.have(workplace.crates):
        project, source = order.request.project, order.request.source
        fetched = fetch(context, plan.fetch, site, project, source)
        found.warnings = fetched.warnings
        if not fetched.lock:  # or the next run would not know which lock it was
            targets.keep(workplace.crates)
    runner = JobRunner(
        context=context,
        targets=targets,
        out=order.request.out,
        keys=keys,
        lock=fetched.lock,
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
        broken=runner.broken,
        stop=stop,
    )
    schedule = Schedule(
        builders=context.builders,
        first=targets.leaders,
        awaited={
            job.id: (*found.images.awaited(job.images), *workplace.awaited(job)) for job in jobs
        },
        seconds=earlier_seconds(order.request.project.root),
        fail_fast=fail_fast,
    )
    with ThreadPoolExecutor(1) as aside:
        looked = aside.submit(_warn_of_hybrid, order, context, site)
        results, found.interrupted = run_jobs(jobs, work, schedule)
    found.results += results
    try:
        found.warnings += looked.result()
    except FarmError:
        raise
    except Exception as error:  # noqa: BLE001 - a bug, which costs these warnings
        lost = fault(error, "the look for what hybrid builds can't do", context.directory)
        context.emit(Warned(text=f"{lost.message}. {lost.remedy}"))


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
