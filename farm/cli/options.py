"""Options that several commands share, and the words of their help."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Project = Annotated[
    Path, typer.Argument(help="A maturin project's directory.", show_default="this directory")
]
Arches = Annotated[
    list[str] | None,
    typer.Option(
        "--arch",
        metavar="ARCH",
        help="x86_64, aarch64 (or amd64, arm64), native, all. May be repeated.",
    ),
]
Pythons = Annotated[
    list[str] | None,
    typer.Option(
        "--py",
        metavar="PYTHON",
        help="3.12, cp312, 3.14t, all. May be repeated. By default every interpreter that the "
        "project allows.",
    ),
]
Only = Annotated[
    list[str] | None,
    typer.Option(
        "--only", metavar="JOB", help="Just this job, by its id in farm plan. May be repeated."
    ),
]
Mode = Annotated[
    str | None,
    typer.Option(
        "--mode",
        metavar="MODE",
        help="How a foreign architecture is compiled: hybrid (natively, the default) or "
        "emulated (all of it under QEMU).",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON on stdout.")]
