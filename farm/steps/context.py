"""What every step of a run shares: the engine's side, the run's directory, the listeners."""

from __future__ import annotations

import io
import shlex
import tarfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import SpooledTemporaryFile
from typing import IO, cast

from farm.bases import debian
from farm.engine.containers import Container, Limits, Mount, Spec, Workshop
from farm.engine.images import Image
from farm.model.events import Emit, JobLine
from farm.model.plan import CARGO_HOME, SOURCE, TARGET, WORK, Command
from farm.model.secrets import redact
from farm.model.settings import Settings
from farm.model.targets import Arch
from farm.steps.network import network_environment

_SPOOL_BYTES = 8 << 20
MAX_LOG = 256 << 20
"""Characters of one job's log: what a process prints must not fill this machine's disk."""
_CUT = "the log ends here: it is too long"


@dataclass(frozen=True, kw_only=True)
class Shared:
    """What a run's builds share."""

    tree: Path
    """The source tree as a tar archive: what every job gets, whatever is edited meanwhile."""
    cargo: str
    """The volume of the crates; only the fetch writes to it."""
    linker: str
    """The linker's cache: filled from the image when it is first mounted, and written to."""
    cache: str = ""
    """Whose builds' cache the volumes but the jobs' own are of; empty where they are the run's."""


@dataclass(kw_only=True)
class Site:
    """Where one job is at work on the engine: the volumes of its own, and the run's."""

    shared: Shared
    source: str
    work: str
    target: str = ""
    """The volume of cargo's target directory; empty where nothing is compiled."""
    built: Spec | None = None
    """The container of the build's last command, as whoever enters the job finds it."""
    checked: Spec | None = None
    """The container of the last check's last command."""

    def fill(self, container: Container) -> None:
        """Put the source tree, and what else a build starts with, into the job's own volumes."""
        with self.shared.tree.open("rb") as tree:
            container.put(SOURCE, tree)
        container.put(WORK, archive({}, directories=("home", "out", "env")))

    def mounts(self, *writable: str) -> tuple[Mount, ...]:
        """Return all the mounts of a build; those at the paths `writable` can be written to."""
        cache = self.shared.cache
        places = (
            (self.source, SOURCE, ""),
            (self.shared.cargo, CARGO_HOME, cache),
            (self.target, TARGET, cache),
            (self.work, WORK, ""),
        )
        mounts = [
            Mount(volume=volume, path=path, read_only=path not in writable, cache=whose)
            for volume, path, whose in places
            if volume
        ]
        return (*mounts, Mount(volume=self.shared.linker, path=debian.ZIG_CACHE, cache=cache))


@dataclass(frozen=True, kw_only=True)
class Context:
    """One run, as its steps see it."""

    workshop: Workshop
    engine_arch: Arch
    images: Mapping[str, Image]
    directory: Path
    """The run's own directory on this machine: logs, rejected wheels, the report."""
    settings: Settings
    memory: int
    """Bytes that one container may use, while as many as there are `builders` do."""
    cpus: float
    emit: Emit
    builders: int = 1
    """How many builds are under way at once."""
    keep: bool = False
    """Keep the volumes of every job, not only of those that fail."""

    @property
    def memory_alone(self) -> int:
        """Bytes that a build may use while no other is under way."""
        return self.memory if self.settings.limits.memory_gib else self.memory * self.builders

    @property
    def builder(self) -> str:
        """The short name of the builder image of the engine's own architecture."""
        return f"builder-{self.engine_arch}"

    def spec(
        self,
        command: Command,
        *,
        mounts: tuple[Mount, ...],
        deadline: float,
        job: str = "",
        user: str = "0:0",
        place: str = CARGO_HOME,
    ) -> Spec:
        """Return the container of `command`, with the run's limits and `deadline` seconds.

        On a network it also gets this machine's proxies and package indexes, and where it finds
        the `certificates` that were put at `place`. These come from the user's own environment,
        may hold passwords, and so are in no plan and no report.
        """
        environment = dict(command.environment)
        if command.network:
            environment |= network_environment(place)
        return Spec(
            image=self.images[command.image].id,
            arch=command.arch,
            argv=command.argv,
            cwd=command.cwd,
            environment=environment,
            mounts=mounts,
            limits=Limits(
                memory=self.memory,
                cpus=self.cpus,
                pids=self.settings.limits.pids,
                deadline=deadline,
            ),
            network=command.network,
            user=user,
            job=job,
        )

    def share(self, tree: Path) -> Shared:
        """Make the volumes that the run's builds share, besides the archive `tree`."""
        cargo, linker = map(self.workshop.volume, ("cargo", "linker"))
        return Shared(tree=tree, cargo=cargo, linker=linker)

    def site(self, job: str, shared: Shared, *, target: str = "") -> Site:
        """Make the volumes of `job`; they are empty until `fill` was called.

        `target` is that of its target directory, where something is compiled.
        """
        source, work = (self.workshop.volume(f"{job}-{purpose}") for purpose in ("source", "work"))
        return Site(shared=shared, source=source, work=work, target=target)

    def log_path(self, job: str) -> Path:
        """Return the path of the log of `job`."""
        return self.directory / f"{job}.log"

    @contextmanager
    def log(self, job: str) -> Iterator[Log]:
        """Open the log of `job`, appending."""
        with self.log_path(job).open("a", encoding="utf-8", errors="replace") as file:
            yield Log(job, file, self.emit)


class Log:
    """A job's log file; each line is also an event."""

    def __init__(self, job: str, file: IO[str], emit: Emit) -> None:
        self._job = job
        self._file = file
        self._emit = emit
        self._room = MAX_LOG - file.tell()

    def __call__(self, line: str) -> None:
        """Write one line, as long as there is room."""
        if self._room > 0:
            self._room -= len(line) + 1
            self._file.write((line if self._room > 0 else _CUT) + "\n")
            self._file.flush()
        self._emit(JobLine(job=self._job, line=line))

    def command(self, command: Command) -> None:
        """Write what is about to run, so that it can be pasted, but for passwords."""
        self(redact(f"$ cd {command.cwd} && {shlex.join(command.argv)}"))


def archive(
    members: Mapping[str, bytes | Path], *, directories: tuple[str, ...] = (), owner: int = 0
) -> IO[bytes]:
    """Return a rewound tar archive of files and empty directories, owned by `owner`.

    A member is its content, or the file on this machine that holds it.
    """
    spool = cast("IO[bytes]", SpooledTemporaryFile(max_size=_SPOOL_BYTES))  # noqa: SIM115
    with tarfile.open(fileobj=spool, mode="w") as tar:
        for name in directories:
            entry = tarfile.TarInfo(name)
            entry.type, entry.mode, entry.uid, entry.gid = tarfile.DIRTYPE, 0o755, owner, owner
            tar.addfile(entry)
        for name, content in members.items():
            entry = tarfile.TarInfo(name)
            entry.mode, entry.uid, entry.gid = 0o644, owner, owner
            with content.open("rb") if isinstance(content, Path) else io.BytesIO(content) as file:
                entry.size = file.seek(0, io.SEEK_END)
                file.seek(0)
                tar.addfile(entry, file)
    spool.seek(0)
    return spool
