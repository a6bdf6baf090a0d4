"""An interrupt ends the wait for what the engine is asked to make, and the request goes on."""

from __future__ import annotations

import signal
import threading
from concurrent.futures import CancelledError

import pytest

from farm.engine.unbroken import Requests


def test_a_request_returns_what_it_was_asked_for_and_raises_its_error() -> None:
    requests = Requests()
    assert requests.ask(divmod, 7, 2) == (3, 1)
    with pytest.raises(ZeroDivisionError):
        requests.ask(divmod, 7, 0)
    requests.finish()


def test_nothing_is_asked_for_after_the_end() -> None:
    requests, asked = Requests(), threading.Event()
    requests.finish()
    with pytest.raises(CancelledError):
        requests.ask(asked.set)
    assert not asked.is_set()


@pytest.mark.parametrize("_attempt", range(20))
def test_what_was_under_way_when_ctrl_c_came_is_waited_for(_attempt: int) -> None:
    """The interrupt comes as early as can be: whoever asked still waits for the thread to start."""
    requests, may_end, made = Requests(), threading.Event(), threading.Event()
    main = threading.get_ident()

    def make() -> None:
        signal.pthread_kill(main, signal.SIGINT)
        may_end.wait(10)
        made.set()

    with pytest.raises(KeyboardInterrupt):
        requests.ask(make)
    threading.Timer(0.01, may_end.set).start()
    requests.finish()
    assert made.is_set()
