"""What the farm needs around it: every fault at once, each with its remedy and its commands."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from enum import IntEnum, StrEnum

import docker
from packaging.version import InvalidVersion, Version

from farm.engine import connection, emulation, images
from farm.engine.connection import Facts
from farm.engine.emulation import GUESTS, Emulation, State
from farm.engine.images import Image
from farm.host import binfmt, certificates, packages, plugin
from farm.host.ledger import Ledger, Registered
from farm.model.errors import SurroundingsError
from farm.model.targets import Arch

GIB = 1 << 30
ROOM_FOR_IMAGES = 8 * GIB
"""Bytes that the engine's disk must have free before the images are made."""
ROOM_TO_WORK = 2 * GIB
"""Bytes that it must have free with the images in place."""

_PROXIES = ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY")


class Level(StrEnum):
    """How much a finding matters."""

    OK = "ok"
    WARNING = "warning"
    FAULT = "fault"


class Repair(IntEnum):
    """What `farm doctor --fix` can do, in the order in which one thing needs another."""

    PACKAGES = 1
    PLUGIN = 2
    MOUNT = 3
    EMULATION = 4


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing that was looked at."""

    subject: str
    level: Level
    text: str
    remedy: str = ""
    """What to do, as whole sentences."""
    commands: tuple[str, ...] = ()
    """What to type, as root where the remedy says so."""
    repair: Repair | None = None
    """What `--fix` does about it."""
    change: str = ""
    """What that repair changes, for the user to read before it does."""
    arch: Arch | None = None
    """The architecture that it concerns."""


@dataclass(frozen=True, kw_only=True)
class Diagnosis:
    """All that was found."""

    findings: tuple[Finding, ...]
    emulations: tuple[Emulation, ...] = ()

    @property
    def faults(self) -> tuple[Finding, ...]:
        """What keeps the farm from working."""
        return tuple(f for f in self.findings if f.level is Level.FAULT)

    def require(self) -> None:
        """Raise SurroundingsError with every fault and its remedy, if there is a fault."""
        if self.faults:
            raise SurroundingsError(
                "the surroundings are not fit: " + "; ".join(f.text for f in self.faults),
                "\n".join(line for f in self.faults for line in (f.remedy, *f.commands) if line),
            )


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
        foreign = tuple(arch for arch in arches if arch is not facts.arch)
        there = images.find(client, (*_stock(arches), *tools_of(foreign)))
        stock = tuple(name for name in _stock(arches) if name in there)
        found = [_emulation(client, facts, arch, ledger, there) for arch in foreign]
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
            commands=("apt-get install docker.io",),
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
        commands=("apt-get update", packages.install_command(packages.MMDEBSTRAP)),
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
                commands=("apt-get install git",),
            )
        )
    return tuple(found)


def tools_of(arches: tuple[Arch, ...]) -> tuple[str, ...]:
    """Return the names of the images that foreign architectures are tried and emulated with."""
    return tuple(f"{kind}-{arch}" for arch in arches for kind in ("qemu", "probe"))


def _emulation(
    client: docker.DockerClient,
    facts: Facts,
    arch: Arch,
    ledger: Ledger,
    there: Mapping[str, Image],
) -> tuple[Finding, Emulation]:
    state = emulation_of(client, facts, arch, there)
    was_ours = _was_registered(arch, facts, ledger)
    newest = newest_qemu(arch, there)
    return judge(state, arch, facts, was_ours=was_ours, newest=newest), state


def emulation_of(
    client: docker.DockerClient, facts: Facts, arch: Arch, there: Mapping[str, Image]
) -> Emulation:
    """Find out whether the engine runs programs of `arch`.

    By running one, if the images for it are `there`; else by what can be seen from here.
    """
    if arch is facts.arch:
        return Emulation(arch=arch, state=State.NATIVE)
    guest = GUESTS[arch]
    qemu, program = (there.get(name) for name in tools_of((arch,)))
    if qemu and program:
        return emulation.probe(client, guest, image=program.reference, tools=qemu.reference)
    if not facts.local:
        return Emulation(arch=arch, state=State.UNTRIED)
    table = emulation.local_table()
    handler = table.handler(guest)
    if not table.mounted:
        return Emulation(arch=arch, state=State.UNMOUNTED)
    return Emulation(arch=arch, state=State.UNTRIED if handler else State.MISSING, handler=handler)


def newest_qemu(arch: Arch, there: Mapping[str, Image]) -> str:
    """Return the version of the farm's own QEMU for `arch`; empty without its image."""
    image = there.get(f"qemu-{arch}")
    upstream = re.match(
        r"(?:\d+:)?(\d+(?:\.\d+)*)", image.versions.get("qemu", "") if image else ""
    )
    return upstream[1] if upstream else ""


def is_older(version: str, newest: str) -> bool:
    """Tell whether QEMU `version` is older than `newest`; not, where either is not known."""
    try:
        return Version(version) < Version(newest)
    except InvalidVersion:
        return False


def judge(
    found: Emulation, arch: Arch, facts: Facts, *, was_ours: bool, newest: str = ""
) -> Finding:
    """Say what the state of an architecture's emulation means.

    `was_ours` is whether the ledger says that the farm's handler was registered on the engine;
    `newest` the version of the farm's own QEMU, where that is known.
    """
    guest = GUESTS[arch]
    by = f"{found.handler.name} ({found.handler.flags})" if found.handler else "a handler"
    register = f"registers QEMU for {arch} in binfmt_misc of {facts.host}, as {guest.handler}"
    again = ("farm doctor --fix",)
    match found.state:
        case State.NATIVE:
            return _about(arch, Level.OK, "the engine's own")
        case State.WORKS:
            return _working(found, arch, by, newest=newest, change=register)
        case State.UNTRIED:
            return _about(
                arch,
                Level.WARNING,
                f"not tried yet, the image to try it with is missing"
                f"{f'; there is {by}' if found.handler else ''}",
                remedy="This makes the image and tries:",
                commands=again,
                change=f"{register}, if what is there does not work",
            )
        case State.UNMOUNTED:
            return _unmounted(arch, facts, register)
        case State.MISSING:
            gone = ": its handler is gone, as after a restart of the machine" if was_ours else ""
            return _about(
                arch,
                Level.FAULT,
                f"no {arch} emulation on this engine{gone}",
                remedy="Register the farm's QEMU:",
                commands=again,
                change=register,
            )
        case State.BROKEN:
            whose = "the farm's own" if found.handler and was_ours else "not the farm's"
            return _about(
                arch,
                Level.FAULT,
                f"{arch} emulation is broken: programs go to {by}, {whose}, which "
                f"fails with: {found.error}",
                remedy="Register the farm's QEMU, which then comes before it:",
                commands=again,
                change=f"{register}; other handlers stay as they are",
            )


def _working(found: Emulation, arch: Arch, by: str, *, newest: str, change: str) -> Finding:
    qemu = f"QEMU {found.version}" if found.version else "emulation of unknown version"
    if not is_older(found.version, newest):
        return _about(arch, Level.OK, f"{qemu}, by {by}")
    return _about(
        arch,
        Level.WARNING,
        f"{qemu}, by {by}; the farm's is {newest}, and a newer one is much faster",
        remedy="Put the farm's before it:",
        commands=("farm doctor --fix",),
        change=f"{change}; other handlers stay as they are",
    )


def _about(
    arch: Arch,
    level: Level,
    text: str,
    *,
    remedy: str = "",
    commands: tuple[str, ...] = (),
    change: str = "",
) -> Finding:
    return Finding(
        subject=f"{arch}",
        level=level,
        text=text,
        remedy=remedy,
        commands=commands,
        repair=Repair.EMULATION if change else None,
        change=change,
        arch=arch,
    )


def _unmounted(arch: Arch, facts: Facts, register: str) -> Finding:
    return Finding(
        subject=f"{arch}",
        level=Level.FAULT,
        text=f"no {arch} emulation on this engine: binfmt_misc is not mounted on {facts.host}",
        remedy="Mount it, as root on that machine, then register the farm's QEMU:",
        commands=(" ".join(binfmt.MOUNT), "farm doctor --fix"),
        repair=Repair.MOUNT if facts.local else Repair.EMULATION,
        change=f"mounts binfmt_misc on {facts.host}, and {register}",
        arch=arch,
    )


def _was_registered(arch: Arch, facts: Facts, ledger: Ledger) -> bool:
    return any(
        isinstance(c, Registered) and c.engine == facts.id and c.name == GUESTS[arch].handler
        for c in ledger.changes()
    )
