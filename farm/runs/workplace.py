"""Where a run's builds happen: in what earlier builds of the project left, if no other run does.

What is kept on the engine for a project are the crates, the linker's cache and a target directory
for each job. Projects never share any of it, so that none can poison another's, and neither do
two builder images.
"""

from __future__ import annotations

import os
import shutil
import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath

from farm.bases.recipes import digest
from farm.engine.build_cache import BuildCache, beyond, drop_caches, enough, held_caches
from farm.engine.connection import facts
from farm.engine.containers import Cancelled
from farm.engine.leftovers import clock
from farm.model.errors import SurroundingsError
from farm.model.events import Note, Warned
from farm.model.plan import Command, Job
from farm.model.secrets import redact, without_secrets
from farm.model.targets import Arch, Mode
from farm.project.disk import readable
from farm.project.stamps import Stamps
from farm.runs.directory import stamp_tree
from farm.runs.planner import Order, Request
from farm.runs.seeds import Place, sow
from farm.steps.context import Context, Shared
from farm.steps.network import certificates
from farm.steps.publish import sha256
from farm.steps.targets import Targets

_GIB = 1 << 30
_ROOM = 5 * _GIB
"""Bytes that are to be free on the engine's disk when builds begin."""
_LEAST_ROOM = 1 * _GIB
_SHORT = 8
_TAKEN = "another run uses what earlier builds of this project left"
_KEY = 20
_MANIFESTS = {"Cargo.toml", "Cargo.lock"}


@dataclass(frozen=True, kw_only=True)
class Workplace:
    """What the jobs of one run share, and in which order that has them built."""

    targets: Targets
    after: Mapping[str, str]
    """By job, the one that it begins with."""
    crates: str
    """The hash of all that says which crates are fetched."""

    def awaited(self, job: Job) -> tuple[Future[None], ...]:
        """Return what ends once there is what `job` begins with."""
        leader = self.after.get(job.id)
        return (self.targets.leaders[leader],) if leader else ()


@contextmanager
def open_workplace(
    order: Order,
    jobs: Sequence[Job],
    context: Context,
    inputs: Mapping[str, str],
    tree: Path,
    *,
    force: bool,
) -> Iterator[Workplace]:
    """Give the workplace of `jobs`, and the files of the source in `tree` the times they see.

    `inputs` has the hash of what each image is made from. With `force` they find no target
    directory of earlier runs. Raises UsageError when a file of the project can't be read,
    SurroundingsError when the engine or this machine can't.
    """
    request = order.request
    cache = BuildCache(
        workshop=context.workshop,
        key=project_key(request),
        title=str(request.project.root),
        image=context.images[context.builder].id,
        arch=context.engine_arch,
    )
    reason = _reason_against(order) or ("" if cache.take() else _TAKEN)
    taken = not reason
    if reason:
        context.emit(
            Note(text=f"{reason}: this run's builds begin with nothing, and leave nothing")
        )
    volume: Callable[[str, str], str] = cache.volume if taken else _own(context)
    places = {job.id: _place(job, context, inputs, volume) for job in jobs}
    shared = Shared(
        tree=tree,
        cargo=volume("cargo", ""),
        linker=volume(f"linker-{_short(inputs, (context.builder,))}", ""),
        cache=cache.key if taken else "",
    )
    groups = cache.groups() if taken else {}
    groups |= {place.volume: place.group for place in places.values()}
    own = tuple(place.volume for place in places.values())
    targets = Targets(
        context=context,
        shared=shared,
        volumes={job: place.volume for job, place in places.items()},
        crate="" if request.project.bindings.kind == "bin" else request.project.crate.name,
        others=tuple(name for name, group in groups.items() if group and name not in own),
    )
    _watch_room(context, cache.key)
    if taken:
        cache.hold({})
    try:
        stamps = targets.stamp(request.source, clock(context.workshop.client))
        stamp_tree(tree, stamps.times)
        after = _sow(request, jobs, targets, places, groups, stamps, force=force)
        targets.leaders = {job: Future() for job in after.values()}
        crates = _crates(order.plan.fetch, inputs[context.builder], stamps)
        yield Workplace(targets=targets, after=after, crates=crates)
        if taken:
            _leave(context, cache, targets)
    finally:
        targets.close()


def _crates(fetch: Sequence[Command], builder: str, stamps: Stamps) -> str:
    """Return the hash of all that a fetch depends on; `builder` is that of its image's inputs.

    Its certificates stay beside the crates, for commands of builds that have a network.
    """
    files = {
        path: stamp.sha256
        for path, stamp in stamps.files.items()
        if PurePosixPath(path).name in _MANIFESTS
    }
    trusted = {name: sha256(path) for name, path in certificates().items()}
    return digest(
        {
            "fetch": [asdict(command) for command in fetch],
            "builder": builder,
            "files": files,
            "certificates": trusted,
        }
    )


def _reason_against(order: Order) -> str:
    """Return why nothing of this run's builds may stay on the engine, or an empty string.

    What a build was given may end up in its target directory, and a URL beside the crates.
    """
    request = order.request
    if without_secrets(order.plan) != order.plan:
        return "builds are given secrets"
    with readable():
        lock = request.project.lock.read_text(encoding="utf-8", errors="replace")
    return "Cargo.lock holds a password" if redact(lock) != lock else ""


def _watch_room(context: Context, key: str) -> None:
    """Make room where there is little, at the cost of what builds of other projects left.

    The disk of an engine on another machine can't be looked at.
    """
    client = context.workshop.client
    engine = facts(client)
    if not engine.local or not engine.root.is_dir():
        return
    free = shutil.disk_usage(engine.root).free
    gone = enough(held_caches(client), _ROOM - free, but=key)
    drop_caches(client, gone)
    for each in gone:
        context.emit(Note(text=f"what builds of {each.title} left is removed, to make room"))
    free = shutil.disk_usage(engine.root).free
    if free < _LEAST_ROOM:
        text = f"only {free / _GIB:.1f} GiB are free where the engine keeps its data, {engine.root}"
        context.emit(Warned(text=text))


def project_key(request: Request) -> str:
    """Return what tells a project's builds from all others' on an engine.

    That is whose it is, on which machine, where it lies there, and its name.
    """
    whole = {
        "machine": socket.gethostname(),
        "user": os.getuid(),
        "root": str(request.source.root),
        "project": request.source.project,
        "name": request.project.name,
    }
    return digest(whole)[:_KEY]


def _own(context: Context) -> Callable[[str, str], str]:
    return lambda purpose, _: context.workshop.volume(purpose)


def _place(
    job: Job, context: Context, inputs: Mapping[str, str], volume: Callable[[str, str], str]
) -> Place:
    build, native = job.build, context.engine_arch
    images = tuple(how.command.image for how in (build, job.fallback) if how is not None)
    group = _group(job.target.arch, build.mode, _short(inputs, images))
    hybrid = build.mode is Mode.HYBRID
    host = group
    if hybrid:
        host = _group(native, Mode.NATIVE, _short(inputs, (context.builder,)))
    return Place(
        volume=volume(f"{job.id}-{digest(group)[:_SHORT]}", group),
        group=group,
        host=host,
        host_triple=native.triple,
    )


def _group(arch: Arch, mode: Mode, inputs: str) -> str:
    return f"{arch}-{mode}-{inputs}"


def _short(inputs: Mapping[str, str], images: Sequence[str]) -> str:
    return digest([inputs[name] for name in images])[:_SHORT]


def _sow(
    request: Request,
    jobs: Sequence[Job],
    targets: Targets,
    places: Mapping[str, Place],
    groups: Mapping[str, str],
    stamps: Stamps,
    *,
    force: bool,
) -> Mapping[str, str]:
    """Say to `targets` what each directory is filled from; return which job waits for which.

    With another Cargo.lock than last time only the first job of a group goes on with what it
    has, and the others begin with what that one then compiled. With `force` nothing that is there
    is used.
    """
    names = [job.id for job in jobs]
    ready = {} if force else {volume: groups[volume] for volume in targets.ready()}
    sowing = sow(names, places, ready)
    gone: set[str] = set()
    if force or _is_new(request.project.lock, request, stamps):
        spared = frozenset[str]() if force else sowing.leaders
        gone = {places[name].volume for name in names if name not in spared}
    if gone:
        targets.forget(sorted(gone))
        sowing = sow(names, places, {v: group for v, group in ready.items() if v not in gone})
    targets.seeds = sowing.seeds
    return sowing.after


def _is_new(path: Path, request: Request, stamps: Stamps) -> bool:
    stamp = stamps.files.get(path.relative_to(request.source.root).as_posix())
    return stamp is not None and stamp.time == stamps.last


def _leave(context: Context, cache: BuildCache, targets: Targets) -> None:
    """Keep what the builds left for the next run, within the settings' bound."""
    sizes: Mapping[str, int] = {}
    with suppress(Cancelled, SurroundingsError):  # as it was known before
        sizes = targets.sizes()
    client, bound = context.workshop.client, int(context.settings.limits.cache_gib * _GIB)
    try:
        cache.hold(sizes)
        gone = beyond(held_caches(client), bound, but=cache.key)
        drop_caches(client, gone)
    except SurroundingsError as error:
        context.emit(Note(text=f"what builds left could not be counted: {error.message}"))
        return
    for each in gone:
        text = f"what builds of {each.title} left is removed: limits.cache-gib is full"
        context.emit(Note(text=text))
