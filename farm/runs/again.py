"""What a run was asked for, kept beside its logs, so that it can be asked for again."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from pathlib import Path

from pydantic import ValidationError

from farm.model.adapters import adapter
from farm.model.errors import UsageError
from farm.model.results import Status
from farm.model.runs import Run
from farm.runs.directory import REQUEST, write_file
from farm.runs.planner import Order, Request, Selectors, read_request


@dataclass(frozen=True, kw_only=True)
class _Asked:
    selectors: Selectors
    out: Path
    smoke: bool
    jobs: tuple[str, ...] = ()
    """The ids of the jobs that were planned of it."""


def write_asked(order: Order, directory: Path) -> None:
    """Write into the run's `directory` what was asked for, and the jobs of the plan.

    Raises SurroundingsError when it can't be written.
    """
    request = order.request
    asked = _Asked(
        selectors=request.selectors,
        out=request.out,
        smoke=request.smoke,
        jobs=tuple(job.id for job in order.plan.jobs),
    )
    write_file(directory / REQUEST, adapter(_Asked).dump_json(asked, indent=2))


def left_to_do(run: Run) -> tuple[str, ...]:
    """Return the jobs of `run` that made no wheel; none are known of one that was killed."""
    done = {Status.BUILT, Status.CACHED}
    jobs = run.report.jobs if run.report else ()
    return tuple(result.job for result in jobs if result.status not in done)


def ask_again(project: Path, directory: Path, jobs: Collection[str]) -> Request:
    """Return the request of the run in `directory`, of `project` as it is now.

    It is for `jobs`, or for all that it was for if there are none. Raises UsageError when that
    run was no build, and as `read_request`.
    """
    try:
        asked = adapter(_Asked).validate_json((directory / REQUEST).read_bytes())
    except (OSError, ValidationError):
        raise UsageError(
            f"run {directory.name} does not tell what it was asked for",
            "It was no build, or another version's: farm build starts a new one.",
        ) from None
    selectors = replace(asked.selectors, only=tuple(jobs) or asked.selectors.only)
    return read_request(project, selectors, out=asked.out, smoke=asked.smoke)
