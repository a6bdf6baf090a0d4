"""`farm shell`: a way into a job, failed or not, at the command that made or broke it."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

import docker

from farm.engine.containers import Container, Limits, Mount, Spec, Workshop
from farm.engine.errors import translated
from farm.engine.leftovers import Kept
from farm.model.targets import Arch
from farm.steps.context import archive

_IDLE = ("sleep", "infinity")
_HISTORY = ".bash_history"
_SHELL = "bash"


@dataclass(frozen=True, kw_only=True)
class Entrance:
    """Where a job can be entered: its container, and the commands that belong there."""

    spec: Spec
    """Not yet made; its `argv` is the command that failed, or that made the wheel."""
    before: tuple[tuple[str, ...], ...] = ()
    """Commands that went before it, for the shell's history."""


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
            mounts=tuple(_mount(bind) for bind in host["Binds"]),
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


@contextmanager
def opened(workshop: Workshop, entrance: Entrance) -> Iterator[Container]:
    """Give the running container of `entrance`, with its commands in the shell's history."""
    spec = entrance.spec
    prompt = f"[{spec.job}] \\w\\$ "
    environment = {**spec.environment, "PS1": prompt, "HISTCONTROL": "ignoreboth"}
    with workshop.container(replace(spec, argv=_IDLE, environment=environment)) as container:
        home = spec.environment.get("HOME", "/")
        owner = int(spec.user.partition(":")[0] or 0)
        lines = [shlex.join(argv) for argv in (*entrance.before, spec.argv)]
        text = "".join(f"{line}\n" for line in lines)
        container.put(home, archive({_HISTORY: text.encode()}, owner=owner))
        container.start()
        yield container


def _mount(bind: str) -> Mount:
    volume, path, access = bind.split(":")
    return Mount(volume=volume, path=path, read_only=access == "ro")


def shell_argv(container: Container, command: Sequence[str], *, terminal: bool) -> tuple[str, ...]:
    """Return the command line of Docker's client that runs `command`, or a shell, in there.

    Without a `terminal` and without a command, the shell reads its commands from stdin.
    """
    return (
        *("docker", "exec", "--interactive"),
        *(("--tty",) if terminal else ()),
        *("--workdir", container.spec.cwd, "--user", container.spec.user),
        container.identity,
        *(command or (_SHELL,)),
    )
