"""Options that several commands share, and the words of their help."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Annotated

import typer

from farm.model.errors import FarmError

_ARCHES = ("x86_64", "aarch64", "native", "all")
_MODES = ("hybrid", "emulated")


def _arches() -> list[str]:
    return list(_ARCHES)


def _modes() -> list[str]:
    return list(_MODES)


def _pythons() -> list[str]:
    from farm.bases.debian import INTERPRETERS

    return [*(interpreter.version for interpreter in INTERPRETERS), "all"]


def _runs(ctx: typer.Context) -> list[str]:
    from farm.runs.directory import run_ids

    with suppress(FarmError):
        return list(run_ids(_project(ctx)))
    return []


def _jobs(ctx: typer.Context) -> list[str]:
    from farm.model.runs import FETCH

    return [name for name in _logs(ctx) if name != FETCH]


def _logs(ctx: typer.Context) -> list[str]:
    """Return what the run that the command names, or the last one, has or will have logs of."""
    from farm.runs.directory import find_run

    with suppress(FarmError):
        run = find_run(_project(ctx), ctx.params.get("run") or "")
        return list(dict.fromkeys((*(log.name for log in run.logs), *run.planned)))
    return []


def _project(ctx: typer.Context) -> Path:
    """Return the project's directory as far as the command line names it by now."""
    return Path(ctx.params.get("project") or "")


Project = Annotated[
    Path,
    typer.Argument(
        metavar="PROJECT",
        help="A maturin project's directory.",
        show_default="this directory",
    ),
]
ProjectOption = Annotated[
    Path,
    typer.Option(
        "--project",
        metavar="DIR",
        help="The project's directory; by default this one.",
        show_default=False,
    ),
]
RunId = Annotated[
    str,
    typer.Argument(
        metavar="RUN",
        autocompletion=_runs,
        help="A run's id in farm runs, or a part of it.",
        show_default="the last one",
    ),
]
RunOption = Annotated[
    str,
    typer.Option(
        "--run",
        metavar="RUN",
        autocompletion=_runs,
        help="A run's id in farm runs, or a part of it; by default the last one.",
        show_default=False,
    ),
]
RunOfWheel = Annotated[
    str,
    typer.Option(
        "--run",
        metavar="RUN",
        autocompletion=_runs,
        help="A run's id in farm runs, or a part of it; by default the newest that made the wheel.",
        show_default=False,
    ),
]
LogName = Annotated[
    str,
    typer.Argument(
        metavar="JOB",
        autocompletion=_logs,
        help="A job's id, or fetch.",
        show_default=False,
    ),
]
JobName = Annotated[
    str,
    typer.Argument(metavar="JOB", autocompletion=_jobs, help="A job's id, as farm plan has it."),
]
Jobs = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="JOB", autocompletion=_jobs, help="Just these jobs.", show_default=False
    ),
]
FailFast = Annotated[bool, typer.Option("--fail-fast", help="Stop at the first job that fails.")]
Keep = Annotated[
    bool,
    typer.Option(
        "--keep", help="Keep every job's volumes for farm shell, not only a failed one's."
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
        "project allows, or the wheel claims.",
    ),
]
Only = Annotated[
    list[str] | None,
    typer.Option(
        "--only",
        metavar="JOB",
        autocompletion=_jobs,
        help="Just this job, by its id in farm plan. May be repeated.",
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
