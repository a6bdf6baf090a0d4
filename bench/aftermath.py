"""What must hold after a round of the soak, and after all of it; each breach is one line."""

from __future__ import annotations

import re
import signal
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import docker
import psutil
from controller import Ended, runs
from sabotage import TARGETS, Round
from seen import remove_caches

from farm.engine.build_cache import held_caches
from farm.engine.leftovers import CACHE_LABEL, KEPT_LABEL, RUN_LABEL, look, release, sweep
from farm.model.errors import ExitCode, FarmError
from farm.model.results import Status
from farm.model.targets import Target
from farm.runs.directory import read_run
from farm.steps.publish import sha256
from farm.wheels.audit import audit

KILLED = "killed"
"""What became of a job that was under way as its controller was killed."""
STARTED = (Status.BUILT, Status.FAILED, Status.CANCELLED, KILLED)
"""How a job may have ended that the engine was at work on."""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What came of a round, as its directory and `dist/` tell."""

    statuses: Mapping[str, str]
    """By job."""
    faults: tuple[str, ...]


def judge(client: docker.DockerClient, project: Path, each: Round, ended: Ended) -> Outcome:
    """Compare a round that has ended with what had to come of it."""
    if not ended.run:
        return Outcome(statuses={}, faults=(f"no run: status {ended.code}: {ended.said[-500:]}",))
    directory = project / ".farm" / "runs" / ended.run
    run = read_run(project, ended.run)
    told = {result.job: result for result in (run.report.jobs if run.report else run.journal)}
    statuses = {job: str(result.status) for job, result in told.items()}
    for job in (target.id for target in TARGETS):
        under_way = (directory / f"{job}.log").exists()
        statuses.setdefault(job, KILLED if under_way else str(Status.SKIPPED))
    faults = [
        *_end(each, ended, report=run.report is not None),
        *(fault for result in told.values() for fault in _job(each, result)),
        *_missing(each, statuses),
        *(
            f"{result.job}: dist/ has another wheel than the one that was built"
            for result in told.values()
            if result.published and result.wheel and not _is(result.published, result.wheel.sha256)
        ),
    ]
    if run.report is not None:
        failed = {job for job, status in statuses.items() if status == Status.FAILED}
        faults += [*_engine(client, ended.run, failed), *files(project)]
    return Outcome(statuses=statuses, faults=tuple(faults))


def _end(each: Round, ended: Ended, *, report: bool) -> Iterator[str]:
    """How the command ended; a signal may come when all was done."""
    match each.sabotage.signal:
        case None:
            allowed = {each.sabotage.code}
        case signal.SIGKILL:
            allowed = {0, -signal.SIGKILL}
        case _:
            allowed = {0, int(ExitCode.INTERRUPTED)}
    if ended.code not in allowed:
        yield f"status {ended.code}, not {sorted(allowed)}: {ended.said[-500:]}"
    if re.search(r"^Traceback", ended.said, re.MULTILINE):
        yield f"a traceback: {ended.said[-500:]}"
    if not report and ended.code != -signal.SIGKILL:
        yield "no report"


def _job(each: Round, result: Any) -> Iterator[str]:
    """Whether a job ended as it had to; under a signal, any way but failed."""
    found = (result.status, result.phase, result.cause)
    if each.sabotage.signal is not None:
        if result.status is Status.FAILED:
            yield f"{result.job}: {found}: {result.reason}"
        return
    wanted: tuple[str, str, str] = (Status.BUILT, "", "")
    if result.job == each.victim.id:
        wanted = (each.sabotage.status, each.sabotage.phase, each.sabotage.cause)
        if each.sabotage.removes and result.attempts == 1:
            yield f"{result.job}: built at the first attempt, its container having been removed"
    if found != wanted:
        yield f"{result.job}: {found}, not {wanted}: {result.reason}"


def _missing(each: Round, statuses: Mapping[str, str]) -> Iterator[str]:
    if each.sabotage.signal is None:
        for job, status in statuses.items():
            if status not in {Status.BUILT, Status.FAILED}:
                yield f"{job}: {status}"


def _is(path: str, digest: str) -> bool:
    return Path(path).is_file() and sha256(Path(path)) == digest


def _engine(client: docker.DockerClient, run: str, failed: Collection[str]) -> Iterator[str]:
    """Of a run that ended in order there are only failed jobs, unless others released them."""
    found = look(client)
    if run in found.alive | found.dead:
        yield f"run {run} left something on the engine: {_names(client, {run})}"
    kept = {each.job for each in found.kept if each.run == run}
    if not kept <= set(failed):
        yield f"kept are {sorted(kept)}, failed are {sorted(failed)}"


def _names(client: docker.DockerClient, mine: Collection[str]) -> list[str]:
    """Return what runs have on the engine, less what is kept."""
    wanted = {"label": [RUN_LABEL]}
    containers = client.api.containers(all=True, filters=wanted)
    volumes = client.api.volumes(filters=wanted)["Volumes"] or []
    return [
        str(thing.get("Name") or thing["Names"])
        for thing in (*containers, *volumes)
        if thing["Labels"][RUN_LABEL] in mine and KEPT_LABEL not in thing["Labels"]
    ]


def gone(client: docker.DockerClient, killed: Collection[str]) -> list[str]:
    """After the run that follows a killed one, of that nothing is left."""
    return [f"a killed run left {name}" for name in _names(client, killed)]


def files(project: Path) -> list[str]:
    """No file of a run that is dead, and none half-written, but in a run that was just killed."""
    top = project / ".farm" / "runs"
    dead = [run for run in runs(project) if not (top / run / "report.json").exists()]
    unfinished = [*project.glob("dist/.*.part"), *top.rglob("*.part"), *top.rglob("source.tar")]
    wheels = [path for run in dead for path in (top / run).rglob("*.whl")]
    return [f"left behind: {path.relative_to(project)}" for path in (*unfinished, *wheels)]


@dataclass(kw_only=True)
class Dist:
    """The wheels in one `dist/`: once there, always there, and always sound."""

    directory: Path
    seen: dict[str, str] = field(default_factory=dict)

    def judge(self, made: Collection[str]) -> list[str]:
        """Look at it after a run that made the wheels of some jobs, or may have, before a kill."""
        names = {_wheel(target): target for target in TARGETS}
        found = {path.name: sha256(path) for path in self.directory.glob("*.whl")}
        faults = [f"lost: {name}" for name in self.seen.keys() - found.keys()]
        for name, digest in found.items():
            target = names.get(name)
            if target is None:
                faults.append(f"dist/ has {name}, which no job makes")
                continue
            if self.seen.get(name, digest) != digest and target.id not in made:
                faults.append(f"{name} is another one, and its job did not end well")
            faults += _unsound(self.directory / name, target)
        self.seen |= found
        return faults


def _wheel(target: Target) -> str:
    tags = f"{target.python_tag}-{target.abi_tag}-{target.platform_tag}"
    return f"sabotaged-0.1.0-{tags}.whl"


def _unsound(path: Path, target: Target) -> Iterator[str]:
    try:
        audit(path, target).require()
    except FarmError as error:
        yield f"{path.name}: {error.message}"


def clean_up(client: docker.DockerClient, mine: Collection[str], projects: Path) -> list[str]:
    """Release what the soak's own runs keep; return what is left of them then, and remove it.

    What builds of the `projects` below a directory left for the next ones goes too.
    """
    faults = [f"left on the engine: {name}" for name in _names(client, _ended(client, mine))]
    release(client, [kept for kept in look(client).kept if kept.run in mine])
    faults += [f"left after its release: {name}" for name in _names(client, mine)]
    for run in sorted(mine):
        sweep(client, run)
    remove_caches(projects)
    left = (held.title for held in held_caches(client))
    faults += [f"builds left something: {t}" for t in left if Path(t).is_relative_to(projects)]
    return faults


def _ended(client: docker.DockerClient, mine: Collection[str]) -> set[str]:
    """Return those runs that keep nothing, whose volumes would be theirs."""
    return set(mine) - {kept.run for kept in look(client).kept}


def volumes(client: docker.DockerClient) -> dict[str, str]:
    """Return every volume of the engine, with the run or else the project that it is of."""
    found = client.api.volumes()["Volumes"] or []
    labels = {volume["Name"]: volume["Labels"] or {} for volume in found}
    return {n: each.get(RUN_LABEL) or each.get(CACHE_LABEL, "") for n, each in labels.items()}


def orphans(mark: Mapping[str, str]) -> list[str]:
    """Return the processes of this machine that carry `mark` in their environment."""
    found = []
    for process in psutil.process_iter():
        try:
            environment = process.environ()
            if mark.items() <= environment.items():
                found.append(f"orphan: {process.pid} {process.cmdline()}")
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    return found


def engine_memory() -> int:
    """Return what dockerd holds in memory, in KiB; 0 for an engine that is not on this machine."""
    try:
        pid = int(Path("/var/run/docker.pid").read_text(encoding="ascii"))
        return int(psutil.Process(pid).memory_info().rss) >> 10
    except (OSError, psutil.NoSuchProcess):
        return 0


def volume_bytes(client: docker.DockerClient) -> int:
    """Return what all volumes of the engine hold."""
    told = client.df()["Volumes"] or []
    return sum(max(v["UsageData"]["Size"], 0) for v in told)
