"""What the farm needs around it: every fault at once, each with its remedy and its commands."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import docker

from farm.bases.recipes import tools_for
from farm.doctor import foreign
from farm.doctor.findings import Diagnosis, Finding, Level, Repair
from farm.engine import connection, images
from farm.engine.connection import Facts
from farm.engine.emulation import GUESTS, Emulation
from farm.engine.images import Image
from farm.host import certificates, packages, plugin
from farm.host.ledger import Ledger, Registered
from farm.host.user import as_root
from farm.model.errors import SurroundingsError
from farm.model.targets import Arch

GIB = 1 << 30
ROOM_FOR_IMAGES = 8 * GIB
"""Bytes that the engine's disk must have free before the images are made."""
ROOM_TO_WORK = 2 * GIB
"""Bytes that it must have free with the images in place."""

_PROXIES = ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY")


def examine(arches: tuple[Arch, ...], *, ledger: Ledger) -> Diagnosis:
    """Look at everything that builds for `arches` need; change nothing."""
    with ExitStack() as stack:
        try:
            client = stack.enter_context(connection.connect())
            facts = connection.facts(client)
        except SurroundingsError as error:
            fault = Finding(
                subject="engine", level=Level.FAULT, text=error.message, remedy=error.remedy
            )
            return Diagnosis(findings=(fault, _buildx(), _mmdebstrap(seed=None), *_network()))
        return _examine(client, facts, arches, ledger)


def _examine(
    client: docker.DockerClient, facts: Facts, arches: tuple[Arch, ...], ledger: Ledger
) -> Diagnosis:
    with ThreadPoolExecutor() as pool:
        buildx = pool.submit(_buildx)
        others = tuple(arch for arch in arches if arch is not facts.arch)
        there = images.find(client, (*_stock(arches), *tools_for(others)))
        stock = tuple(name for name in _stock(arches) if name in there)
        found = [_emulation(client, facts, arch, ledger, there) for arch in others]
        findings = (
            _engine(facts),
            _room(facts, ready=all(name in there for name in _stock(arches))),
            buildx.result(),
            _mmdebstrap(seed="seed" in stock),
            *(finding for finding, _ in found),
            _images(stock, arches),
            *_network(),
        )
    return Diagnosis(findings=findings, emulations=tuple(state for _, state in found))


_READY = {"builder", "check"}


def _stock(arches: tuple[Arch, ...]) -> tuple[str, ...]:
    return ("seed", *(f"{kind}-{arch}" for kind in sorted(_READY) for arch in arches))


def _engine(facts: Facts) -> Finding:
    return Finding(
        subject="engine",
        level=Level.OK,
        text=f"Docker {facts.version} on {facts.host}{'' if facts.local else ' (remote)'}: "
        f"{facts.arch}, {facts.cpus} CPUs, {facts.memory / GIB:.1f} GiB, {facts.storage}",
    )


def _room(facts: Facts, *, ready: bool) -> Finding:
    needed = ROOM_TO_WORK if ready else ROOM_FOR_IMAGES
    if not facts.local or not facts.root.is_dir():
        return Finding(
            subject="room",
            level=Level.OK,
            text=f"not known: {facts.root} is not on this machine; {needed // GIB} GiB are needed",
        )
    free = shutil.disk_usage(facts.root).free
    text = f"{free / GIB:.1f} GiB free in {facts.root}"
    if free >= needed:
        return Finding(subject="room", level=Level.OK, text=text)
    return Finding(
        subject="room",
        level=Level.FAULT,
        text=f"{text}, and {needed // GIB} GiB are needed",
        remedy="See what takes the room, and free some.",
        commands=("docker system df", "farm images prune"),
    )


def _buildx() -> Finding:
    version = plugin.version()
    if version:
        return Finding(subject="buildx", level=Level.OK, text=version)
    if shutil.which("docker") is None:
        return Finding(
            subject="buildx",
            level=Level.FAULT,
            text="Docker's client, the program `docker`, is not on PATH",
            remedy="Install it, as root.",
            commands=(as_root("apt-get install docker.io"),),
        )
    return Finding(
        subject="buildx",
        level=Level.FAULT,
        text="Docker's client has no buildx, which the images are built with",
        remedy="Take the plugin out of Debian's package:",
        commands=plugin.manual_commands(),
        repair=Repair.PLUGIN,
        change=f"puts Docker's buildx plugin, out of Debian's package, into {plugin.home()}",
    )


def _mmdebstrap(*, seed: bool | None) -> Finding:
    """Tell about mmdebstrap; `seed` is whether its image is there, None when that is not known."""
    if shutil.which("mmdebstrap"):
        return Finding(subject="mmdebstrap", level=Level.OK, text="there")
    if seed:
        return Finding(
            subject="mmdebstrap",
            level=Level.OK,
            text="not there, and not needed: the very first image is made",
        )
    level = Level.WARNING if seed is None else Level.FAULT
    text = "mmdebstrap is not on PATH; the very first image is made with it"
    if not packages.available():
        return Finding(
            subject="mmdebstrap",
            level=level,
            text=text,
            remedy="This machine has no apt-get. Install mmdebstrap by its own means (with "
            "Debian's archive keyring), or load images that another machine made:",
            commands=("docker load -i IMAGES.tar",),
        )
    return Finding(
        subject="mmdebstrap",
        level=level,
        text=text,
        remedy="Install it, as root:",
        commands=(
            as_root("apt-get update"),
            as_root(packages.install_command(packages.MMDEBSTRAP)),
        ),
        repair=Repair.PACKAGES,
        change=f"installs by apt-get what is missing of {', '.join(packages.MMDEBSTRAP)}, and "
        "what they need",
    )


def _images(there: tuple[str, ...], arches: tuple[Arch, ...]) -> Finding:
    missing = [name for name in _stock(arches) if name not in there]
    text = f"there: {', '.join(there)}" if there else "none yet"
    if missing:
        text += f"; made when they are first needed: {', '.join(missing)}"
    return Finding(subject="images", level=Level.OK, text=text)


def _network() -> tuple[Finding, ...]:
    """Tell how this machine goes out: its proxies, by name only, and its CA bundle."""
    proxies = ", ".join(name for name in _PROXIES if os.environ.get(name)) or "no proxy"
    bundle = certificates.bundle()
    found = [
        Finding(
            subject="network", level=Level.OK, text=f"{proxies}; CA bundle {bundle or 'not found'}"
        )
    ]
    if shutil.which("git") is None:
        found.append(
            Finding(
                subject="git",
                level=Level.WARNING,
                text="git is not on PATH: a project in a git repository is sent as one without",
                remedy="Install it, as root:",
                commands=(as_root("apt-get install git"),),
            )
        )
    return tuple(found)


def _emulation(
    client: docker.DockerClient,
    facts: Facts,
    arch: Arch,
    ledger: Ledger,
    there: Mapping[str, Image],
) -> tuple[Finding, Emulation]:
    state = foreign.emulation_of(client, facts, arch, there)
    was_ours = _was_registered(arch, facts, ledger)
    newest = foreign.newest_qemu(arch, there)
    return foreign.judge(state, arch, facts, was_ours=was_ours, newest=newest), state


def _was_registered(arch: Arch, facts: Facts, ledger: Ledger) -> bool:
    return any(
        isinstance(c, Registered) and c.engine == facts.id and c.name == GUESTS[arch].handler
        for c in ledger.changes()
    )
