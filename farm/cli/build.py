"""`farm build`: wheels of a project into `dist/`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from farm.cli import options
from farm.cli.output import print_result

if TYPE_CHECKING:
    from farm.runs.planner import Request
    from farm.runs.run import Options

EXAMPLES = """\b
Examples:
  farm build                        every wheel of the project here
  farm build crate --arch aarch64 --py 3.13
  farm build --only cp311-manylinux_2_28_x86_64
  farm build --json > report.json   the report on stdout
"""


def build(
    project: options.Project = Path(),
    *,
    arch: options.Arches = None,
    py: options.Pythons = None,
    only: options.Only = None,
    mode: options.Mode = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="DIR", help="Where wheels go; by default PROJECT/dist."),
    ] = None,
    fail_fast: options.FailFast = False,
    keep: options.Keep = False,
    force: Annotated[
        bool,
        typer.Option("--force", help="Build anew, with nothing but the crates of earlier builds."),
    ] = False,
    no_smoke: Annotated[
        bool, typer.Option("--no-smoke", help="Publish without smoke tests; the report says so.")
    ] = False,
    as_json: options.Json = False,
) -> int:
    """Build, audit and smoke-test a project's wheels.

    Puts those that passed into dist/ and prints the path of each on stdout. Exit status: 0 all
    done, 1 a job failed, 2 wrong arguments or project, 3 the surroundings are not fit, 70 a bug of
    the farm's, 130 interrupted.
    """
    from farm.runs.planner import Selectors, read_request
    from farm.runs.run import Options

    selectors = Selectors(
        arches=tuple(arch or ()),
        pythons=tuple(py or ()),
        only=tuple(only or ()),
        mode=mode,
    )
    how = Options(fail_fast=fail_fast, keep=keep, force=force)
    request = read_request(project, selectors, out=out, smoke=not no_smoke)
    return perform(request, how, as_json=as_json)


def perform(request: Request, how: Options, *, as_json: bool) -> int:
    """Run what is asked for, show it, and return the exit status."""
    from farm.engine.connection import connect
    from farm.report.console import Progress, make_console
    from farm.report.json import dump
    from farm.report.summary import show_report
    from farm.runs.planner import prepare
    from farm.runs.run import execute, exit_code

    console = make_console()
    with connect() as client:
        order = prepare(request, client)
        progress = Progress(console)
        with progress.shown(tuple(job.id for job in order.plan.jobs)):
            outcome = execute(order, client, progress, how)
    show_report(console, outcome.report, str(outcome.path), project=request.project.root)
    if as_json:
        print_result(dump(outcome.report))
    else:
        for result in outcome.report.jobs:
            if result.published:
                print_result(os.fsencode(result.published))  # a name may be no UTF-8
    return exit_code(outcome)
