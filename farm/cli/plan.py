"""`farm plan`: what a build would run, command by command; starts nothing."""

from __future__ import annotations

from pathlib import Path

from farm.cli import options
from farm.cli.output import print_result

EXAMPLES = """\b
Examples:
  farm plan                         every job of the project here
  farm plan crate --arch aarch64 --py 3.13
  farm plan --json | jq '.jobs[].build.command.argv'
"""


def plan(
    project: options.Project = Path(),
    *,
    arch: options.Arches = None,
    py: options.Pythons = None,
    only: options.Only = None,
    mode: options.Mode = None,
    as_json: options.Json = False,
) -> None:
    """Show what farm build would run, and start nothing.

    Lists each job, and under it the commands that it runs in its containers.
    """
    from farm.engine.connection import connect
    from farm.model.secrets import without_secrets
    from farm.report.json import dump
    from farm.report.text import plan_text
    from farm.runs.planner import Selectors, prepare, read_request

    selectors = Selectors(
        arches=tuple(arch or ()), pythons=tuple(py or ()), only=tuple(only or ()), mode=mode
    )
    request = read_request(project, selectors)
    with connect() as client:
        made = without_secrets(prepare(request, client).plan)
    print_result(dump(made) if as_json else plan_text(made))
