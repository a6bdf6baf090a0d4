"""The farm's own commands, as they must be typed to go on from here."""

from __future__ import annotations

import shlex
import shutil
import sys
from pathlib import Path

from farm.report.words import short

_NAME = "farm"


def command(*words: str, project: Path | None = None) -> str:
    """Return the command line of `farm` with `words`, in the way the farm was called.

    `project` is named by --project, unless it is the current directory.
    """
    where = () if project is None or _here(project) else ("--project", short(str(project)))
    return shlex.join((*_program(), *words, *where))


def _program() -> tuple[str, ...]:
    """Return what this farm is called as: found on PATH, or by its path, or as a module."""
    called = Path(sys.argv[0])
    if called.name == "__main__.py":
        return (_shortest(sys.executable), "-m", _NAME)
    return (_shortest(sys.argv[0]) if called.name == _NAME else _NAME,)


def _shortest(program: str) -> str:
    name = Path(program).name
    return name if shutil.which(name) == program else short(program)


def _here(project: Path) -> bool:
    return project.resolve() == Path.cwd()
