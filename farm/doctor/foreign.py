"""Whether the engine runs programs of foreign architectures, and what is to be done where not."""

from __future__ import annotations

import re
from collections.abc import Mapping

import docker
from packaging.version import InvalidVersion, Version

from farm.bases.recipes import tools_for
from farm.doctor.findings import Finding, Level, Repair
from farm.engine import emulation
from farm.engine.connection import Facts
from farm.engine.emulation import GUESTS, Emulation, State
from farm.engine.images import Image
from farm.host import binfmt
from farm.host.user import as_root
from farm.model.targets import Arch


def emulation_of(
    client: docker.DockerClient, facts: Facts, arch: Arch, there: Mapping[str, Image]
) -> Emulation:
    """Find out whether the engine runs programs of `arch`.

    By running one, if the images for it are `there`; else by what can be seen from here.
    """
    if arch is facts.arch:
        return Emulation(arch=arch, state=State.NATIVE)
    guest = GUESTS[arch]
    qemu, program = (there.get(name) for name in tools_for((arch,)))
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
            ours = found.handler is not None and found.handler.name == guest.handler
            whose = "the farm's own" if ours else "not the farm's"
            return _about(
                arch,
                Level.FAULT,
                f"{arch} emulation is broken: programs go to {by}, {whose}, which "
                f"fails with: {found.error}",
                remedy="Register the farm's QEMU anew, which then comes before all others:",
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
        commands=(as_root(" ".join(binfmt.MOUNT)), "farm doctor --fix"),
        repair=Repair.MOUNT if facts.local else Repair.EMULATION,
        change=f"mounts binfmt_misc on {facts.host}, and {register}",
        arch=arch,
    )
