"""Faults of the farm itself: told in one line, with the traceback in a file to report.

An exception that no part of the farm expects costs what it came in, and the process's status is
ExitCode.FAULT in the end, whatever else came of it. It is never shown as a traceback.
"""

from __future__ import annotations

import os
import sys
import traceback
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from tempfile import mkstemp

from platformdirs import user_state_path

import farm
from farm.model.errors import FaultError
from farm.model.secrets import redactor

DIRECTORY = "FARM_FAULTS"
"""The variable that names where faults are written down instead of where they came up."""

_happened: list[FaultError] = []
"""Of this process: what it ends with depends on them."""


def happened() -> bool:
    """Tell whether this process had a fault."""
    return bool(_happened)


def forget() -> None:
    """Have this process end as if it had had no fault: a test that made one is not to fail."""
    _happened.clear()


def fault(error: BaseException, during: str, directory: Path | None = None) -> FaultError:
    """Write down the traceback of `error`, and return the error that tells people of it.

    `during` is what it came in, such as `the job cp311-…`; `directory` where to write, such as the
    run's, else the user's state. Nothing raises here: where the file can't be written, that is
    told with the last line of the traceback.
    """
    if isinstance(error, FaultError):
        return error
    hide = redactor(os.environ)
    last = hide(traceback.format_exception_only(error)[-1].strip())
    text = hide("".join((*_circumstances(during), *traceback.format_exception(error))))
    try:
        told = f"The traceback is in {_write(text, directory)}: please report it, with that file."
    except OSError as unwritten:
        told = f"The traceback could not be written down ({unwritten.strerror}); it ends with that."
    found = FaultError(
        f"a fault of the farm in {during}: {last}", f"Your project is not to blame. {told}"
    )
    _happened.append(found)
    return found


def _circumstances(during: str) -> tuple[str, ...]:
    import platform  # noqa: PLC0415  (a bug is rare, and every run imports this)

    return (
        f"farm {farm.__version__}, Python {platform.python_version()}, {platform.platform()}\n",
        f"in {during} of: {' '.join(['farm', *sys.argv[1:]])}\n\n",
    )


def _write(text: str, directory: Path | None) -> Path:
    named = os.environ.get(DIRECTORY)
    places = [Path(named)] if named else [*filter(None, [directory]), user_state_path("farm")]
    for place in places[:-1]:
        with suppress(OSError):
            return _write_in(text, place)
    return _write_in(text, places[-1])


def _write_in(text: str, directory: Path) -> Path:
    directory.mkdir(parents=True, exist_ok=True)
    handle, name = mkstemp(
        prefix=f"fault-{datetime.now(UTC):%Y%m%d-%H%M%S}-", suffix=".txt", dir=directory
    )
    with os.fdopen(handle, "w", encoding="utf-8", errors="backslashreplace") as file:
        file.write(text)
    return Path(name)
