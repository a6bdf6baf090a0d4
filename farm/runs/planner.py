"""From a project and the user's wishes to a plan; nothing is started."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import docker
from packaging.dependency_groups import resolve_dependency_groups

from farm.bases import debian
from farm.bases.archive import Archive
from farm.engine import images
from farm.engine.connection import arch as architecture
from farm.engine.supply import Supply
from farm.host.archive import read_archive
from farm.model.errors import UsageError, nearest
from farm.model.plan import SOURCE, WORK, Build, Job, Plan
from farm.model.settings import Settings, read_settings
from farm.model.targets import Arch, Interpreter, Mode, Target
from farm.project import select
from farm.project.cargo_config import fetch_config
from farm.project.channel import channel_warnings
from farm.project.inspect import Project, inspect
from farm.project.processor import processor_warnings
from farm.project.pyproject import PyProject, check_maturin, read_pyproject
from farm.project.source import Source, collect, last_commit, source_date_epoch
from farm.steps.commands import plan_build, plan_check, plan_fetch


@dataclass(frozen=True, kw_only=True)
class Selectors:
    """What the command line asks for; empty is what the settings say."""

    arches: tuple[str, ...] = ()
    pythons: tuple[str, ...] = ()
    only: tuple[str, ...] = ()
    mode: str | None = None


@dataclass(frozen=True, kw_only=True)
class Request:
    """A project as it was read, and what is wanted of it; the engine was not asked yet."""

    project: Project
    settings: Settings
    selectors: Selectors
    mode: Mode
    """How foreign jobs are compiled."""
    pythons: tuple[Interpreter, ...] | None
    """Those asked for by name, None for every one that there is."""
    source: Source
    epoch: int
    """SOURCE_DATE_EPOCH of the build."""
    commit: str
    """The last commit of the project's git, or empty."""
    out: Path
    smoke: bool
    archive: Archive
    """Where what images are made of comes from, and what of it will do."""


@dataclass(frozen=True, kw_only=True)
class Order:
    """A plan with all that it takes to run it."""

    plan: Plan
    request: Request


def read_request(
    directory: Path, selectors: Selectors, *, out: Path | None = None, smoke: bool = True
) -> Request:
    """Read the project in `directory`; nothing but git is started.

    Raises UsageError for all that is wrong with arguments, settings or project.
    """
    pyproject = read_pyproject(directory.resolve())
    settings = read_settings(dict(pyproject.farm), str(pyproject.file))
    project = inspect(
        directory,
        features=settings.features,
        default_features=not settings.no_default_features,
        pinned=settings.locked,
    )
    check_maturin(project.pyproject, debian.MATURIN)
    for word in selectors.arches:
        if word not in {"all", "native"}:
            Arch.parse(word)
    source = collect(project, exclude=settings.source.exclude, include=settings.source.include)
    _require_text(source.project)
    return Request(
        project=project,
        settings=settings,
        selectors=selectors,
        mode=select_mode(selectors.mode or settings.mode),
        pythons=_pythons(selectors.pythons or settings.python),
        source=source,
        epoch=source_date_epoch(source),
        commit=last_commit(source),
        out=(out or project.root / settings.out).absolute(),
        smoke=smoke,
        archive=read_archive(
            settings.archive,
            root=project.root,
            rust=project.crate.inherited("rust-version") or "",
        ),
    )


def project_archive(directory: Path | None) -> Archive:
    """Return the archive that the settings of a project name, or this machine where it is None.

    Raises UsageError for what is wrong with them.
    """
    if directory is None:
        return read_archive()
    pyproject = read_pyproject(directory.resolve())
    settings = read_settings(dict(pyproject.farm), str(pyproject.file))
    return read_archive(settings.archive, root=directory.resolve())


def prepare(request: Request, client: docker.DockerClient) -> Order:
    """Plan the jobs of `request` for the engine of `client`, which is asked and starts nothing.

    Which interpreters there are is read from the images on the engine, and from the base's
    table where there is none yet. Raises UsageError for what can't be had.
    """
    engine_arch = architecture(client)
    arches = select_arches(request.selectors.arches or request.settings.arch, engine_arch)
    names = {arch: f"builder-{arch}" for arch in (engine_arch, *arches)}
    found = images.find(client, names.values(), request.archive)
    inside = {
        arch: found[name].interpreters if name in found else debian.INTERPRETERS
        for arch, name in names.items()
    }
    return _order(request, arches, engine_arch, inside)


def without_lost(order: Order, supply: Supply) -> Order:
    """Return `order` planned again, where images could not be made with all its interpreters.

    Raises UsageError where the request names one of those that are lost.
    """
    arches = tuple(dict.fromkeys(job.target.arch for job in order.plan.jobs))
    if not arches or not supply.gaps:
        return order
    native = order.plan.engine_arch
    inside = {arch: supply.interpreters(f"builder-{arch}") for arch in (native, *arches)}
    return _order(order.request, arches, native, inside)


def _order(
    request: Request,
    arches: Sequence[Arch],
    engine_arch: Arch,
    inside: Mapping[Arch, Sequence[Interpreter]],
) -> Order:
    """Return the order of `request`, where `inside` has the interpreters of each builder."""
    plan = make_plan(
        request,
        arches=arches,
        engine_arch=engine_arch,
        available=sorted(set.intersection(*(set(inside[arch]) for arch in arches))),
        natively=inside[engine_arch],
    )
    return Order(plan=plan, request=request)


def select_arches(words: Sequence[str], engine_arch: Arch) -> tuple[Arch, ...]:
    """Return the architectures that `words` name, the engine's own first, each once.

    Raises UsageError for a word that names none.
    """
    chosen: set[Arch] = set()
    for word in words:
        if word == "all":
            chosen.update(Arch)
        else:
            chosen.add(engine_arch if word == "native" else Arch.parse(word))
    return tuple(sorted(chosen, key=lambda arch: arch is not engine_arch))


def select_mode(word: str) -> Mode:
    """Return the mode of foreign jobs that `word` names, or raise UsageError."""
    known = (Mode.HYBRID, Mode.EMULATED)
    if word not in known:
        raise UsageError(
            f"unknown mode {word!r}{nearest(word, known)}",
            "Known: hybrid, emulated. The engine's own architecture is always native.",
        )
    return Mode(word)


def make_plan(
    request: Request,
    *,
    arches: Sequence[Arch],
    engine_arch: Arch,
    available: Sequence[Interpreter],
    natively: Sequence[Interpreter],
) -> Plan:
    """Return the plan: for each interpreter the engine's own architecture, then the foreign one.

    That order lets a foreign build find its interpreter's host units compiled. `available` are the
    interpreters that all of `arches` have, `natively` those of the engine's own. Raises UsageError
    where the request names what there is not.
    """
    project, source = request.project, request.source
    selection = select.interpreters(project, available, request.pythons)
    config = fetch_config(source.root, project.root, SOURCE)
    jobs = [
        _job(request, wheel, arch, engine_arch, natively)
        for wheel in selection.wheels
        for arch in arches
    ]
    warnings = (
        *project.warnings,
        *source.warnings,
        *selection.warnings,
        *config.left_out,
        *processor_warnings(project, request.settings, source.root, arches),
        *channel_warnings(project, request.settings, source.root),
    )
    manifest = project.manifest.relative_to(source.root).as_posix()
    return Plan(
        project=project.name,
        version=project.version,
        engine_arch=engine_arch,
        fetch=plan_fetch(
            arches,
            engine_arch,
            project,
            manifest=manifest,
            config=config.arguments,
            locked=request.settings.locked,
        ),
        jobs=_only(jobs, request.selectors.only),
        left_out=tuple(left.line for left in selection.left_out),
        warnings=warnings,
        notes=_notes(request.settings),
    )


def _require_text(path: str) -> None:
    """Raise UsageError for a project's path that the engine could not be told."""
    try:
        path.encode()
    except UnicodeEncodeError:
        raise UsageError(
            f"the project's directory {path!r} has a name that is no UTF-8", "Rename it."
        ) from None


def _pythons(words: Sequence[str]) -> tuple[Interpreter, ...] | None:
    if "all" in words:
        return None
    return tuple(dict.fromkeys(Interpreter.parse(word) for word in words))


def _job(
    request: Request,
    wheel: select.Wheel,
    arch: Arch,
    engine_arch: Arch,
    natively: Sequence[Interpreter],
) -> Job:
    settings, path = request.settings, request.source.project
    target = Target(interpreter=wheel.claims, arch=arch, abi=wheel.abi)
    mode = Mode.NATIVE if arch is engine_arch else request.mode
    out = f"{WORK}/out/{target.id}"

    def build(mode: Mode) -> Build:
        return plan_build(
            target,
            wheel.interpreter,
            settings,
            request.project,
            mode=mode,
            engine_arch=engine_arch,
            project_path=path,
            epoch=request.epoch,
            out=out,
        )

    falls_back = mode is Mode.HYBRID and settings.fallback == "emulated"
    groups = _requirements(request.project.pyproject, settings.smoke.groups)
    return Job(
        id=target.id,
        target=target,
        build=build(mode),
        fallback=build(Mode.EMULATED) if falls_back else None,
        checks=tuple(
            plan_check(
                interpreter,
                arch,
                settings.smoke,
                native=engine_arch if interpreter in natively else arch,
                project_path=path,
                groups=groups,
            )
            for interpreter in wheel.checks
        ),
        out=out,
    )


def _requirements(pyproject: PyProject, groups: Sequence[str]) -> tuple[str, ...]:
    """Return the requirements of dependency groups (PEP 735); raise UsageError for a bad one."""
    try:
        return resolve_dependency_groups(pyproject.groups, *groups)
    except ExceptionGroup as errors:
        said = "; ".join(str(error) for error in errors.exceptions)
        raise UsageError(
            f"{pyproject.file}: smoke.groups in [tool.farm] can't be had: {said}",
            "Correct it, or [dependency-groups].",
        ) from None
    except RecursionError:
        raise UsageError(
            f"{pyproject.file}: smoke.groups in [tool.farm] include too many others",
            "Correct it, or [dependency-groups].",
        ) from None


def _only(jobs: Sequence[Job], wanted: Sequence[str]) -> tuple[Job, ...]:
    known = [job.id for job in jobs]
    for name in wanted:
        if name not in known:
            raise UsageError(
                f"no job is called {name!r}{nearest(name, known)}",
                f"There are: {', '.join(known)}.",
            )
    return tuple(job for job in jobs if not wanted or job.id in wanted)


def _notes(settings: Settings) -> tuple[str, ...]:
    notes = []
    if settings.network:
        notes.append("builds have a network, as [tool.farm] network = true says")
    if not settings.locked:
        notes.append(
            "cargo chooses what Cargo.lock does not pin, as [tool.farm] locked = false says"
        )
    return tuple(notes)
