"""What the engine is asked to make: an interrupt ends the wait for it, never the request.

An engine carries out what it was asked for, whether or not anybody waits for the answer. So who
cleans up after an interrupt has to wait for such a request, and then remove what it made.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, wait
from dataclasses import dataclass, field
from typing import Any, ParamSpec, TypeVar

_P = ParamSpec("_P")
_R = TypeVar("_R")


@dataclass
class Requests:
    """Requests to an engine, each on a thread of its own.

    An executor would do but for this: it counts a thread only once it has seen the thread start,
    and an interrupt in between leaves one at work that its `shutdown` does not wait for. Here a
    request is counted before it has a thread.
    """

    _asked: list[Future[Any]] = field(default_factory=list)
    _finished: bool = False

    def ask(self, request: Callable[_P, _R], *args: _P.args, **kwargs: _P.kwargs) -> _R:
        """Return what `request` returns, raise what it raises; it goes on when interrupted.

        Raises CancelledError, and asks for nothing, after `finish`.
        """
        asked: Future[_R] = Future()

        def carry_out() -> None:
            if not asked.set_running_or_notify_cancel():
                return
            try:
                asked.set_result(request(*args, **kwargs))
            except BaseException as error:  # noqa: BLE001 - whoever waits gets it
                asked.set_exception(error)

        self._asked.append(asked)
        if self._finished:
            asked.cancel()
        threading.Thread(target=carry_out).start()
        return asked.result()

    def finish(self) -> None:
        """Wait for what is under way; what has not begun by now never will."""
        self._finished = True
        wait([each for each in self._asked if not each.cancel()])
