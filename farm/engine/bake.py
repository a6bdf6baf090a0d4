"""The one door to image builds: buildx, through python-on-whales, and the seed's first root."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import docker
from docker.transport import UnixHTTPAdapter

import farm
from farm.bases.archive import Archive
from farm.bases.debian import Selection
from farm.bases.recipes import BAKE_FILE, Recipe
from farm.engine.lost import Lost, UnavailableError
from farm.host.certificates import bundle
from farm.host.scratch import scratch
from farm.host.user import unpacking_root
from farm.model.errors import SurroundingsError
from farm.model.secrets import redactor

if TYPE_CHECKING:
    import python_on_whales

Say = Callable[[str], None]

_FIX = "Run farm doctor --fix."
_LINE = re.compile(r"#\d+ (?:(?P<time>\d+\.\d+) )?(?P<text>.*)")
_PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "FTP_PROXY", "NO_PROXY")
_FIELD = re.compile(r"^([^:\n]+):[ \t]+(.*)$", re.MULTILINE)
_LOST = "FARM-LOST "
"""Before what a script tells of packages that it could not download: apt's words, as JSON."""
_OWN_STEP = " /farm/"
"""In the description of every step of the farm's: its scripts are all in that directory."""
_SIMULATED = re.compile(r"Inst (?P<name>\S+) (?:\[\S+\] )?\((?P<version>\S+) .*\[(?P<arch>\S+)\]\)")


def recipes_directory() -> Path:
    """Return where the Dockerfiles are: inside an installed farm, or beside a checkout's."""
    package = Path(farm.__file__).parent
    installed = package / "_images"
    return installed if installed.is_dir() else package.parent / "images"


@dataclass(frozen=True, kw_only=True)
class Order:
    """One image to be built."""

    recipe: Recipe
    reference: str
    labels: Mapping[str, str]
    parents: Mapping[str, str]
    """The build arguments that name parents, with their references."""
    inputs: str
    """What its scripts read, as JSON."""


@dataclass(frozen=True, kw_only=True)
class Cached:
    """Something that the engine keeps of a build."""

    id: str
    of: str
    """Which step it is of, in BuildKit's words."""
    shared: bool
    """It is a layer of an image."""


class Oven:
    """Builds images on the engine of `engine`, whatever machine that is on."""

    def __init__(self, engine: docker.DockerClient) -> None:
        self._whales = _client(engine)

    def bake(self, order: Order, say: Say) -> None:
        """Build one image; SurroundingsError has the last lines when it fails."""
        with scratch() as temporary:
            context = _context(order.recipe.folder, temporary, {"inputs.json": order.inputs})
            self._run(order, context, say)

    def bake_seed(self, order: Order, root: Root, say: Say) -> None:
        """Build the seed, from a root that the host's mmdebstrap makes."""
        with scratch() as temporary:
            context = _context(order.recipe.folder, temporary, {"inputs.json": order.inputs})
            say("unpacking the first root with the host's mmdebstrap")
            root.make(context / "rootfs.tar")
            self._run(order, context, say)

    def resolve(self, seed: str, request: str, say: Say) -> str:
        """Return the resolve step's answer to `request`, run in the image `seed`."""
        with scratch() as temporary:
            context = _context("resolve", temporary, {"request.json": request})
            out = temporary / "out"
            target = {"output": [f"type=local,dest={out}"]}
            self._bake("resolve", "archive", context, target, {"SEED": seed}, say)
            return (out / "closures.json").read_text()

    def cache(self) -> tuple[Cached, ...]:
        """Return what the engine keeps of builds, of the farm's and of all others."""
        argv = [*self._whales.client_config.docker_cmd, "buildx", "du", "--verbose"]
        argv += ["--builder", "default"]
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
        records = (dict(_FIELD.findall(block)) for block in done.stdout.split("\n\n"))
        return tuple(
            Cached(id=r["ID"], of=r["Description"], shared=r["Shared"] == "true")
            for r in records
            if "ID" in r
        )

    def forget(self, records: Iterable[Cached]) -> None:
        """Have the engine drop what it keeps of builds, but what is in use or an image's."""
        ids = "|".join(record.id for record in records if not record.shared)
        if ids:
            self._whales.buildx.prune(filters={"id": f'"^({ids})$"'})

    def sweep(self) -> None:
        """Drop what the farm's own build steps left; no step is ever run again."""
        self.forget(record for record in self.cache() if _OWN_STEP in record.of)

    def _run(self, order: Order, context: Path, say: Say) -> None:
        target = {
            "labels": dict(order.labels),
            "platforms": [order.recipe.platform.platform],
            "tags": [order.reference],
        }
        recipe = order.recipe
        self._bake(recipe.folder, recipe.name, context, target, order.parents, say)

    def _bake(
        self,
        folder: str,
        name: str,
        context: Path,
        target: Mapping[str, object],
        args: Mapping[str, str],
        say: Say,
    ) -> None:
        """Build the bake file's target `folder` with what `target` and `args` add to it."""
        from python_on_whales.exceptions import DockerException  # noqa: PLC0415  (as in _client)

        whole = {
            **target,
            "context": str(context),
            "args": {**args, **_proxies()},
            "secret": _secrets(),
        }
        second = context.parent / "docker-bake.json"
        second.write_text(json.dumps({"target": {folder: whole}}))
        files: list[str | Path] = [recipes_directory() / BAKE_FILE, second]
        last: deque[str] = deque(maxlen=20)
        hide = redactor(_proxies())
        try:
            for line in self._whales.buildx.bake(
                [folder], files=files, builder="default", progress="plain", stream_logs=True
            ):
                _tell(hide(line.rstrip()), last, say)
        except DockerException as error:
            if told := next((line for line in last if _LOST in line), None):
                facts = json.loads(told.partition(_LOST)[2])
                lost = Lost(way="a package of Debian's", words=tuple(facts))
                raise UnavailableError(lost, f"{name} could not be made: ") from error
            raise SurroundingsError(
                f"{name} could not be made; the last lines were:\n" + "\n".join(last),
                "What is missing is in those lines: room, network, or a package. "
                "Once it is there, the same command goes on from here.",
            ) from error


@dataclass(frozen=True, kw_only=True)
class Root:
    """The seed's root, as the host's mmdebstrap makes it of one suite."""

    selection: Selection
    archive: Archive

    def simulate(self) -> tuple[tuple[str, str, str], ...]:
        """Return name, version and architecture of each package that it would have today.

        Raises UnavailableError where the suite can't be had.
        """
        output = self._mmdebstrap("/dev/null", "--simulate", "--verbose")
        found = {(m["name"], m["version"], m["arch"]) for m in _SIMULATED.finditer(output)}
        if not found:
            raise SurroundingsError("mmdebstrap does not say which packages the root would have")
        return tuple(sorted(found))

    def make(self, tar: Path) -> None:
        """Make it, as a tar archive; raises as `simulate`."""
        self._mmdebstrap(str(tar))

    def _mmdebstrap(self, target: str, *words: str) -> str:
        """Run the host's mmdebstrap and return what it said."""
        suite, archive = self.selection.suite, self.archive
        argv = [
            "mmdebstrap",
            "--variant=extract",
            *unpacking_root(),
            f"--architectures={self.selection.arch.debian}",
            f"--include={','.join(self.selection.packages)}",
            f'--aptopt=Acquire::http::Timeout "{archive.patience}"',
            *words,
        ]
        if suite.moving:  # a mirror that lags; signatures are checked all the same
            argv.append('--aptopt=Acquire::Check-Valid-Until "false"')
        if shutil.which(argv[0]) is None:
            raise SurroundingsError(
                "mmdebstrap is missing, which makes the first image's root", _FIX
            )
        with scratch() as directory:
            signed = ""
            if archive.keyring:
                armored = archive.keyring.startswith(b"-----BEGIN")
                keyring = directory / f"keyring.{'asc' if armored else 'gpg'}"
                keyring.write_bytes(archive.keyring)
                signed = f"[signed-by={keyring}] "
                argv.append('--aptopt=APT::Sandbox::User "root"')  # another can't read the keys
            argv += [suite.name, target]
            if archive.mirror:
                pockets = {p: archive.security for p in suite.pockets if p.endswith("-security")}
                addresses = {
                    p: pockets.get(p) or archive.mirror for p in (suite.name, *suite.pockets)
                }
                argv += [
                    f"deb {signed}{address} {name} main" for name, address in addresses.items()
                ]
            done = subprocess.run(
                argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
            )
        if done.returncode:
            lines = done.stdout.splitlines()
            words_of_apt = [line for line in lines if line.startswith(("E:", "W:"))]
            raise UnavailableError(Lost(way=suite.name, words=tuple(words_of_apt or lines[-3:])))
        return done.stdout


def _client(engine: docker.DockerClient) -> python_on_whales.DockerClient:
    """Return python-on-whales for the very engine that `engine` speaks to."""
    import python_on_whales  # noqa: PLC0415  (slow; needed only where an image is made)

    if shutil.which("docker") is None:
        raise SurroundingsError("Docker's command line is missing, which drives buildx", _FIX)
    adapter = engine.api.get_adapter(engine.api.base_url)
    host = f"unix://{adapter.socket_path}" if isinstance(adapter, UnixHTTPAdapter) else None
    whales = python_on_whales.DockerClient(host=host)
    if not whales.buildx.is_installed():
        raise SurroundingsError("Docker's client has no buildx, which makes the images", _FIX)
    if whales.system.info().id != engine.info()["ID"]:
        raise SurroundingsError(
            "Docker's command line speaks to another engine than the farm",
            "Set DOCKER_HOST for both, or choose one with docker context use.",
        )
    return whales


def _context(folder: str, temporary: Path, files: Mapping[str, str]) -> Path:
    """Lay out the build context of a folder of `images/`: itself, the common scripts, `files`."""
    context = temporary / "context"
    shutil.copytree(recipes_directory() / folder, context, ignore=_NOT_PYC)
    shutil.copytree(recipes_directory() / "common", context / "common", ignore=_NOT_PYC)
    for name, text in files.items():
        (context / name).write_text(text)
    return context


_NOT_PYC = shutil.ignore_patterns("__pycache__")


def _secrets() -> list[str]:
    """Return the machine's CA bundle as a secret: mounted, and never part of a layer."""
    found = bundle()
    return [f"id=ca,src={found}"] if found else []


def _proxies() -> dict[str, str]:
    """Return the proxies of the environment as build arguments, which leave no trace."""
    names = [*_PROXIES, *(name.lower() for name in _PROXIES)]
    return {name: os.environ[name] for name in names if os.environ.get(name)}


def _tell(line: str, last: deque[str], say: Say) -> None:
    """Keep a line of buildx's plain progress, and say what it tells of a step that runs."""
    found = _LINE.fullmatch(line)
    if found is None or not found["text"]:
        return
    last.append(found["text"])
    if found["time"] or found["text"].startswith("exporting"):
        say(found["text"])
