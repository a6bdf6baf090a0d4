"""`farm report`: how a run ended, for people, for a CI summary, for programs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from farm.cli import options
from farm.cli.output import print_result
from farm.model.errors import UsageError

EXAMPLES = """\b
Examples:
  farm report                       the last run of the project here
  farm report 1b98 --project crate  the one that has 1b98 in its id
  farm report --markdown >> $GITHUB_STEP_SUMMARY
  farm report --json | jq -r '.jobs[].wheel.sha256'
"""

_TAIL_LINES = 40


def report(
    run: options.RunId = "",
    *,
    project: options.ProjectOption = Path(),
    markdown: Annotated[
        bool, typer.Option("--markdown", help="Print Markdown, such as GitHub renders.")
    ] = False,
    as_json: options.Json = False,
) -> None:
    """Print how a run ended; by default the last one.

    The same as at the end of farm build, or for a CI summary, with the end of each failed job's
    log. Of a run that goes on or was killed, what had ended by then.
    """
    from farm.report.console import make_console
    from farm.report.json import dump
    from farm.report.markdown import markdown as as_markdown
    from farm.report.summary import show_checks, show_report, show_unfinished
    from farm.runs.directory import REPORT, find_run, run_ids
    from farm.runs.tail import last_lines

    if markdown and as_json:
        raise UsageError("--markdown and --json exclude each other", "Give one of them.")
    found = find_run(project, run)
    if found.fault:
        raise UsageError(f"run {found.id}: {found.fault}", "farm logs --run shows its logs.")
    if as_json and found.report is None and not found.checks:
        raise UsageError(f"run {found.id} is {found.state}: it has no report", "farm runs --json")

    def tail(name: str) -> tuple[str, ...]:
        log = found.log(name)
        return last_lines(Path(log.path), _TAIL_LINES) if log else ()

    console = make_console(stderr=False)
    again = project if found.id == run_ids(project)[0] else None
    if as_json:
        print_result(dump(found.report or found.checks))
    elif markdown:
        print_result(as_markdown(found, tail))
    elif found.report:
        show_report(console, found.report, f"{found.directory}/{REPORT}", project=again)
    elif found.checks:
        show_checks(console, found.checks)
    else:
        show_unfinished(console, found, project=again)
