"""A run's own directory on this machine: `.farm/runs/<run>` below the project."""

from __future__ import annotations

import os
import secrets
from datetime import UTC, datetime
from pathlib import Path

from pydantic import TypeAdapter

from farm.model.errors import SurroundingsError
from farm.model.results import Report

_REPORT = TypeAdapter(Report)


def new_run(project: Path) -> tuple[str, Path]:
    """Make the directory of a new run below `project`; return the run's id and the directory.

    Raises SurroundingsError when it can't be made.
    """
    run = f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"
    top = project / ".farm"
    directory = top / "runs" / run
    try:
        directory.mkdir(parents=True)
        ignore = top / ".gitignore"
        if not ignore.exists():
            ignore.write_text("*\n", encoding="utf-8")
        latest = top / "runs" / "latest"
        if latest.is_symlink() or not latest.exists():  # in a copied project it is a directory
            latest.unlink(missing_ok=True)
            latest.symlink_to(run)
    except OSError as error:
        raise SurroundingsError(
            f"the run's logs can't be written to {directory}: {error.strerror}",
            "Make the project's directory writable.",
        ) from error
    return run, directory


def write_report(report: Report, directory: Path) -> Path:
    """Write `report.json` into the run's directory, whole or not at all; return its path."""
    path = directory / "report.json"
    unfinished = path.with_suffix(f".{os.getpid()}.part")
    unfinished.write_bytes(_REPORT.dump_json(report, indent=2) + b"\n")
    unfinished.replace(path)
    return path
