"""`farm runs`: what ran, what is running, what was broken off."""

from __future__ import annotations

from pathlib import Path

import typer

from farm.cli import options
from farm.cli.output import print_result

EXAMPLES = """\b
Examples:
  farm runs                         the runs of the project here, newest first
  farm runs crate
  farm runs --json | jq '.[] | select(.counts.failed)'
"""


def runs(project: options.Project = Path(), *, as_json: options.Json = False) -> None:
    """List a project's runs, newest first.

    One line a run: when it started, how long it took, how its jobs ended, and what is under way
    or was broken off.
    """
    import time

    from farm.report.console import make_console
    from farm.report.history import line, runs_text
    from farm.report.json import dump
    from farm.runs.directory import all_runs

    console = make_console(stderr=False)
    now = time.time()
    lines = tuple(line(run, now=now) for run in all_runs(project))
    if as_json:
        print_result(dump(lines))
    elif lines:
        print_result(runs_text(lines, width=console.width if console.is_terminal else None))
    else:
        typer.echo(f"No run of {project.resolve()} yet.", err=True)
