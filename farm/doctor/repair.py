"""`farm doctor --fix` and `--undo`: what the farm changes around it, and how that is taken back."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import docker

from farm.bases.recipes import tools_for
from farm.doctor import examine as doctor
from farm.doctor import foreign
from farm.doctor.findings import Diagnosis, Finding, Level, Repair
from farm.engine import connection, emulation, images
from farm.engine.connection import Facts
from farm.engine.emulation import GUESTS, State
from farm.engine.images import Image
from farm.host import binfmt, packages, plugin
from farm.host.archive import read_archive
from farm.host.ledger import Change, Ledger, Mounted, Packages, Registered, Written
from farm.host.user import is_root
from farm.model.errors import SurroundingsError
from farm.model.events import Emit, Note
from farm.model.targets import Arch

_ROOT_ONLY = {Repair.PACKAGES, Repair.MOUNT}


def fix(arches: tuple[Arch, ...], *, ledger: Ledger, emit: Emit) -> Diagnosis:
    """Repair what can be repaired, and return what is found afterwards.

    All that will change is told before anything does, and each change is in `ledger`. A repair
    that fails becomes a fault of its own; those that do not need it are made all the same.
    """
    before = doctor.examine(arches, ledger=ledger)
    todo = [f for f in before.findings if f.repair is not None and _allowed(f.repair)]
    if not todo:
        return before
    emit(Note(text="farm doctor --fix changes this; farm doctor --undo takes it back:"))
    for finding in todo:
        emit(Note(text=f"  - {finding.change}"))
    failures = []
    for repair in sorted({f.repair for f in todo if f.repair is not None} | _implied(todo)):
        try:
            _PERFORM[repair](tuple(f.arch for f in todo if f.arch), ledger, emit)
        except SurroundingsError as error:
            failures.append(
                Finding(
                    subject=repair.name.lower(),
                    level=Level.FAULT,
                    text=error.message,
                    remedy=error.remedy,
                )
            )
    after = doctor.examine(arches, ledger=ledger)
    return Diagnosis(findings=(*after.findings, *failures), emulations=after.emulations)


def undo(*, ledger: Ledger, emit: Emit) -> tuple[str, ...]:
    """Take back what `fix` changed, newest first; return what could not be, one line each.

    What was taken back leaves the ledger, so that a second undo has nothing to do.
    """
    left = []
    for change in reversed(ledger.changes()):
        emit(Note(text=f"taking back: {describe(change)}"))
        try:
            done = _take_back(change, emit)
        except SurroundingsError as error:
            left.append(f"{error.message}. {error.remedy}")
            continue
        if done:
            ledger.remove(change)
        else:
            left.append(f"kept: {describe(change)}")
    return tuple(left)


def describe(change: Change) -> str:
    """Return a change in words."""
    match change:
        case Packages():
            return f"packages {', '.join(change.names)}"
        case Written():
            return f"file {change.path}"
        case Mounted():
            return f"binfmt_misc mounted on {change.path}"
        case Registered():
            return f"handler {change.name} on {change.host}"


def _allowed(repair: Repair) -> bool:
    return is_root() or repair not in _ROOT_ONLY


def _implied(todo: list[Finding]) -> set[Repair]:
    """Once binfmt_misc is mounted, something must be registered in it."""
    return {Repair.EMULATION} if any(f.repair is Repair.MOUNT for f in todo) else set()


def _install_packages(_: tuple[Arch, ...], ledger: Ledger, emit: Emit) -> None:
    packages.install(packages.MMDEBSTRAP, ledger=ledger, emit=emit)


def _install_plugin(_: tuple[Arch, ...], ledger: Ledger, emit: Emit) -> None:
    plugin.install(ledger=ledger, emit=emit)


def _mount(_: tuple[Arch, ...], ledger: Ledger, emit: Emit) -> None:
    binfmt.mount(ledger=ledger, emit=emit)


def _emulate(arches: tuple[Arch, ...], ledger: Ledger, emit: Emit) -> None:
    with connection.connect() as client:
        facts = connection.facts(client)
        tools = images.ensure(client, tools_for(arches), emit=emit, archive=read_archive())
        for arch in arches:
            _emulate_one(client, facts, arch, tools, ledger, emit)


def _emulate_one(
    client: docker.DockerClient,
    facts: Facts,
    arch: Arch,
    tools: Mapping[str, Image],
    ledger: Ledger,
    emit: Emit,
) -> None:
    """Register the farm's QEMU for `arch`, unless one that is as new runs its programs already."""
    found = foreign.emulation_of(client, facts, arch, tools)
    if found.works and not foreign.is_older(found.version, foreign.newest_qemu(arch, tools)):
        return
    if found.state is State.UNMOUNTED and facts.local:
        if not is_root():
            return  # the next examination says so, with the command
        binfmt.mount(ledger=ledger, emit=emit)
    guest = GUESTS[arch]
    emit(Note(text=f"registering QEMU for {arch} on {facts.host}, as {guest.handler}"))
    ledger.add(Registered(name=guest.handler, engine=facts.id, host=facts.host, local=facts.local))
    image = tools[f"qemu-{arch}"].reference
    emulation.register(client, guest, image=image, interpreter=f"/usr/bin/qemu-{arch}")


_PERFORM: dict[Repair, Callable[[tuple[Arch, ...], Ledger, Emit], None]] = {
    Repair.PACKAGES: _install_packages,
    Repair.PLUGIN: _install_plugin,
    Repair.MOUNT: _mount,
    Repair.EMULATION: _emulate,
}


def _take_back(change: Change, emit: Emit) -> bool:
    """Undo one change; return whether it is done with."""
    match change:
        case Packages():
            return packages.purge(change.names, emit=emit)
        case Written():
            plugin.remove(change, emit=emit)
            return True
        case Mounted():
            return binfmt.unmount(change, emit=emit)
        case Registered():
            _unregister(change)
            return True


def _unregister(change: Registered) -> None:
    """Take a handler back: through a container if one can be had, else directly."""
    alone = change.local and is_root()
    try:
        with connection.connect() as client:
            tools = _tools(client) if connection.facts(client).id == change.engine else None
            if tools:
                emulation.unregister(client, change.name, tools=tools)
                return
    except SurroundingsError:
        if not alone:
            raise
    if alone:
        binfmt.unregister(change.name)
        return
    raise SurroundingsError(
        f"{change.name} is registered on {change.host}, which is not in reach from here",
        f"There, as root: echo -1 > {binfmt.DIRECTORY / change.name}",
    )


def _tools(client: docker.DockerClient) -> str | None:
    """Return an image of any recipe, with a shell that needs no emulation, if there is one."""
    return next((i.reference for i in images.existing(client) if i.name.startswith("qemu-")), None)
