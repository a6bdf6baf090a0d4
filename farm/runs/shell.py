"""`farm shell`: a way into a job, failed or not, at the command that made or broke it."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import docker

from farm.engine import images
from farm.engine.connection import arch as architecture
from farm.engine.containers import Container, Limits, Mount, Spec, Workshop, open_workshop
from farm.engine.errors import translated
from farm.engine.leftovers import Kept, look
from farm.host.archive import read_archive
from farm.host.scratch import scratch
from farm.model.errors import JobError, UsageError, nearest
from farm.model.events import Emit, Note, Phase
from farm.model.plan import SOURCE, WORK, Command
from farm.model.runs import Run
from farm.model.targets import Arch
from farm.runs.again import ask_again
from farm.runs.building import make_context
from farm.runs.directory import TREE, new_id, write_tree
from farm.runs.emulation import require_emulation
from farm.runs.planner import Order, prepare
from farm.steps.build import brought_up, build
from farm.steps.context import Context, Site, archive
from farm.steps.fetch import fetch
from farm.steps.smoke import check
from farm.wheels.archive import read_wheel

_IDLE = ("sleep", "infinity")
_HISTORY = ".bash_history"
_TERMINFO = (
    Path.home() / ".terminfo",
    *map(Path, ("/etc/terminfo", "/lib/terminfo", "/usr/share/terminfo", "/usr/lib/terminfo")),
)
"""Where terminfo(5) has descriptions on one system or another."""
_SHELL = ("bash", "--norc")
"""The image's own settings would replace the prompt."""


@dataclass(frozen=True, kw_only=True)
class Entrance:
    """Where a job can be entered: its container, and the commands that belong there."""

    spec: Spec
    """Not yet made; its `argv` is the command that failed, or that made the wheel."""
    before: tuple[tuple[str, ...], ...] = ()
    """Commands that went before it, for the shell's history."""

    @property
    def argvs(self) -> tuple[tuple[str, ...], ...]:
        """All of the commands, in their order."""
        return (*self.before, self.spec.argv)


def entrance(client: docker.DockerClient, kept: Kept) -> Entrance:
    """Return the entrance to a job whose volumes are kept; raises SurroundingsError."""
    with translated("look at a kept job"):
        told = client.api.inspect_container(kept.container)
        image = client.api.inspect_image(told["Image"])  # type: ignore[no-untyped-call]
    config, host = told["Config"], told["HostConfig"]
    return Entrance(
        spec=Spec(
            image=told["Image"],
            arch=Arch.parse(image["Architecture"]),
            argv=tuple(config["Cmd"]),
            cwd=config["WorkingDir"],
            environment=dict(pair.split("=", 1) for pair in config["Env"]),
            mounts=tuple(_mount(mount) for mount in host["Mounts"]),
            limits=Limits(
                memory=host["Memory"],
                cpus=host["NanoCpus"] / 1e9,
                pids=host["PidsLimit"],
                deadline=0,
            ),
            network=host["NetworkMode"] != "none",
            user=config["User"],
            job=kept.job,
        )
    )


def step_of(run: Run, job: str, wanted: str) -> Phase:
    """Return at which step to enter `job`: the one `wanted`, else where it failed, else its build.

    Raises UsageError for one that can't be entered.
    """
    steps = (Phase.BUILD, Phase.CHECK)
    if wanted and wanted not in steps:
        raise UsageError(f"unknown step {wanted!r}{nearest(wanted, steps)}", "Known: build, check.")
    failed = next((r.phase for r in run.results if r.job == job), "")
    return Phase.CHECK if (wanted or failed) == Phase.CHECK else Phase.BUILD


@contextmanager
def open_for_shell(client: docker.DockerClient, emit: Emit) -> Iterator[Workshop]:
    """Give a workshop for a shell, that is of no run."""
    name = f"builder-{architecture(client)}"
    image = images.ensure(client, (name,), emit=emit, archive=read_archive())[name]
    with open_workshop(client, new_id(), image.id) as workshop:
        yield workshop


def find_entrance(
    client: docker.DockerClient,
    workshop: Workshop,
    run: Run,
    job: str,
    step: Phase,
    emit: Emit,
) -> Entrance:
    """Return the entrance to `job` of `run` at `step`: as it failed, if that is kept, else anew.

    Raises FarmError for what keeps it from getting there.
    """
    for kept in look(client).kept:
        if (kept.run, kept.job, kept.step) == (run.id, job, step):
            found = entrance(client, kept)
            require_emulation(client, {found.spec.arch} - {architecture(client)}, emit)
            return found
    emit(Note(text=f"{job} of run {run.id} is not kept: bringing it up to its {step} anew"))
    request = ask_again(Path(run.project), Path(run.directory), (job,))
    order = prepare(request, client)
    wheel = next((r.wheel for r in run.results if r.job == job and r.wheel), None)
    there = Path(wheel.path) if wheel and Path(wheel.path).is_file() else None
    with scratch() as directory:
        return bring_up(order, client, emit, workshop, directory, step=step, wheel=there)


def bring_up(
    order: Order,
    client: docker.DockerClient,
    emit: Emit,
    workshop: Workshop,
    directory: Path,
    *,
    step: Phase,
    wheel: Path | None,
) -> Entrance:
    """Bring the one job of `order` up to its own command, or to its check's, as a run does.

    `directory` is for logs. `step` is Phase.BUILD or Phase.CHECK; a check is of `wheel`, which
    is built first where there is none, on the lowest interpreter. Raises FarmError for what
    keeps it from getting there.
    """
    (job,) = order.plan.jobs
    tree = directory / TREE
    write_tree(order.request, tree)
    found = images.ensure(client, order.plan.images, emit=emit, archive=order.request.archive)
    require_emulation(client, {job.target.arch} - {order.plan.engine_arch}, emit)
    context = make_context(order, workshop, found, directory, emit, keep=True)
    shared = context.share(tree)
    site = context.site(job.id, shared, target=workshop.volume(f"{job.id}-target"))
    with context.log(job.id) as log:
        if step is Phase.BUILD or wheel is None:
            project, source = order.request.project, order.request.source
            fetch(context, order.plan.fetch, context.site("fetch", shared), project, source)
        if step is Phase.BUILD:
            with brought_up(context, job, job.build, site, log):
                return Entrance(spec=_entered(site.built))
        if wheel is None:
            wheel = build(context, job, job.build, site, log)
        else:
            _fill(context, site)
        planned = job.checks[0]
        result = check(context, read_wheel(wheel), replace(planned, run=()), site, log, job=job.id)
    if not result.passed:
        raise JobError(f"the check of {job.id} can't be brought up: {result.reason}")
    *before, last = planned.run
    return Entrance(
        spec=replace(
            _entered(site.checked),
            image=context.images[last.image].id,
            arch=last.arch,
            argv=last.argv,
            network=False,
        ),
        before=tuple(command.argv for command in before),
    )


def _fill(context: Context, site: Site) -> None:
    """Fill the volumes of `site`, as a build does; nothing is run."""
    idle = Command(image=context.builder, arch=context.engine_arch, argv=_IDLE, cwd="/")
    spec = context.spec(idle, mounts=site.mounts(SOURCE, WORK), deadline=0)
    with context.workshop.container(spec) as container:
        site.fill(container)


def _entered(spec: Spec | None) -> Spec:
    if spec is None:
        raise TypeError(spec)
    return spec


@contextmanager
def opened(workshop: Workshop, entrance: Entrance) -> Iterator[Container]:
    """Give the running container of `entrance`, with its commands in the shell's history."""
    spec = entrance.spec
    prompt = f"[{spec.job}] \\w\\$ "
    environment = {**spec.environment, "PS1": prompt, "HISTCONTROL": "ignoreboth"}
    with workshop.container(replace(spec, argv=_IDLE, environment=environment)) as container:
        home = spec.environment.get("HOME", "/")
        owner = int(spec.user.partition(":")[0] or 0)
        lines = [shlex.join(argv) for argv in entrance.argvs]
        text = "".join(f"{line}\n" for line in lines)
        members: dict[str, bytes | Path] = {_HISTORY: text.encode(), **_terminal_description()}
        container.put(home, archive(members, owner=owner))
        container.start()
        yield container


def _terminal_description() -> dict[str, bytes | Path]:
    """Return the file that tells a shell of this terminal, below its home; the images have none."""
    name = os.environ.get("TERM", "")
    found = (place / name[:1] / name for place in _TERMINFO)
    path = next((path for path in found if name and path.is_file()), None)
    return {} if path is None else {f".terminfo/{name[:1]}/{name}": path}


def _mount(told: Mapping[str, Any]) -> Mount:
    return Mount(volume=told["Source"], path=told["Target"], read_only=told.get("ReadOnly", False))


def shell_argv(container: Container, command: Sequence[str], *, terminal: bool) -> tuple[str, ...]:
    """Return the command line of Docker's client that runs `command`, or a shell, in there.

    Without a `terminal` and without a command, the shell reads its commands from stdin.
    """
    return (
        *("docker", "exec", "--interactive"),
        *(("--tty", "--env", "TERM") if terminal else ()),
        *("--workdir", container.spec.cwd, "--user", container.spec.user),
        container.identity,
        *(command or _SHELL),
    )
