"""The one door to the programs of this machine: argv in, what came of it out."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass

from farm.model.errors import SurroundingsError

_NOT_FOUND = 127


@dataclass(frozen=True, kw_only=True)
class Ended:
    """How a program ended."""

    code: int
    """Exit status; 127 when there is no such program."""
    out: str
    error: str


def terminate() -> None:
    """Ask every program that was started from here to end, and whatever those started."""
    import psutil  # noqa: PLC0415  (only an interrupted farm needs it)

    for program in psutil.Process().children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            program.terminate()


def interact(argv: tuple[str, ...]) -> int:
    """Run `argv` on this process's own terminal or streams; return its exit status."""
    return subprocess.run(argv, check=False).returncode


def run(
    argv: tuple[str, ...], *, deadline: float, environment: Mapping[str, str] | None = None
) -> Ended:
    """Run `argv` for at most `deadline` seconds; `environment` is added to this process's own.

    Its language is C's, so that what it says can be read. Raises SurroundingsError at the
    deadline.
    """
    env = os.environ | {"LC_ALL": "C.UTF-8", "LANGUAGE": "C"} | dict(environment or {})
    try:
        done = subprocess.run(
            argv,
            env=env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=deadline,
            check=False,
        )
    except (FileNotFoundError, PermissionError) as error:
        return Ended(code=_NOT_FOUND, out="", error=f"{argv[0]}: {error.strerror}")
    except subprocess.TimeoutExpired:
        raise SurroundingsError(
            f"`{' '.join(argv)}` did not end within {deadline:.0f} s",
            "Run it by hand to see what it waits for.",
        ) from None
    return Ended(code=done.returncode, out=done.stdout, error=done.stderr)
