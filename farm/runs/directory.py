"""A run's own directory on this machine: `.farm/runs/<run>` below the project.

Written as the run goes, and read back from any other process, whatever became of the run.
"""

from __future__ import annotations

import errno
import fcntl
import os
import secrets
import shutil
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

from pydantic import ValidationError

import farm
from farm.host.claims import claim, remove_unclaimed, unclaimed
from farm.model.adapters import adapter
from farm.model.errors import SurroundingsError, UsageError, nearest
from farm.model.results import JobResult, Report, WheelChecks
from farm.model.runs import BUILT, FETCH, LogFile, Run, State
from farm.project.stamps import stamp_tar
from farm.runs.planner import Request

LATEST = "latest"
"""The link to the newest run's directory, and what it is called on the command line."""
REPORT = "report.json"
REQUEST = "request.json"
"""What the run was asked for, and the jobs that it planned of it."""
TREE = "source.tar"
"""The source tree as the jobs get it, as long as the run goes on."""
_RUNS = 50
"""How many runs are remembered."""
_CHECKS = "checks.json"
_JOURNAL = "journal.jsonl"
_STARTED = "%Y%m%d-%H%M%S"
"""How a run's id begins; ids of later runs sort after those of earlier ones."""

_RECENT = 5
"""How many runs are asked for how long builds take."""
_NAMED = 5
"""How many ids an error names."""

Value = TypeVar("Value")


@dataclass(frozen=True, kw_only=True)
class _Origin:
    """What is asked of a report that can't be read."""

    farm: str


@dataclass(frozen=True, kw_only=True)
class _Planned:
    """What is asked of a request by who only looks at the run."""

    jobs: tuple[str, ...] = ()


def new_id() -> str:
    """Return an id that no run has yet; those of later runs sort after it."""
    return f"{datetime.now(UTC):{_STARTED}}-{secrets.token_hex(2)}"


def new_run(project: Path) -> tuple[str, Path]:
    """Make the directory of a new run below `project`; return the run's id and the directory.

    The directory stays locked until this process ends, by which others see that the run goes
    on. Raises SurroundingsError when it can't be made.
    """
    top = project / ".farm"

    def make() -> Path:
        while True:
            directory = top / "runs" / new_id()
            with suppress(FileExistsError):  # of a run that began in the same second
                directory.mkdir(parents=True)
                return directory

    try:
        directory, _ = claim(make)
        ignore = top / ".gitignore"
        if not ignore.exists():
            ignore.write_text("*\n", encoding="utf-8")
        latest = top / "runs" / LATEST
        if latest.is_symlink() or not latest.exists():  # in a copied project it is a directory
            new = directory / LATEST
            new.symlink_to(directory.name)
            new.replace(latest)
    except OSError as error:
        raise _unwritable(top / "runs", error) from error
    return directory.name, directory


def make_directory(path: Path) -> Path:
    """Make a directory below a run's own, and return it; raises SurroundingsError."""
    try:
        path.mkdir()
    except OSError as error:
        raise _unwritable(path, error) from error
    return path


def write_tree(request: Request, path: Path) -> None:
    """Write the source of `request` to `path`, as a tar archive that all jobs get.

    All files have the time of the build's epoch. Raises UsageError when a file can't be read or
    has changed since `request` was made, SurroundingsError when the archive can't be written.
    """
    try:
        with path.open("wb") as stream:
            request.source.write_tar(stream, mtime=request.epoch)
    except OSError as error:
        raise _unwritable(path, error) from error


def stamp_tree(path: Path, times: Mapping[str, float]) -> None:
    """Give the files of the archive that `write_tree` wrote to `path` their `times`, by path.

    Raises SurroundingsError when it can't be written.
    """
    try:
        with path.open("rb") as tree:
            path.unlink()  # no second name is left where the run is killed
            with path.open("xb") as stream:
                stamp_tar(tree, stream, times)
    except OSError as error:
        raise _unwritable(path, error) from error


def write_report(report: Report, directory: Path) -> Path:
    """Write `report.json` into the run's directory, whole or not at all; return its path."""
    return write_file(directory / REPORT, adapter(Report).dump_json(report, indent=2))


def write_checks(checks: tuple[WheelChecks, ...], directory: Path) -> Path:
    """Write what came of a test of wheels, as `write_report` does for a build."""
    return write_file(
        directory / _CHECKS, adapter(tuple[WheelChecks, ...]).dump_json(checks, indent=2)
    )


def append_result(directory: Path, *results: JobResult) -> None:
    """Write down, in the run's directory, that jobs ended; from any thread.

    Each is a whole line or, where the machine dies meanwhile, one that readers leave out. Raises
    SurroundingsError when they can't be written.
    """
    lines = b"".join(adapter(JobResult).dump_json(result) + b"\n" for result in results)
    path = directory / _JOURNAL
    try:
        with path.open("ab", buffering=0) as file:
            whole = file.write(lines) == len(lines)
            os.fsync(file.fileno())
    except OSError as error:
        raise _unwritable(path, error) from error
    if not whole:
        raise _unwritable(path, OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)))


def tidy(project: Path, alive: Collection[str]) -> None:
    """Remove what is of no use to anybody any more from the directories of `project`'s runs.

    Of a run that is not among those `alive`, and left no report, that is the source and the
    wheels that it was at work on; and whole directories of runs beyond the newest ones.
    """
    runs = [(name, _runs(project) / name) for name in run_ids(project)]
    dead = [(name, directory) for name, directory in runs if name not in alive]
    for _, directory in dead:
        with unclaimed(directory) as nobodys:
            if nobodys and not (directory / REPORT).exists():
                (directory / TREE).unlink(missing_ok=True)
                shutil.rmtree(directory / BUILT, ignore_errors=True)
    for name, directory in runs[_RUNS:]:
        if name not in alive:
            remove_unclaimed(directory)


def run_ids(project: Path) -> tuple[str, ...]:
    """Return the ids of the runs of `project`, newest first.

    Raises UsageError when there is no such directory, SurroundingsError when it can't be read.
    """
    if not project.is_dir():
        raise UsageError(f"{project} is no directory", "Give the project's directory.")
    try:
        names = [path.name for path in _runs(project).iterdir()]
    except FileNotFoundError:
        return ()
    except OSError as error:
        raise SurroundingsError(
            f"the runs in {_runs(project)} can't be read: {error.strerror}",
            "Make the directory readable.",
        ) from error
    return tuple(sorted((name for name in names if _started(name)), reverse=True))


def all_runs(project: Path) -> Iterator[Run]:
    """Read the runs of `project` one after the other, newest first; raises as `run_ids`."""
    return (read_run(project, run) for run in run_ids(project))


def earlier_seconds(project: Path) -> dict[str, float]:
    """Return how long the build of each job took in the newest run that built it."""
    found: dict[str, float] = {}
    for run in reversed([read_run(project, run) for run in run_ids(project)[:_RECENT]]):
        found |= {r.job: r.seconds["build"] for r in run.results if "build" in r.seconds}
    return found


def find_run(project: Path, word: str = "") -> Run:
    """Return the run of `project` whose id has `word` in it; without a word the newest.

    Raises UsageError where there is none, or more than one, and as `run_ids`.
    """
    ids = run_ids(project)
    if not ids:
        raise UsageError(f"no run of {project.resolve()} yet", "farm build starts one.")
    found = ids[:1] if word in {"", LATEST} else [run for run in ids if word in run]
    if not found:
        raise UsageError(f"no run {word!r}{nearest(word, ids)}", "farm runs lists what there is.")
    if len(found) > 1:
        raise UsageError(
            f"{word!r} is in the ids of {len(found)} runs",
            f"Give more of the id: {', '.join(found[:_NAMED])}{', …' * (len(found) > _NAMED)}",
        )
    return read_run(project, found[0])


def read_run(project: Path, run: str) -> Run:
    """Return what the directory of `run` tells, be it of a run that was killed or goes on."""
    directory = _runs(project) / run
    alive = _locked(directory)  # before its report is looked for, which may be written meanwhile
    fault = ""
    report, checks = None, None
    try:
        report = _read(directory / REPORT, Report)
        checks = _read(directory / _CHECKS, tuple[WheelChecks, ...])
    except SurroundingsError as error:
        fault = error.message
    if fault:
        state = State.UNREADABLE
    elif report or checks:
        state = State.ENDED
    else:
        state = State.RUNNING if alive else State.UNFINISHED
    return Run(
        id=run,
        project=str(project),
        directory=str(directory),
        started=_started(run),
        state=state,
        planned=_planned(directory),
        logs=_logs(directory),
        report=report,
        journal=_journal(directory),
        checks=checks or (),
        fault=fault,
    )


def _runs(project: Path) -> Path:
    return project / ".farm" / "runs"


def _started(run: str) -> float:
    """Return when a run started, in seconds since 1970; 0 for the name of anything else."""
    try:
        return datetime.strptime(f"{run.rpartition('-')[0]} +0000", f"{_STARTED} %z").timestamp()
    except ValueError:
        return 0


def _locked(directory: Path) -> bool:
    """Tell whether the process of the run of `directory` lives."""
    try:
        descriptor = os.open(directory, os.O_RDONLY)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError as error:
        return isinstance(error, BlockingIOError)
    finally:
        os.close(descriptor)
    return False


def _read(path: Path, kind: type[Value]) -> Value | None:
    """Return what `path` holds, None where there is no such file; raise SurroundingsError."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise SurroundingsError(f"{path.name} can't be read: {error.strerror}") from error
    try:
        return adapter(kind).validate_json(content)
    except ValidationError as error:
        raise SurroundingsError(f"{path.name} {_why_unreadable(content)}") from error


def _why_unreadable(content: bytes) -> str:
    with suppress(ValidationError):
        origin = adapter(_Origin).validate_json(content)
        if origin.farm != farm.__version__:
            return f"was written by farm {origin.farm}, and this is farm {farm.__version__}"
    return "is damaged"


def _journal(directory: Path) -> tuple[JobResult, ...]:
    """Return the results that the run wrote down, a job's last one; lines torn are left out."""
    try:
        lines = (directory / _JOURNAL).read_bytes().splitlines()
    except OSError:
        return ()
    results = {}
    for line in lines:
        with suppress(ValidationError):
            result = adapter(JobResult).validate_json(line)
            results[result.job] = result
    return tuple(results.values())


def _planned(directory: Path) -> tuple[str, ...]:
    """Return the jobs that the run wrote down before it began; none of a test of wheels."""
    try:
        return adapter(_Planned).validate_json((directory / REQUEST).read_bytes()).jobs
    except (OSError, ValidationError):
        return ()


def _logs(directory: Path) -> tuple[LogFile, ...]:
    logs = []
    for path in sorted(directory.glob("*.log"), key=lambda p: (p.stem != FETCH, p.stem)):
        with suppress(FileNotFoundError):  # cleaned away meanwhile
            logs.append(LogFile(name=path.stem, path=str(path), size=path.stat().st_size))
    return tuple(logs)


def write_file(path: Path, content: bytes) -> Path:
    """Write a file of a run's directory, whole or not at all; return its path.

    Raises SurroundingsError when it can't be written.
    """
    unfinished = path.with_suffix(f".{os.getpid()}.part")
    try:
        unfinished.write_bytes(content + b"\n")
        unfinished.replace(path)
    except OSError as error:
        raise _unwritable(path, error) from error
    return path


def _unwritable(path: Path, error: OSError) -> SurroundingsError:
    return SurroundingsError(
        f"the run's logs can't be written to {path}: {error.strerror}",
        "Make the project's directory writable.",
    )
