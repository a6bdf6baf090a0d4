"""`farm test`: smoke-test wheels that already exist."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from farm.cli import options
from farm.cli.output import print_result

EXAMPLES = """\b
Examples:
  farm test dist/*.whl              each on every Python that it claims
  farm test --py 3.13 dist/x-1.0-cp39-abi3-manylinux_2_28_aarch64.whl
"""


def smoke_test(
    wheels: Annotated[
        list[Path],
        typer.Argument(
            metavar="WHEEL",
            help="Wheels to test.",
            exists=True,
            dir_okay=False,
            show_default=False,
        ),
    ],
    *,
    py: options.Pythons = None,
    as_json: options.Json = False,
) -> int:
    """Smoke-test wheels that already exist.

    Installs and imports each in a clean container of its own architecture. Dependencies come
    from the package index, as wheels. Exit status 1 if a wheel fails.
    """
    from farm.engine.connection import connect
    from farm.report.console import Progress, make_console
    from farm.report.json import dump
    from farm.report.summary import show_checks
    from farm.runs.testing import test_wheels

    console = make_console()
    with connect() as client:
        progress = Progress(console)
        with progress.shown(tuple(path.name for path in wheels)):
            results = test_wheels(tuple(wheels), tuple(py or ()), client, progress)
    show_checks(console, results)
    if as_json:
        print_result(dump(results))
    return 0 if all(result.passed for result in results) else 1
