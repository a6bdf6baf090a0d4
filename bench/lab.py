"""What contestants share: copies of projects, volumes and containers, programs that are timed."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import docker
import psutil
from controller import peak_kib
from filelock import FileLock, Timeout
from seen import remove_caches

from farm.bases.debian import ZIG_CACHE
from farm.engine import images
from farm.engine.connection import connect
from farm.host.certificates import bundle
from farm.model.plan import CARGO_HOME, SOURCE, TARGET, WORK

ROOT = Path(__file__).resolve().parent.parent
LABEL = "farm.bench"
"""What containers and volumes of the bench's own carry, and are removed by."""
FOREIGN = "/opt/python-aarch64"
"""Where a native container sees the aarch64 interpreters: their files, nothing that runs."""
UV_CACHE = "/uv"
CA_BUNDLE = "/ca.pem"
_CERTIFICATES = ("SSL_CERT_FILE", "CARGO_HTTP_CAINFO")
_LOOK = 0.02
_PATIENCE = 10.0
"""Seconds that a program has to end in order."""


class Failed(Exception):  # noqa: N818 - a measurement's end, not a bug
    """A program of a contestant's ended with an error; says which, and where its log is."""


@dataclass(frozen=True, kw_only=True)
class Ran:
    """A program that has ended."""

    seconds: float
    cpu: float
    """CPU seconds of the whole machine meanwhile: also the engine's, and anybody else's."""
    peak_kib: int
    """The most memory that the program itself held."""


@dataclass(kw_only=True)
class Lab:
    """One bench's things on this machine and on the engine."""

    client: docker.DockerClient
    scratch: Path
    commands: list[str] = field(default_factory=list)
    """What was run since they were last taken, for the record."""

    @property
    def environment(self) -> dict[str, str]:
        """The environment of what is started here: with caches of the bench's own."""
        return os.environ | {"XDG_CACHE_HOME": str(self.scratch / "cache")}

    def copy(self, project: Path, name: str) -> Path:
        """Copy `project` without what builds left in it; the same copy each time."""
        place = self.scratch / name
        if not place.exists():
            made = (".farm", "dist", "target", "*.so", "__pycache__", ".pytest_cache", ".venv")
            shutil.copytree(project, place, ignore=shutil.ignore_patterns(*made))
        return place

    def directory(self) -> Path:
        """Return a new empty directory."""
        return Path(tempfile.mkdtemp(dir=self.scratch))

    def image(self, name: str) -> str:
        """Return the reference of the farm's image `name`, which must be there."""
        return str(images.find(self.client, [name])[name].reference)

    def farm(self, log: Path, *words: str | Path) -> Ran:
        """Run a command of the farm's."""
        return self.run([sys.executable, "-m", "farm", *map(str, words)], log)

    def plan(self, project: Path, *words: str) -> Any:
        """Return the farm's plan for `project`."""
        argv = [sys.executable, "-m", "farm", "plan", str(project), *words, "--json"]
        told = subprocess.run(argv, env=self.environment, check=True, capture_output=True)
        return json.loads(told.stdout)

    def run(
        self,
        argv: Sequence[str],
        log: Path,
        *,
        more: Mapping[str, str] | None = None,
        cwd: Path = ROOT,
    ) -> Ran:
        """Run a program and time it; `more` is environment of its own. Raises Failed.

        The command, its own environment and all that it says go into `log`.
        """
        told = shlex.join([*(f"{key}={value}" for key, value in (more or {}).items()), *argv])
        self.commands.append(told)
        highest = 0
        with log.open("ab") as file:
            file.write(f"$ {told}\n".encode())
            file.flush()
            before, began = _busy(), time.monotonic()
            process = subprocess.Popen(
                argv,
                cwd=cwd,
                env=self.environment | dict(more or {}),
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
            )

            def look() -> None:
                nonlocal highest
                while process.poll() is None:
                    highest = max(highest, peak_kib(process.pid))
                    time.sleep(_LOOK)

            looking = threading.Thread(target=look)
            looking.start()
            try:
                code = process.wait()
            except KeyboardInterrupt:
                process.terminate()  # a farm that heard the same Ctrl-C takes it for nothing
                with suppress(subprocess.TimeoutExpired):  # what docker runs may
                    process.wait(_PATIENCE)
                process.kill()
                raise
            ran = time.monotonic() - began
            cpu = _busy() - before
            looking.join()
        if code:
            raise Failed(f"status {code} of: {told}; see {log}")
        return Ran(seconds=ran, cpu=cpu, peak_kib=highest)

    def container(
        self, image: str, argv: Sequence[str], log: Path, *words: str, network: bool = False
    ) -> Ran:
        """Run `argv` in a container as `docker run` does; `words` are options."""
        options = ["--rm", f"--label={LABEL}", "--tmpfs=/tmp:exec,mode=1777", *words]
        if not network:
            options.append("--network=none")
        return self.run(["docker", "run", *options, image, *argv], log)

    def volume(self, purpose: str, *, empty: bool = False) -> str:
        """Return the volume for `purpose`, made where there is none, or anew where `empty`."""
        name = f"bench-{purpose}"
        if empty:
            self._remove_volumes({"name": f"^{name}$", "label": LABEL})
        self.client.volumes.create(name, labels={LABEL: ""})
        return name

    def linker_cache(self, image: str, log: Path, *, anew: bool) -> str:
        """Return the volume with zig's cache; `anew`, as `image` has it warm."""
        option = f"--volume={self.volume('linker', empty=anew)}:{ZIG_CACHE}"
        if anew:
            self.container(image, ["true"], log, option)
        return option

    def crates(self, project: Path, image: str, log: Path) -> str:
        """Return the volume with the crates of `project`, fetched once."""
        option = f"--volume={self.volume(f'crates-{project.name}')}:{CARGO_HOME}"
        marker = self.scratch / f"{project.name}.fetched"
        if not marker.exists():
            fetch = self.plan(project)["fetch"][0]
            words = (option, f"--volume={project}:{SOURCE}", *environment(fetch))
            words += certificates()
            self.container(image, fetch["argv"], log, *words, network=True)
            marker.touch()
        return option

    def foreign_pythons(self) -> str:
        """Return the volume with the files of the aarch64 interpreters, for cross compilation.

        The engine fills it as a container is created that has it there; that one never runs.
        """
        name = self.volume("pythons-aarch64")
        create = ("docker", "create", f"--label={LABEL}", f"--volume={name}:/opt/python")
        argv = (*create, "--platform=linux/arm64", self.image("builder-aarch64"), "true")
        made = subprocess.run(argv, check=True, capture_output=True, text=True)
        subprocess.run(("docker", "rm", made.stdout.strip()), check=True, capture_output=True)
        return f"--volume={name}:{FOREIGN}:ro"

    def clean_up(self) -> None:
        """Remove what the bench has on the engine."""
        for container in self.client.containers.list(all=True, filters={"label": LABEL}):
            container.remove(force=True, v=True)
        self._remove_volumes({"label": LABEL})
        remove_caches(self.scratch)

    def _remove_volumes(self, filters: Mapping[str, str]) -> None:
        for volume in self.client.volumes.list(filters=dict(filters)):
            volume.remove(force=True)


@contextmanager
def open_lab() -> Iterator[Lab]:
    """Give a lab, and take away in the end what it has made.

    Raises SystemExit where another bench is at work on this machine.
    """
    lock = FileLock(Path(tempfile.gettempdir(), "farm-bench.lock"))
    try:
        held = lock.acquire(blocking=False)
    except Timeout:
        raise SystemExit("another bench is at work on this machine") from None
    with (
        held,
        tempfile.TemporaryDirectory(prefix="farm-bench-") as scratch,
        connect() as client,
    ):
        lab = Lab(client=client, scratch=Path(scratch))
        lab.clean_up()  # what a bench that was killed left
        try:
            yield lab
        finally:
            lab.clean_up()


def environment(command: Mapping[str, Any]) -> tuple[str, ...]:
    """Return a planned command's environment and directory as options of `docker run`."""
    words = tuple(f"--env={key}={value}" for key, value in command["environment"].items())
    return (*words, f"--workdir={command['cwd']}")


def certificates() -> tuple[str, ...]:
    """Return the options that let a container with a network trust what this machine trusts."""
    trusted = bundle()
    if trusted is None:
        return ()
    words = (f"--env={name}={CA_BUNDLE}" for name in _CERTIFICATES)
    return (f"--volume={trusted}:{CA_BUNDLE}:ro", *words)


def building(project: Path, work: Path, target: str) -> tuple[str, ...]:
    """Return the options by which a build sees its source, its target directory and the rest."""
    places = {str(project): SOURCE, target: TARGET, str(work): WORK}
    return tuple(f"--volume={outside}:{inside}" for outside, inside in places.items())


def _busy() -> float:
    """Return the CPU seconds that this machine has spent on anything."""
    times = psutil.cpu_times()
    return float(times.user + times.nice + times.system + times.irq + times.softirq)
