"""`farm verify`: builds a wheel a second time, as the report of its run says, and compares."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import docker

import farm
from farm.engine.containers import open_workshop
from farm.engine.images import Image, existing
from farm.model.errors import FarmError, UsageError, nearest
from farm.model.events import Emit, JobPhase, Phase, Warned
from farm.model.plan import Build, Command, Job
from farm.model.results import JobResult, Report, WheelFacts
from farm.model.runs import Run
from farm.model.secrets import HIDDEN, without_secrets
from farm.model.verdict import Verdict
from farm.runs.again import ask_again
from farm.runs.building import make_context
from farm.runs.directory import TREE, make_directory, new_id, write_tree
from farm.runs.emulation import require_emulation
from farm.runs.planner import Order, Request, prepare
from farm.steps.build import build
from farm.steps.context import Context
from farm.steps.fetch import fetch
from farm.steps.publish import sha256
from farm.steps.retries import persist
from farm.wheels.compare import differences

_SHOWN = 16
"""So many digits of a hash tell it from others."""


@dataclass(frozen=True, kw_only=True)
class Made:
    """A wheel that a run made, with what its report says of how."""

    run: Run
    report: Report
    result: JobResult
    facts: WheelFacts

    @property
    def name(self) -> str:
        """The wheel's file name."""
        return Path(self.facts.path).name

    @property
    def commands(self) -> tuple[Command, ...]:
        """All commands that its bytes come from."""
        return (*self.report.fetch, *self.result.prepare, self.result.command)


def find_made(wheel: Path, digest: str, runs: Iterable[Run], project: Path) -> tuple[Made, ...]:
    """Return what `runs` of `project`, newest first, made with the bytes of `wheel`.

    `digest` is the wheel's sha256. Where no report names it, what was made under the same file
    name is returned. Raises UsageError where there is none of that either.
    """
    made = tuple(each for run in runs for each in _made(run))
    exact = tuple(each for each in made if each.facts.sha256 == digest)
    found = exact or tuple(each for each in made if each.name == wheel.name)
    if not found:
        raise UsageError(
            f"no report of a run of {project.resolve()} names {wheel.name}, or its sha256 "
            f"{digest}{nearest(wheel.name, {each.name for each in made})}",
            "Name the project that it was built in with --project, and see farm runs: reports "
            "of old runs, and of those that were killed, are not there any more.",
        )
    return found


def verify(
    wheel: Path, project: Path, runs: Iterable[Run], client: docker.DockerClient, emit: Emit
) -> Verdict:
    """Build the job that made `wheel` again, as its report among `runs` says; compare the bytes.

    `dist/` is not touched. Raises UsageError, before anything is built, where the source or an
    image is not what the report names, and FarmError for what keeps the build from its end.
    """
    digest = sha256(wheel)
    made, request = _chosen(find_made(wheel, digest, runs, project), project)
    if made.facts.sha256 != digest:
        emit(Warned(text=_nearest_only(made, digest)))
    _require_source(made, request)
    images = _images(made, existing(client))
    order = prepare(replace(request, epoch=made.report.source_date_epoch), client)
    notes = _notes(made)
    for text in notes:
        emit(Warned(text=text, job=made.result.job))
    arches = {command.arch for command in made.commands}
    require_emulation(client, arches - {order.plan.engine_arch}, emit)
    directory = make_directory(Path(made.run.directory) / f"verify-{new_id()}")
    with open_workshop(client, new_id(), images[f"builder-{order.plan.engine_arch}"].id) as shop:
        context = make_context(order, shop, images, directory, emit, keep=False)
        rebuilt = _build(context, order, made)
    verdict = Verdict(
        wheel=str(wheel),
        sha256=digest,
        run=made.run.id,
        job=made.result.job,
        reported=made.facts.sha256,
        rebuilt=sha256(rebuilt),
        path=str(rebuilt),
        log=str(context.log_path(made.result.job)),
        differences=differences(wheel, rebuilt),
        notes=notes,
    )
    phase = Phase.PASSED if verdict.identical else Phase.BUILT
    emit(JobPhase(job=verdict.job, phase=phase))
    if not verdict.identical:
        return verdict
    shutil.rmtree(directory, ignore_errors=True)
    return replace(verdict, path="", log="")


def _nearest_only(made: Made, digest: str) -> str:
    return (
        f"no report names sha256 {digest}; nearest is that of run {made.run.id}, which names "
        f"{made.facts.sha256} for a wheel called the same"
    )


def _made(run: Run) -> Iterable[Made]:
    for result in run.report.jobs if run.report else ():
        if run.report and result.wheel:
            yield Made(run=run, report=run.report, result=result, facts=result.wheel)


def _chosen(found: Sequence[Made], project: Path) -> tuple[Made, Request]:
    """Return the newest of `found` that is of today's source, else the newest; with its request."""
    made = found[0]
    request = _request(made, project)
    for other in found[1:]:
        if made.report.source == request.source.digest:
            break
        if other.report.source == request.source.digest:
            made, request = other, _request(other, project)
    return made, request


def _request(made: Made, project: Path) -> Request:
    return ask_again(project, Path(made.run.directory), (made.result.job,))


def _require_source(made: Made, request: Request) -> None:
    """Raise UsageError where the source is not that which the report names."""
    there, now = made.report.source, request.source.digest
    if there == now:
        return
    commit, head = made.report.commit, request.commit
    then = f" (commit {commit[:_SHOWN]})" if commit else ""
    today = f" (commit {head[:_SHOWN]})" if head else ""
    if commit and commit != head:
        remedy = f"git checkout {commit}, without changes of your own, and try again."
    elif commit:
        remedy = "git status tells what has changed since that commit: then, or now."
    else:
        remedy = "Bring the project's files back to what they were then."
    raise UsageError(
        f"the source is not that of run {made.run.id}: its report names sha256 {there}{then}, "
        f"there is {now}{today}",
        remedy,
    )


def _require_lock(made: Made, lock: str) -> None:
    """Raise UsageError where cargo chose other crates than for the run; see `JobResult.lock`."""
    if lock != made.result.lock:
        raise UsageError(
            f"Cargo.lock pins not all crates, and cargo chooses others than for run {made.run.id}: "
            f"its report names a lock of sha256 {made.result.lock or 'the source'}, now it is "
            f"{lock or 'the source'}",
            "Run cargo update --workspace and commit Cargo.lock, to have it the same every time.",
        )


def _images(made: Made, there: Sequence[Image]) -> dict[str, Image]:
    """Return, of the images `there`, those that the report names, by name.

    What an image was made from says whether it is one, not its id. Raises UsageError where one
    is missing, saying what there is in its place.
    """
    found = {}
    for name in dict.fromkeys(command.image for command in made.commands):
        told = made.report.images.get(name, {}).get("inputs", "")
        if not told:
            raise UsageError(
                f"the report of run {made.run.id} does not tell what {name} was made from",
                "Another version of the farm wrote it: farm build --force makes a wheel anew.",
            )
        same = [image for image in there if image.name == name]
        by_inputs = {image.inputs: image for image in reversed(same)}  # the newest of each
        if told not in by_inputs:
            raise UsageError(*_other_image(made, name, told, tuple(by_inputs)))
        found[name] = by_inputs[told]
    return found


def _other_image(made: Made, name: str, told: str, there: Sequence[str]) -> tuple[str, str]:
    """Return the words of the error for an image that is not what the report names."""
    now = ", ".join(inputs[:_SHOWN] for inputs in there) or "none"
    message = (
        f"the image {name} of run {made.run.id} is not on the engine: its report names one made "
        f"from {told[:_SHOWN]}, there is {now}"
    )
    if made.report.farm != farm.__version__:
        remedy = f"farm {made.report.farm} made it: farm images build of that version, then this."
    elif there:
        remedy = "Debian's archive or the farm has changed since: farm build --force builds anew."
    else:
        remedy = "farm images build makes those of today; try again then."
    return message, remedy


def _notes(made: Made) -> tuple[str, ...]:
    """Return what the report can't promise of a second build, a line each."""
    environment = made.result.command.environment
    hidden = sorted(name for name, value in environment.items() if HIDDEN in value)
    if any(HIDDEN in word for command in made.commands for word in command.argv):
        hidden.append("a command line")
    notes = []
    if hidden:
        notes.append(
            f"the report leaves out the secret in {', '.join(hidden)}: it is taken from "
            "the project's files as they are now"
        )
    if made.result.prepare:
        notes.append("its build environment is installed anew, as the index has it today")
    if made.result.command.network:
        notes.append("its build had a network: what it got there may have changed")
    if made.report.farm != farm.__version__:
        notes.append(f"farm {made.report.farm} built it, and this is farm {farm.__version__}")
    return tuple(notes)


def _build(context: Context, order: Order, made: Made) -> Path:
    """Build the one job as the report says; return the wheel, below the directory of `context`."""
    (job,) = order.plan.jobs
    tree = context.directory / TREE
    write_tree(order.request, tree)
    shared = context.share(tree)

    def attempt(how: Build) -> Path:
        with context.log(job.id) as log:
            return build(context, job, how, site, log)

    def say(text: str) -> None:
        context.emit(Warned(text=text, job=job.id))

    try:
        commands = _whole(made.report.fetch, order.plan.fetch)
        project, source = order.request.project, order.request.source
        fetched = fetch(context, commands, context.site("fetch", shared), project, source)
        _require_lock(made, fetched.lock)
        context.emit(JobPhase(job=job.id, phase=Phase.BUILD))
        target = context.workshop.volume(f"{job.id}-target")  # empty, as for farm build --force
        site = context.site(job.id, shared, target=target)
        return persist(attempt, _how(made, job), stopping=context.workshop.stopping, say=say)
    except FarmError as error:
        log = str(context.log_path(job.id))
        context.emit(JobPhase(job=job.id, phase=Phase.FAILED, text=error.message, log=log))
        raise
    finally:
        tree.unlink(missing_ok=True)


def _how(made: Made, job: Job) -> Build:
    """Return how the report says that the wheel was built; `job` is that of today's plan."""
    result = made.result
    planned = job.fallback if job.fallback and job.fallback.mode is result.mode else job.build
    return Build(
        mode=result.mode,
        linker=result.linker,
        prepare=_whole(result.prepare, planned.prepare),
        command=_whole((result.command,), (planned.command,))[0],
    )


def _whole(told: Sequence[Command], planned: Sequence[Command]) -> tuple[Command, ...]:
    """Return the commands that a report tells, with the secrets that the plan has in them."""
    if without_secrets(tuple(planned)) == tuple(told):
        return tuple(planned)
    if len(told) != len(planned):
        return tuple(told)
    return tuple(_filled(each, now) for each, now in zip(told, planned, strict=True))


def _filled(told: Command, planned: Command) -> Command:
    now: Mapping[str, str] = planned.environment
    return replace(
        told,
        argv=planned.argv if without_secrets(planned.argv) == told.argv else told.argv,
        environment={
            name: now.get(name, value) if HIDDEN in value else value
            for name, value in told.environment.items()
        },
    )
