"""The engine's client: which engine it is, and what stands in the way when it does not answer."""

from __future__ import annotations

import getpass
import os
import platform
import socket
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import docker
import requests
from docker.context import ContextAPI
from docker.errors import DockerException

from farm.host.user import as_root
from farm.model.errors import SurroundingsError
from farm.model.targets import Arch

OLDEST_API = (1, 41)
"""The API of Docker Engine 20.10, the first that keeps an image's platform apart."""
_UNIX = "unix://"
_DEFAULT_SOCKET = "/var/run/docker.sock"
_TIMEOUT = 600
"""Seconds until an answer of the engine's is given up; packing a large volume takes long."""
_versions: WeakKeyDictionary[docker.DockerClient, Mapping[str, Any]] = WeakKeyDictionary()


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What an engine says of itself."""

    id: str
    """The same for as long as the engine keeps its data."""
    host: str
    """Its machine's name."""
    version: str
    kernel: str
    arch: Arch
    cpus: int
    memory: int
    """Bytes."""
    storage: str
    """Its storage driver."""
    root: Path
    """Where it keeps its data, on its own machine."""
    local: bool
    """It runs on this machine, under this kernel."""


@contextmanager
def connect() -> Iterator[docker.DockerClient]:
    """Give a client of the engine that Docker's own client would use; close it in the end.

    That engine is DOCKER_HOST, else the current context's. Raises SurroundingsError with a remedy
    when the engine does not answer, may not be asked, or is older than 20.10.
    """
    where = address()
    try:
        client = _open(where)
    except (DockerException, requests.RequestException, OSError) as error:
        raise _translated(error, where) from error
    with closing(client):
        _require_api(str(client.api.api_version), where)
        yield client


def address() -> str:
    """Return the address of the engine that `connect` asks."""
    return os.environ.get("DOCKER_HOST") or str(ContextAPI.get_current_context().Host)


def version(client: docker.DockerClient) -> Mapping[str, Any]:
    """Return what the engine said of its version; it takes its time, and is asked once a client."""
    if client not in _versions:
        _versions[client] = client.version()
    return _versions[client]


def arch(client: docker.DockerClient) -> Arch:
    """Return the engine's own architecture; asked, never assumed.

    Raises SurroundingsError when the farm has no images for it.
    """
    told = version(client)
    if told["Os"] != "linux" or told["Arch"] not in {a.debian for a in Arch}:
        raise SurroundingsError(
            f"the engine runs {told['Os']} on {told['Arch']}",
            "The farm needs an engine that runs Linux on x86_64 or aarch64.",
        )
    return Arch.parse(told["Arch"])


def facts(client: docker.DockerClient) -> Facts:
    """Ask the engine what it is."""
    info = client.info()
    here = client.api.base_url.startswith("http+docker://local")
    return Facts(
        id=info["ID"],
        host=info["Name"],
        version=info["ServerVersion"],
        kernel=info["KernelVersion"],
        arch=arch(client),
        cpus=info["NCPU"],
        memory=info["MemTotal"],
        storage=info["Driver"],
        root=Path(info["DockerRootDir"]),
        local=here
        and info["Name"] == socket.gethostname()
        and info["KernelVersion"] == platform.release(),
    )


def _open(where: str) -> docker.DockerClient:
    if where.startswith(_UNIX):
        with socket.socket(socket.AF_UNIX) as knock:  # its refusal says more than the SDK's
            knock.connect(where.removeprefix(_UNIX) or _DEFAULT_SOCKET)
    if os.environ.get("DOCKER_HOST"):
        return docker.from_env(version="auto", timeout=_TIMEOUT, use_ssh_client=True)
    tls = ContextAPI.get_current_context().TLSConfig
    return docker.DockerClient(
        base_url=where, version="auto", timeout=_TIMEOUT, tls=tls or False, use_ssh_client=True
    )


def _require_api(version: str, where: str) -> None:
    if tuple(int(part) for part in version.split(".")) < OLDEST_API:
        raise SurroundingsError(
            f"the engine at {where} is too old: it speaks version {version} of its API",
            "The farm needs Docker Engine 20.10 or newer.",
        )


def _start() -> str:
    command = as_root("systemctl start docker")
    return f"Start it (`{command}`), or point DOCKER_HOST at another one."


def _translated(error: BaseException, where: str) -> SurroundingsError:
    socket_path = where.removeprefix(_UNIX)
    for cause in _causes(error):
        if isinstance(cause, PermissionError):
            return SurroundingsError(
                f"{getpass.getuser()} has no right to the engine's socket, {socket_path}",
                f"Join its group and log in again (`sudo usermod -aG docker {getpass.getuser()}`),"
                " or run this as root. Who may use the socket can become root.",
            )
        if isinstance(cause, FileNotFoundError):
            return SurroundingsError(
                f"no Docker engine is running here: there is no {socket_path}",
                f"{_start()} "
                f"Not installed? On Debian and Ubuntu: `{as_root('apt-get install docker.io')}`.",
            )
        if isinstance(cause, ConnectionRefusedError):
            return SurroundingsError(
                f"the Docker engine at {where} is not running: it refuses the connection",
                _start(),
            )
    return SurroundingsError(
        f"the Docker engine at {where} does not answer: {error}",
        "Look at it with `docker version`; DOCKER_HOST says which engine is asked.",
    )


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and all that it was raised from, or carries in its arguments."""
    waiting, seen = [error], set[int]()
    while waiting:
        current = waiting.pop(0)
        if id(current) in seen:
            continue
        seen.add(id(current))
        yield current
        inner = (current.__cause__, current.__context__, getattr(current, "reason", None))
        waiting += [e for e in (*inner, *current.args) if isinstance(e, BaseException)]
