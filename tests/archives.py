"""Signed Debian archives with weather: made and served by Debian's own tools, in a container.

compose.yaml says how that container runs. Its image is made here, of Debian's packages.
"""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import subprocess
import tarfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import docker
from docker.errors import ImageNotFound

from farm.bases import debian
from farm.bases.archive import Archive
from farm.bases.debian import Selection
from farm.engine.bake import Root
from farm.host.archive import read_archive
from farm.host.plugin import unpack
from farm.model.targets import Arch

TOP = Path(__file__).parent.parent
SCRIPTS = TOP / "tests" / "archive"
IMAGE = "farm-test/archive"
PACKAGES = (*debian.SEED_PACKAGES, "apt-utils", "gnupg")
PATIENCE = 60

DOCKERFILE = """
FROM scratch
ADD rootfs.tar /
COPY etc/ /etc/
COPY archive/ /archive/
ENV PATH=/usr/sbin:/usr/bin LC_ALL=C PYTHONDONTWRITEBYTECODE=1
LABEL farm.test=archive farm.test.inputs={inputs}
"""


@dataclass(frozen=True, kw_only=True)
class Deb:
    """A package of an archive."""

    name: str
    version: str = "1.0-1"
    arch: str = "amd64"
    fields: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)
    """Paths in the package, each with the file of the container that it is a copy of."""
    gone: bool = False
    """The lists name it, and it is not there."""
    damaged: bool = False
    """What is there is not what the lists say."""


@dataclass(frozen=True, kw_only=True)
class Suite:
    """A suite of an archive."""

    name: str
    debs: tuple[Deb, ...] = ()
    made_days_ago: float = 1
    valid_days: float = 0
    """Days from then on that its Release file is valid; 0 is for ever."""
    damage: str = ""
    """`signature`: what was signed was changed."""


def release(name: str, *debs: Deb) -> tuple[Suite, ...]:
    """Return a suite with its updates and its security suite, which are empty."""
    return (
        Suite(name=name, debs=debs),
        Suite(name=f"{name}-updates"),
        Suite(name=f"{name}-security"),
    )


@dataclass(frozen=True, kw_only=True)
class Archives:
    """A container that makes archives and serves them."""

    container: Any
    address: str
    key: bytes

    def make(
        self, name: str, *suites: Suite, weather: tuple[Mapping[str, object], ...] = ()
    ) -> Archive:
        """Make the archive `name`, and return it as the farm is told of it."""
        asked = {"name": name, "suites": [asdict(s) for s in suites], "weather": weather}
        _feed(self.container, json.dumps(asked, default=dict))
        mirror = f"{self.address}/{name}"
        return Archive(mirror=mirror, security=mirror, keyring=self.key, patience=2)


@contextmanager
def serve(client: docker.DockerClient, temporary: Path) -> Iterator[Archives]:
    """Bring the service `archive` of compose.yaml up, and down in the end."""
    _ensure_image(client, temporary)
    compose = (*_compose(temporary), "--project-name", "farm-test", "-f", str(TOP / "compose.yaml"))
    subprocess.run([*compose, "up", "-d", "archive"], check=True, capture_output=True)
    try:
        (container,) = client.containers.list(filters={"label": "farm.test=archive"})
        _feed(container, json.dumps({"name": "empty", "suites": [], "weather": []}))
        address = f"http://{container.attrs['NetworkSettings']['IPAddress']}:8000"
        with _open(f"{address}/key.asc") as key:
            yield Archives(container=container, address=address, key=key)
    finally:
        subprocess.run([*compose, "down"], check=True, capture_output=True)


@contextmanager
def _open(url: str) -> Iterator[bytes]:
    """Give what is at `url`, once the server is there."""
    until = time.monotonic() + PATIENCE
    while True:
        try:
            with urllib.request.urlopen(url, timeout=5) as answer:  # noqa: S310 - our own
                yield answer.read()
                return
        except urllib.error.URLError:
            assert time.monotonic() < until
            time.sleep(0.1)


def _feed(container: Any, text: str) -> None:
    argv = ["docker", "exec", "-i", container.id, "python3", "/archive/make.py"]
    done = subprocess.run(argv, input=text, text=True, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr


def _compose(temporary: Path) -> tuple[str, ...]:
    """Return the Compose tool of this machine: the plugin, the program, or Debian's plugin."""
    if not subprocess.run(
        ["docker", "compose", "version"], capture_output=True, check=False
    ).returncode:
        return ("docker", "compose")
    if shutil.which("docker-compose"):
        return ("docker-compose",)
    path = temporary / "docker-compose"
    path.write_bytes(unpack("docker-compose"))
    path.chmod(0o755)
    return (str(path),)


def _ensure_image(client: docker.DockerClient, temporary: Path) -> None:
    """Make the image of today's scripts and packages, unless it is there."""
    scripts = sorted(SCRIPTS.glob("*.py"))
    content = [path.read_bytes() for path in scripts]
    inputs = hashlib.sha256(b"".join((*content, repr(PACKAGES).encode()))).hexdigest()
    try:
        if client.images.get(IMAGE).labels.get("farm.test.inputs") == inputs:
            return
    except ImageNotFound:
        pass
    native = Arch.parse(client.version()["Arch"])
    selection = Selection(suite=debian.TRIXIE, arch=native, packages=PACKAGES)
    Root(selection=selection, archive=read_archive()).make(temporary / "rootfs.tar")
    context = temporary / "context.tar"
    with tarfile.open(context, "w") as tar:
        tar.add(temporary / "rootfs.tar", "rootfs.tar")
        tar.add(TOP / "images" / "seed" / "etc", "etc")
        for path in scripts:
            tar.add(path, f"archive/{path.name}")
        text = DOCKERFILE.format(inputs=inputs).encode()
        info = tarfile.TarInfo("Dockerfile")
        info.size = len(text)
        tar.addfile(info, io.BytesIO(text))
    with context.open("rb") as stream:
        client.images.build(fileobj=stream, custom_context=True, tag=IMAGE, rm=True)
