"""`farm logs`: what a job said."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from farm.cli import options
from farm.cli.output import print_result
from farm.model.errors import UsageError, nearest

if TYPE_CHECKING:
    from farm.model.runs import LogFile, Run

_PAUSE = 0.3

EXAMPLES = """\b
Examples:
  farm logs                         what failed; of several, their names
  farm logs cp313-manylinux_2_28_x86_64
  farm logs fetch --follow          while farm build runs in another terminal
  farm logs --run 1b98 --project crate
"""


def logs(
    job: options.LogName = "",
    *,
    run: options.RunOption = "",
    project: options.ProjectOption = Path(),
    follow: Annotated[
        bool,
        typer.Option(
            "--follow", "-f", help="Go on until the job has ended; wait for one that has not begun."
        ),
    ] = False,
) -> None:
    """Print the log of a job.

    Without JOB, the log of the only one that failed, or of the only one that is under way;
    otherwise the names of all. By default of the last run.
    """
    from farm.report.console import make_console
    from farm.report.history import logs_text
    from farm.runs.directory import find_run

    found = find_run(project, run)
    if job and follow:
        found = _awaited(found, job)
    if not found.logs and not (job and found.expected):
        raise UsageError(f"run {found.id} is {found.state} and has no log", "farm runs")
    log = _named(found, job) if job else _only(found)
    if log is None:
        console = make_console(stderr=False)
        print_result(logs_text(found, width=console.width if console.is_terminal else None))
        typer.echo("\nfarm logs JOB prints one of them.", err=True)
        return
    if not job:
        typer.echo(f"{log.path}:", err=True)
    _print(found, log, follow=follow)


def _awaited(run: Run, job: str) -> Run:
    """Return `run` as it is once `job` has a log, or is known to get none."""
    from farm.runs.directory import read_run

    if job in run.expected:
        typer.echo(f"{job} has not begun yet: waiting for it", err=True)
    while job in run.expected:
        time.sleep(_PAUSE)
        run = read_run(Path(run.project), run.id)
    return run


def _named(run: Run, job: str) -> LogFile:
    names = [log.name for log in run.logs]
    log = run.log(job)
    if log is not None:
        return log
    if job in run.expected:
        raise UsageError(
            f"{job} of run {run.id} has not begun yet", f"farm logs {job} --follow waits for it."
        )
    result = next((r for r in run.results if r.job == job), None)
    if result is not None:
        raise UsageError(f"{job} has no log: it was {result.status}", f"Logs: {', '.join(names)}.")
    known = dict.fromkeys((*names, *run.expected))
    raise UsageError(
        f"run {run.id} has no log of {job!r}{nearest(job, known)}", f"Logs: {', '.join(known)}."
    )


def _only(run: Run) -> LogFile | None:
    """Return the log that a user who names none wants, if there is just one such."""
    if len(run.logs) == 1:
        return run.logs[0]
    wanted = run.failed or run.open
    return run.log(wanted[0]) if len(wanted) == 1 else None


def _print(run: Run, log: LogFile, *, follow: bool) -> None:
    """Print `log`: as it is into a pipe, and without what a terminal could be harmed by."""
    from farm.model.runs import State
    from farm.report.excerpt import coloured, plain
    from farm.runs.directory import read_run
    from farm.runs.tail import tail

    def over() -> bool:
        if not follow:
            return True
        now = read_run(Path(run.project), run.id)
        return now.state is not State.RUNNING or log.name not in now.open

    readable = plain if os.environ.get("NO_COLOR") else coloured
    terminal = sys.stdout.isatty()
    for line in tail(Path(log.path), over):
        if terminal:
            print_result(readable(line.decode(errors="replace")), nl=line.endswith(b"\n"))
        else:
            print_result(line, nl=False)
    if follow:
        typer.echo(_end(read_run(Path(run.project), run.id), log.name), err=True)


def _end(run: Run, name: str) -> str:
    """Return how what was followed ended."""
    result = next((r for r in run.results if r.job == name), None)
    if result is None:
        return f"{name} of run {run.id}: the log ends here, the run is {run.state}"
    return f"{name}: {result.status}{f': {result.reason}' if result.reason else ''}"
