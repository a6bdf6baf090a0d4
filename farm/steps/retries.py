"""Tries again what failed by no fault of the project: a few times, and later each time."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TypeVar

from tenacity import (
    RetryCallState,
    Retrying,
    retry_if_exception,
    sleep_using_event,
    stop_after_attempt,
    wait_random_exponential,
)

from farm.model.errors import FarmError
from farm.model.failures import Cause

ATTEMPTS = 3
"""How often anything is tried, the first time included."""

How = TypeVar("How")
Result = TypeVar("Result")

_OF_LOAD = wait_random_exponential(multiplier=1, max=5)
_OF_OTHERS = wait_random_exponential(multiplier=15, min=10, max=60)
"""An engine that starts again, or a network, takes a while."""


def wait(state: RetryCallState) -> float:
    """Return the seconds until the next attempt: more after each, and never the same."""
    return (_OF_LOAD if _failed(state).cause.of_load else _OF_OTHERS)(state)


def same_again(how: How, error: FarmError) -> How | None:
    """Return `how` if `error` may pass by itself; what has no compilers needs the same memory."""
    return how if error.cause.passing and error.cause is not Cause.MEMORY else None


def persist(
    act: Callable[[How], Result],
    how: How,
    *,
    stopping: threading.Event,
    say: Callable[[str], None],
    again: Callable[[How, FarmError], How | None] = same_again,
    wait: Callable[[RetryCallState], float] = wait,
) -> Result:
    """Return what `act(how)` returns, trying it up to `ATTEMPTS` times.

    After a FarmError `again` says how the next attempt is to be made, or None if the error is
    final; the last error is raised. `say` is told of each further attempt. No wait outlasts
    `stopping`; the attempt after it is for `act` to refuse.
    """
    current = how

    def worthwhile(error: BaseException) -> bool:
        return isinstance(error, FarmError) and again(current, error) is not None

    def get_ready(state: RetryCallState) -> None:
        nonlocal current
        error = _failed(state)
        current = again(current, error) or current
        say(
            f"attempt {state.attempt_number} of {ATTEMPTS} failed ({error.cause}: "
            f"{error.message}); trying again in {state.upcoming_sleep:.0f} s"
        )

    retrying = Retrying(
        retry=retry_if_exception(worthwhile),
        stop=stop_after_attempt(ATTEMPTS),
        wait=wait,
        sleep=sleep_using_event(stopping),
        before_sleep=get_ready,
        reraise=True,
    )
    return retrying(lambda: act(current))


def _failed(state: RetryCallState) -> FarmError:
    """Return the error of the attempt that has just ended."""
    error = state.outcome.exception() if state.outcome else None
    if not isinstance(error, FarmError):
        raise TypeError(error)
    return error
