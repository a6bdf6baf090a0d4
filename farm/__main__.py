"""The command `farm`, and `python -m farm`: the process from its first moment to its last."""

from __future__ import annotations

import gc
import os
import signal
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from types import FrameType
from typing import NoReturn

from farm.model.interrupt import Interrupted

_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_INTERRUPTED = 130
"""ExitCode.INTERRUPTED, of which nothing is imported before signals are heeded."""
_FAULT = 70
"""ExitCode.FAULT: also where a bug of the farm's cost nothing that the command was for."""
_SOON = 0.05
"""Seconds after which Python has gone on from where an exception is of no use."""
_SHOW_CURSOR = b"\x1b[?25h"
"""The live table hides it."""
_YOUNG = 50_000
"""Objects after which Python looks for garbage. What imports make stays, and looking at it every
700 objects is a twentieth of a run that builds nothing."""


def run() -> NoReturn:
    """Run the command line, and exit with the farm's status.

    A closed terminal and a termination are interrupts: what runs on the engine is cleaned up.
    A second Ctrl-C ends the farm at once; the next run removes what that leaves.
    """
    gc.set_threshold(_YOUNG)
    _on_signals(_interrupt)
    sys.unraisablehook = _unraisable
    threading.excepthook = _broken_thread
    try:
        _leave(_status())
    except Interrupted:
        _write(b"interrupted\n")
        _leave(_INTERRUPTED)


def _status() -> int:
    """Run the command line; return what it exits with."""
    from farm.cli.main import app  # noqa: PLC0415  (takes a while: signals are heeded by now)

    try:
        app(prog_name="farm")
    except SystemExit as ended:
        status = ended.code if isinstance(ended.code, int) else 1
    else:
        status = 0
    faults = sys.modules.get("farm.host.faults")
    return _FAULT if faults and faults.happened() and status != _INTERRUPTED else status


def _leave(status: int) -> NoReturn:
    """End the process at once: all is done and told, and Python's own end takes 50 milliseconds.

    In these a signal would end it by other ways, with another status.
    """
    _on_signals(signal.SIG_IGN)
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, AttributeError):  # what could not be written was told; closed: None
            stream.flush()
    os._exit(status)


def _on_signals(then: Callable[[int, FrameType | None], None] | signal.Handlers) -> None:
    for number in _ENDING:
        if signal.getsignal(number) is not signal.SIG_IGN:  # as under nohup
            signal.signal(number, then)


def _interrupt(number: int, frame: FrameType | None) -> None:
    if _importing(frame):
        _later(number)
        return
    _on_signals(_end)
    for each in (signal.SIGTERM, signal.SIGHUP):  # a shell and the terminal may both send it
        signal.signal(each, signal.SIG_IGN)
    from farm.host.commands import terminate  # noqa: PLC0415

    terminate()
    raise Interrupted(number)


def _importing(frame: FrameType | None) -> bool:
    """Tell whether a module is being imported, which is over soon, and is not to be disturbed.

    Half a module may stay, and Python makes a RuntimeError of what is raised while a class is made
    (`type_new_set_names`, until 3.11).
    """
    while frame is not None:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            return True
        frame = frame.f_back
    return False


def _unraisable(lost: sys.UnraisableHookArgs) -> None:
    """Send the signal anew that came where Python drops an exception, as in what it frees."""
    if isinstance(lost.exc_value, Interrupted):
        (number,) = lost.exc_value.args
        signal.signal(number, _interrupt)
        _later(number)
    else:
        sys.__unraisablehook__(lost)


def _broken_thread(lost: threading.ExceptHookArgs) -> None:
    """Tell of a bug that ended a thread, such as the one that draws the table."""
    from farm.host.faults import fault  # noqa: PLC0415  (a bug is rare)

    if lost.exc_value is not None:
        name = lost.thread.name if lost.thread else "a thread"
        found = fault(lost.exc_value, f"the thread {name}")
        _write(f"error: {found.message}\n  {found.remedy}\n".encode())


def _later(number: int) -> None:
    threading.Timer(_SOON, os.kill, (os.getpid(), number)).start()


def _end(_number: int, _frame: FrameType | None) -> NoReturn:
    if os.isatty(2):
        _write(_SHOW_CURSOR)
    _write(b"interrupted again: what is left is removed by the next run\n")
    os._exit(_INTERRUPTED)


def _write(text: bytes) -> None:
    """Write to stderr, past Python's own streams."""
    with suppress(OSError):
        os.write(2, text)


if __name__ == "__main__":
    run()
