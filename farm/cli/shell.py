"""`farm shell`: enter a job."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from farm.cli import options
from farm.model.errors import UsageError, nearest

if TYPE_CHECKING:
    from farm.model.runs import Run

EXAMPLES = """\b
Examples:
  farm shell cp313-manylinux_2_28_aarch64
  farm shell cp313-manylinux_2_28_aarch64 --at check
  farm shell cp313-manylinux_2_28_aarch64 -- cargo tree --offline
  farm shell cp313-manylinux_2_28_aarch64 < commands.sh
"""


def shell(
    job: options.JobName,
    command: Annotated[
        list[str] | None,
        typer.Argument(metavar="COMMAND", help="What to run, after --; by default a shell."),
    ] = None,
    *,
    at: Annotated[
        str,
        typer.Option(
            "--at",
            metavar="STEP",
            autocompletion=lambda: ["build", "check"],
            help="build or check; by default where the job failed.",
            show_default=False,
        ),
    ] = "",
    run: options.RunOption = "",
    project: options.ProjectOption = Path(),
) -> int:
    """Open a shell in a job, where its command runs.

    A failed job is as it failed; one that passed, or is kept no longer, is brought up to its
    command anew. The container is the job's, with its environment and limits and without a
    network; the command is the last in the shell's history. Ends with the status of COMMAND, or
    of the shell.
    """
    from farm.engine.connection import connect
    from farm.host.commands import interact
    from farm.report.console import Progress, make_console
    from farm.report.summary import show_entrance
    from farm.runs import shell as shells

    found = _run_of(job, run, project)
    step = shells.step_of(found, job, at)
    console = make_console()
    progress = Progress(console)
    with connect() as client, shells.open_for_shell(client, progress) as workshop:
        with progress.shown():
            entrance = shells.find_entrance(client, workshop, found, job, step, progress)
        with shells.opened(workshop, entrance) as container:
            show_entrance(console, job, entrance.argvs, entrance.spec.cwd)
            terminal = sys.stdin.isatty() and sys.stdout.isatty()
            return interact(shells.shell_argv(container, command or (), terminal=terminal))


def _run_of(job: str, word: str, project: Path) -> Run:
    """Return the run that `word` names, else the newest that knows of `job`."""
    from farm.runs.directory import all_runs, find_run

    runs = [find_run(project, word)] if word else list(all_runs(project))
    names = dict.fromkeys(name for run in runs for name in _jobs(run))
    for run in runs:
        if job in _jobs(run):
            return run
    raise UsageError(
        f"no run of {project.resolve()} has a job {job!r}{nearest(job, names)}",
        f"There are: {', '.join(names)}." if names else "farm build starts one.",
    )


def _jobs(run: Run) -> tuple[str, ...]:
    from farm.model.runs import FETCH

    logged = (log.name for log in run.logs if log.name != FETCH)
    return (*(result.job for result in run.results), *logged)
