"""`farm verify`: whether a wheel is what its source gives."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from farm.cli import options
from farm.cli.output import print_result
from farm.model.errors import ExitCode

EXAMPLES = """\b
Examples:
  farm verify dist/x-1.0-cp313-cp313-manylinux_2_28_aarch64.whl
  farm verify x-1.0-py3-none-any.whl --project crate --run 1b98
  farm verify dist/x-1.0-py3-none-any.whl --json | jq .differences
"""


def verify(
    wheel: Annotated[
        Path,
        typer.Argument(
            metavar="WHEEL",
            help="A wheel that a run of the project made.",
            exists=True,
            dir_okay=False,
            show_default=False,
        ),
    ],
    *,
    run: options.RunOfWheel = "",
    project: options.ProjectOption = Path(),
    as_json: options.Json = False,
) -> int:
    """Build a wheel once more, and compare the bytes.

    It is built as the report of its run says, and not put into dist/. Exit status: 0 identical,
    1 it differs, or does not build any more, 2 the source or an image is not what the report
    names, or no report names the wheel.
    """
    from farm.engine.connection import connect
    from farm.report.console import Progress, make_console
    from farm.report.json import dump
    from farm.report.verdict import show_verdict
    from farm.runs.directory import all_runs, find_run
    from farm.runs.verify import verify as build_again

    runs = [find_run(project, run)] if run else all_runs(project)
    progress = Progress(make_console())
    with connect() as client, progress.shown():
        verdict = build_again(wheel, project, runs, client, progress)
    show_verdict(make_console(), make_console(stderr=False), verdict, told=not as_json)
    if as_json:
        print_result(dump(verdict))
    return ExitCode.OK if verdict.identical else ExitCode.JOB_FAILED
