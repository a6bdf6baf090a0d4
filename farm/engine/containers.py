"""Containers and volumes: the one door to the engine for everything that runs.

Everything made here carries the labels `farm=1` and `farm.run=<run>`, so that it can be told
apart from what others made, and found again after a kill.
"""

from __future__ import annotations

import codecs
import json
import re
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from tempfile import SpooledTemporaryFile
from typing import IO, Any

import docker
import requests
from docker.errors import APIError, NotFound
from docker.types import LogConfig, Ulimit

from farm.engine.errors import translated
from farm.engine.leftovers import (
    CACHE_LABEL,
    JOB_LABEL,
    KEPT_LABEL,
    LABEL,
    RUN_LABEL,
    STEP_LABEL,
    sweep,
)
from farm.engine.sentinel import Sentinel
from farm.engine.unbroken import Requests
from farm.model.errors import JobError, SurroundingsError
from farm.model.failures import Cause, Ended
from farm.model.secrets import redactor, without_secrets
from farm.model.targets import Arch
from farm.wheels.entries import MAX_UNPACKED

_SPOOL_BYTES = 8 << 20
_MAX_LINE = 1 << 20
"""Characters of a line that are handed on at once: a process may never end one. What the farm
itself reads of a container in one line, a check's answer, is kept shorter."""
_GIB = 1 << 30
_REMOVED = re.compile(r"No such (?:container|exec instance)")
"""How the engine tells that a container is not there any more."""


@dataclass(frozen=True, kw_only=True)
class Mount:
    """A volume, where a container sees it."""

    volume: str
    path: str
    read_only: bool = False
    cache: str = ""
    """The project whose builds' cache it is of, by its key; empty for what is the run's own."""


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What a container may use: bytes, CPUs, processes, seconds."""

    memory: int
    cpus: float
    pids: int
    deadline: float


@dataclass(frozen=True, kw_only=True)
class Spec:
    """A container, before it exists. It has no capability, no host path, a read-only root."""

    image: str
    arch: Arch
    argv: tuple[str, ...]
    cwd: str
    environment: Mapping[str, str]
    mounts: tuple[Mount, ...]
    limits: Limits
    network: bool = False
    user: str = "0:0"
    job: str = ""


class Cancelled(Exception):  # noqa: N818 - not an error: the user's wish
    """The run was cancelled while a container was at work; says why."""


OnLine = Callable[[str], None]


@contextmanager
def open_workshop(client: docker.DockerClient, run: str, image: str) -> Iterator[Workshop]:
    """Give the workshop of `run`, alive until the end of the block, where all of it is removed.

    `image` is one of the engine's own architecture that has `cat`, for the run's sentinel.
    """
    workshop = Workshop(client=client, run=run)
    sentinel = Sentinel(client=client, image=image, labels=workshop.labels(""))
    try:
        sentinel.start()
        yield workshop
    finally:
        with suppress(SurroundingsError):  # the engine is gone: the next run removes what is left
            workshop.close()
        sentinel.stop()


@dataclass(kw_only=True)
class Workshop:
    """One run's containers and volumes on one engine."""

    client: docker.DockerClient
    run: str
    stopping: threading.Event = field(default_factory=threading.Event)
    """Set once `cancel` was called: what no wait outlasts."""
    _live: set[str] = field(default_factory=set)
    _left: set[str] = field(default_factory=set)
    """Those that the engine was away to remove: they may be at work still, in the same volumes."""
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _making: Requests = field(default_factory=Requests)
    """What the engine is asked to make; `close` waits for it."""
    _cancelled: str = ""

    def volume(self, purpose: str) -> str:
        """Make an empty volume of this run; `purpose` is part of its name. Return the name."""
        return self.make_volume(f"farm-{self.run}-{purpose}", self.labels(""))

    def make_volume(self, name: str, labels: Mapping[str, str]) -> str:
        """Make the volume `name` where it is not there yet; return the name."""
        create = self.client.api.create_volume
        with translated("make a volume"):
            self._making.ask(create, name, labels=dict(labels))
        return name

    def claim(self, name: str, spec: Spec) -> bool:
        """Make the container `name` of `spec`, never started; it goes with the run.

        Returns False where there is one of that name.
        """
        try:
            self._create(self._config(spec), spec.arch, name=name)
        except APIError as error:
            if error.status_code == requests.codes.conflict:
                return False
            with translated(f"make {name}"):
                raise
        return True

    def hold(self, spec: Spec, labels: Mapping[str, str]) -> None:
        """Make a container of `spec` with just these labels, never started, beyond the run."""
        self._create(self._config(spec) | {"Labels": dict(labels)}, spec.arch)

    def keep(self, spec: Spec, step: str) -> None:
        """Keep the volumes of `spec` beyond the end of the run, for who wants to look into them.

        The container that keeps them is `spec`'s own, never started; `step` is which of the
        job's it is of. What the environment holds of secrets is not kept.
        """
        lines: list[str] = []
        volumes = {m.path: m.volume for m in spec.mounts if not m.cache}  # that has its own bound
        measure = ("du", "--summarize", "--block-size=1", *volumes)
        with self.container(replace(spec, argv=measure, cwd="/", user="0:0", network=False)) as du:
            du.run(lines.append, on_error_line=lambda _: None)
        sizes = (line.split(maxsplit=1) for line in lines)
        told = {volumes[path]: int(size) for size, path in sizes}
        config = self._config(without_secrets(spec))
        config["Labels"] |= {KEPT_LABEL: json.dumps(told), STEP_LABEL: step}
        with translated("keep a job's volumes"):
            self._create(config, spec.arch)

    def drop(self, volume: str) -> None:
        """Remove a volume of this run that nothing uses any more."""
        with translated("remove a volume"):
            self.client.api.remove_volume(volume, force=True)

    def default_limits(self) -> tuple[int, float]:
        """Return the memory in bytes (all but one GiB) and the CPUs of the engine."""
        with translated("ask the engine for its size"):
            info = self.client.info()
        return max(int(info["MemTotal"]) - _GIB, _GIB), float(info["NCPU"])

    @contextmanager
    def container(self, spec: Spec) -> Iterator[Container]:
        """Create the container of `spec`, and remove it in the end whatever happens."""
        if self._cancelled:
            raise Cancelled(self._cancelled)
        with translated(f"create a container of {spec.image}"):
            self._remove_left()
            identity = self._create(self._config(spec), spec.arch)
        with self._lock:
            self._live.add(identity)
        try:
            yield Container(self, identity, spec)
        finally:
            with self._lock:
                self._live.discard(identity)
            self._remove(identity)

    def _create(self, config: Mapping[str, Any], arch: Arch, *, name: str | None = None) -> str:
        """Make a container of `arch`; return its id."""
        create = self.client.api.create_container_from_config
        made = self._making.ask(create, config, name, arch.platform)
        return str(made["Id"])

    @property
    def cancelled(self) -> str:
        """Why `cancel` was called, empty as long as it was not."""
        return self._cancelled

    def cancel(self, why: str) -> None:
        """End every running container of this run; their users get `Cancelled`, saying `why`."""
        self._cancelled = self._cancelled or why
        self.stopping.set()
        with self._lock:
            live = tuple(self._live)
        for identity in live:
            self._kill(identity)

    def close(self) -> None:
        """Remove all that is left of this run on the engine, but what is kept.

        Also what the engine was just asked to make, when whoever asked was interrupted.
        """
        self._making.finish()
        sweep(self.client, self.run)

    def _kill(self, identity: str) -> None:
        try:
            self.client.api.kill(identity)
        except (APIError, requests.RequestException):
            return  # it had ended by itself, or with its engine

    def _remove(self, identity: str) -> None:
        try:
            self.client.api.remove_container(identity, force=True, v=True)
        except NotFound:
            return  # removed from outside
        except APIError as error:
            if error.status_code != requests.codes.conflict:  # removal already under way
                raise
        except requests.RequestException:
            with self._lock:
                self._left.add(identity)

    def _remove_left(self) -> None:
        with self._lock:
            left, self._left = self._left, set()
        for identity in left:
            self._remove(identity)

    def labels(self, job: str) -> dict[str, str]:
        """Return the labels of what is made for `job`, or for the run as a whole."""
        return {LABEL: "1", RUN_LABEL: self.run, **({JOB_LABEL: job} if job else {})}

    def _mount(self, mount: Mount) -> docker.types.Mount:
        """Return the mount as the engine wants it.

        The labels are for a volume that is made just now, since it was removed meanwhile: that
        one, too, is found again.
        """
        return docker.types.Mount(
            mount.path,
            mount.volume,
            read_only=mount.read_only,
            labels={LABEL: "1", CACHE_LABEL: mount.cache} if mount.cache else self.labels(""),
        )

    def _config(self, spec: Spec) -> dict[str, Any]:
        api = self.client.api
        host = api.create_host_config(
            mounts=[self._mount(mount) for mount in spec.mounts],
            cap_drop=["ALL"],
            security_opt=["no-new-privileges"],
            read_only=True,
            tmpfs={"/tmp": "exec,mode=1777"},  # noqa: S108 - the container's own
            network_mode="bridge" if spec.network else "none",
            mem_limit=spec.limits.memory,
            memswap_limit=spec.limits.memory,
            nano_cpus=int(spec.limits.cpus * 1e9),
            pids_limit=spec.limits.pids,
            ulimits=[Ulimit(name="core", soft=0, hard=0)],
            log_config=LogConfig(type="none"),  # what is said is read by `attach`, kept by the run
            init=True,
        )
        config: dict[str, Any] = api.create_container_config(
            image=spec.image,
            command=list(spec.argv),
            entrypoint=[],
            working_dir=spec.cwd,
            environment=dict(spec.environment),
            user=spec.user,
            labels=self.labels(spec.job),
            host_config=host,
        )
        return config


class Container:
    """One container that exists; made and removed by `Workshop.container`."""

    def __init__(self, workshop: Workshop, identity: str, spec: Spec) -> None:
        self._workshop = workshop
        self._api = workshop.client.api
        self.identity = identity
        self.spec = spec
        self._redact = redactor(spec.environment)

    def put(self, path: str, archive: IO[bytes]) -> None:
        """Unpack a tar archive at `path`, which lies in one of the container's volumes."""
        with self._asked(f"put files into {path}"):
            self._api.put_archive(self.identity, path, archive)

    def start(self) -> None:
        """Start the container's own command without waiting for it; raises `Cancelled`."""
        with self._asked("start a container"):
            self._api.start(self.identity)
        if self._workshop.cancelled:  # as it was not yet running, and so could not be ended
            raise Cancelled(self._workshop.cancelled)

    def run(self, on_line: OnLine, *, on_error_line: OnLine | None = None) -> Ended:
        """Run the container's command to its end; each line of output goes to a listener.

        Lines of standard error go to `on_error_line`, where there is one. Raises `Cancelled`.
        """
        with self._asked("attach to a container"):
            stream = self._api.attach(self.identity, stream=True, demux=True)
        self.start()
        with self._deadline() as timer:
            with self._asked("read a container's output"):
                _read_lines(stream, *map(self._discreet, (on_line, on_error_line or on_line)))
            with self._asked("wait for a container"):
                code = int(self._api.wait(self.identity)["StatusCode"])
                state = self._state()
        return self._ended(code, timer, out_of_memory=bool(state["OOMKilled"]))

    def execute(
        self,
        argv: tuple[str, ...],
        on_line: OnLine,
        *,
        on_error_line: OnLine | None = None,
    ) -> Ended:
        """Run one more process in the started container, in its environment; see `run`."""
        with self._asked(f"run {argv[0]} in a container"):
            identity = self._api.exec_create(
                self.identity,
                list(argv),
                workdir=self.spec.cwd,
                user=self.spec.user,
            )["Id"]
            stream = self._api.exec_start(identity, stream=True, demux=True)
        with self._deadline() as timer:
            with self._asked("read a process's output"):
                _read_lines(stream, *map(self._discreet, (on_line, on_error_line or on_line)))
            with self._asked("ask how a process ended"):
                code = self._api.exec_inspect(identity)["ExitCode"]
                state = self._state()
        return self._ended(
            137 if code is None else int(code), timer, out_of_memory=bool(state["OOMKilled"])
        )

    def get(self, path: str, *, limit: int = MAX_UNPACKED) -> IO[bytes]:
        """Return a tar archive of `path`, rewound; the caller closes it.

        Raises JobError when the container has no such path, or an archive of more than `limit`
        bytes; by default what a wheel may have.
        """
        try:
            chunks, _ = self._api.get_archive(self.identity, path)
        except NotFound:
            raise JobError(f"the container has no {path}") from None
        archive: IO[bytes] = SpooledTemporaryFile(max_size=_SPOOL_BYTES)  # noqa: SIM115
        with self._asked(f"take {path} out of a container"):
            for chunk in chunks:
                if archive.tell() + len(chunk) > limit:
                    archive.close()
                    raise JobError(f"{path} in the container has more than {limit} bytes")
                archive.write(chunk)
        archive.seek(0)
        return archive

    def _state(self) -> dict[str, Any]:
        """Return how the container is; raise NotFound for one that is just being removed."""
        state: dict[str, Any] = self._api.inspect_container(self.identity)["State"]
        if state["Status"] in {"removing", "dead"}:
            raise NotFound(f"No such container: {self.identity} is being removed")
        return state

    def _discreet(self, listener: OnLine) -> OnLine:
        """Return `listener` behind the one door of what a container says: no secret passes."""
        return lambda line: listener(self._redact(line))

    @contextmanager
    def _asked(self, what: str) -> Iterator[None]:
        """As `translated`; what fails because the run was interrupted is `Cancelled`.

        A container that somebody else removed is gone as one of an engine that went away is.
        """
        try:
            with translated(what):
                yield
        except SurroundingsError as error:
            if self._workshop.cancelled:
                raise Cancelled(self._workshop.cancelled) from None
            if _REMOVED.search(error.message):
                raise SurroundingsError(
                    f"the container was removed from outside: could not {what}",
                    "Look for who else removes containers on this engine.",
                    cause=Cause.ENGINE,
                ) from error
            raise

    @contextmanager
    def _deadline(self) -> Iterator[threading.Event]:
        fired = threading.Event()

        def end() -> None:
            fired.set()
            self._workshop._kill(self.identity)  # noqa: SLF001 - the two classes are one unit

        timer = threading.Timer(self.spec.limits.deadline, end)
        timer.daemon = True
        timer.start()
        try:
            yield fired
        finally:
            timer.cancel()

    def _ended(self, code: int, timer: threading.Event, *, out_of_memory: bool) -> Ended:
        if self._workshop.cancelled:
            raise Cancelled(self._workshop.cancelled)
        return Ended(code=code, out_of_memory=out_of_memory, timed_out=timer.is_set())


def _read_lines(
    stream: Iterator[tuple[bytes | None, bytes | None]], on_out: OnLine, on_error: OnLine
) -> None:
    """Hand each line of both outputs on; one of more than `_MAX_LINE` characters, in parts."""
    readers = (_LineReader(on_out), _LineReader(on_error))
    for pair in stream:
        for reader, chunk in zip(readers, pair, strict=True):
            reader.take(chunk or b"")
    for reader in readers:
        reader.end()


class _LineReader:
    """Cuts one output into lines; holds no more of it than one of them."""

    def __init__(self, listener: OnLine) -> None:
        self._listener = listener
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._rest = ""

    def take(self, chunk: bytes, *, final: bool = False) -> None:
        *whole, self._rest = (self._rest + self._decoder.decode(chunk, final)).split("\n")
        for line in whole:
            self._hand_on(line)
        while len(self._rest) > _MAX_LINE:
            self._listener(self._rest[:_MAX_LINE])
            self._rest = self._rest[_MAX_LINE:]

    def end(self) -> None:
        self.take(b"", final=True)
        if self._rest:
            self._hand_on(self._rest)

    def _hand_on(self, line: str) -> None:
        line = line.rstrip("\r")
        for start in range(0, max(len(line), 1), _MAX_LINE):
            self._listener(line[start : start + _MAX_LINE])
