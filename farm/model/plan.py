"""The plan: every job and check with the exact command of each, as a value.

A plan can be printed, compared, sent to another machine and run; nothing in it is decided later.
What a command cannot know before its wheel exists is a placeholder: `{wheel}`, the wheel's file
name, and `{name}`, its project's name.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import chain

from farm.model.targets import Arch, Interpreter, Mode, Target

SOURCE = "/src"
"""Where a container sees the source tree, in every run: paths end up in wheels."""
CARGO_HOME = "/cargo"
"""Where a container sees fetched crates."""
TARGET = "/target"
"""Where cargo compiles; the run's, so that its jobs find each other's host units."""
WORK = "/work"
"""What else a build writes: its home, build environments, the wheel."""
CHECK = "/check"
"""Where a check keeps its wheel and its virtual environment."""


@dataclass(frozen=True, kw_only=True)
class Command:
    """One process in one container."""

    image: str
    """Short name of the image, such as `builder-aarch64`."""
    arch: Arch
    """The container's architecture."""
    argv: tuple[str, ...]
    cwd: str
    environment: Mapping[str, str] = field(default_factory=dict)
    network: bool = False


@dataclass(frozen=True, kw_only=True)
class Check:
    """One smoke test of one wheel on one interpreter."""

    interpreter: Interpreter
    prepare: tuple[Command, ...]
    """Makes the virtual environment; on a network only if there are dependencies to get. Runs
    nothing of what is in it."""
    run: tuple[Command, ...]
    """Imports the wheel's modules, then the project's own smoke command; never on a network."""
    excused: bool = False
    """Left out, with a line, where a dependency has no wheel for the interpreter."""

    @property
    def commands(self) -> tuple[Command, ...]:
        """Its commands in their order."""
        return (*self.prepare, *self.run)


@dataclass(frozen=True, kw_only=True)
class Build:
    """One way to compile a job's wheel."""

    mode: Mode
    linker: str
    prepare: tuple[Command, ...]
    """Makes the environment of `build-system.requires` on a network; empty if there is none."""
    command: Command


@dataclass(frozen=True, kw_only=True)
class Job:
    """What makes one wheel."""

    id: str
    """Reads like the wheel's tag; for people, never taken apart."""
    target: Target
    build: Build
    fallback: Build | None
    """What a failed hybrid build is tried again as, if the settings say so."""
    checks: tuple[Check, ...]
    out: str
    """The directory, inside the container, that the wheel is built into."""

    @property
    def commands(self) -> tuple[Command, ...]:
        """Every command that the job may run."""
        commands: list[Command] = []
        for build in (self.build, self.fallback):
            if build is not None:
                commands += [*build.prepare, build.command]
        for check in self.checks:
            commands += check.commands
        return tuple(commands)

    @property
    def images(self) -> tuple[str, ...]:
        """The short names of the images that its commands run in, each once."""
        return tuple(dict.fromkeys(command.image for command in self.commands))


@dataclass(frozen=True, kw_only=True)
class Plan:
    """One run's jobs, in the order in which they start."""

    project: str
    version: str
    engine_arch: Arch
    fetch: tuple[Command, ...]
    """The steps with a network, before any job."""
    jobs: tuple[Job, ...]
    left_out: tuple[str, ...] = ()
    """What was not asked for by name and can't be built, a line each."""
    warnings: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    """What was chosen on the user's behalf, with the reason."""

    @property
    def images(self) -> tuple[str, ...]:
        """The short names of the images that the plan's commands run in, each once."""
        names = chain((command.image for command in self.fetch), *(j.images for j in self.jobs))
        return tuple(dict.fromkeys(names))

    @property
    def foreign(self) -> tuple[Arch, ...]:
        """The architectures of the jobs that are not the engine's own."""
        return tuple(sorted({job.target.arch for job in self.jobs} - {self.engine_arch}))
