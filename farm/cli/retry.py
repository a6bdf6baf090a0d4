"""`farm retry`: run again what failed."""

from __future__ import annotations

from pathlib import Path

import typer

from farm.cli import options
from farm.cli.build import perform

EXAMPLES = """\b
Examples:
  farm retry                        what failed in the last run, or did not get to run
  farm retry cp313-manylinux_2_28_aarch64
  farm retry --project crate --run 1b98
"""


def retry(
    job: options.Jobs = None,
    *,
    run: options.RunOption = "",
    project: options.ProjectOption = Path(),
    fail_fast: options.FailFast = False,
    keep: options.Keep = False,
    as_json: options.Json = False,
) -> int:
    """Run the jobs again that failed, were cancelled or never started.

    They are planned as that run was, for the project as it is now. Exit status as of farm build.
    """
    from farm.runs.again import ask_again, left_to_do
    from farm.runs.directory import find_run
    from farm.runs.run import Options

    found = find_run(project, run)
    jobs = tuple(job or left_to_do(found))
    if not jobs and found.report is not None:
        typer.echo(f"Nothing failed in run {found.id}.", err=True)
        return 0
    request = ask_again(project, Path(found.directory), jobs)
    return perform(request, Options(fail_fast=fail_fast, keep=keep), as_json=as_json)
