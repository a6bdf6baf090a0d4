"""Options that several commands share, and the words of their help."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

_ARCHES = ("x86_64", "aarch64", "native", "all")
_MODES = ("hybrid", "emulated")


def _arches() -> list[str]:
    return list(_ARCHES)


def _modes() -> list[str]:
    return list(_MODES)


def _pythons() -> list[str]:
    from farm.bases.debian import INTERPRETERS

    return [*(interpreter.version for interpreter in INTERPRETERS), "all"]


Project = Annotated[
    Path,
    typer.Argument(
        metavar="PROJECT",
        help="A maturin project's directory.",
        show_default="this directory",
    ),
]
Arches = Annotated[
    list[str] | None,
    typer.Option(
        "--arch",
        metavar="ARCH",
        autocompletion=_arches,
        help="x86_64, aarch64 (or amd64, arm64), native, all. May be repeated.",
    ),
]
Pythons = Annotated[
    list[str] | None,
    typer.Option(
        "--py",
        metavar="PYTHON",
        autocompletion=_pythons,
        help="3.12, cp312, 3.14t, all. May be repeated. By default every interpreter that the "
        "project allows.",
    ),
]
TestPythons = Annotated[
    list[str] | None,
    typer.Option(
        "--py",
        metavar="PYTHON",
        autocompletion=_pythons,
        help="3.12, cp312, 3.14t, all. May be repeated. By default every interpreter that the "
        "wheel claims.",
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
        autocompletion=_modes,
        help="How a foreign architecture is compiled: hybrid (natively, the default) or "
        "emulated (all of it under QEMU).",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON on stdout.")]
