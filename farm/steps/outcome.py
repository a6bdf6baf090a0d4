"""Why a process in a container failed: its cause, and one line for the user."""

from __future__ import annotations

import signal
from collections.abc import Iterable
from dataclasses import dataclass

from farm.model.errors import FarmError, JobError, SurroundingsError
from farm.model.failures import Cause, Ended
from farm.steps.git_wanted import variable_wanted
from farm.steps.reasons import CRASHES, NOT_THERE, Reasons

_NO_PROGRAM = (
    "a program that it runs, or a file that it reads, is not there: "
    "builds have neither git nor .git, for one"
)


@dataclass(frozen=True, kw_only=True)
class Setting:
    """What a process's failure is judged by, besides what it did."""

    deadline: float
    """Seconds that it had."""
    emulated: bool = False
    """Programs in its container run, all or some, in QEMU."""
    network: bool = False
    """Its container has one."""
    ordinary: Cause = Cause.COMPILE
    """What its failure is, unless there are signs of another cause."""


def classify(ended: Ended, lines: Iterable[str], setting: Setting) -> Cause:
    """Return the cause of a process's failure by its end and its output. Never raises."""
    reasons = Reasons(lambda _: None)
    for line in lines:
        reasons(line)
    return _cause(ended, reasons, setting)


def _cause(ended: Ended, reasons: Reasons, setting: Setting) -> Cause:
    """What the engine knows comes first, then what only the source can be blamed for."""
    heard, ended_by = reasons.signs, _signal(ended)
    crashed = Cause.QEMU in heard or ended_by in CRASHES
    in_build = setting.ordinary is Cause.COMPILE
    ordered = (
        (Cause.DEADLINE, ended.timed_out),
        (Cause.MEMORY, ended.out_of_memory),
        (setting.ordinary, reasons.diagnosed),
        (Cause.ROOM, Cause.ROOM in heard),
        (Cause.MEMORY, Cause.MEMORY in heard or ended_by is signal.SIGKILL),
        (Cause.QEMU, setting.emulated and crashed),
        (Cause.NETWORK, setting.network and Cause.NETWORK in heard),
        (Cause.GIT, in_build and reasons.git != ""),
        (Cause.LIBRARY, in_build and reasons.missing is not None),
        (Cause.OFFLINE, in_build and Cause.NETWORK in heard),
    )
    ordinary = reasons.kind if in_build and reasons.kind else setting.ordinary
    return next((cause for cause, holds in ordered if holds), ordinary)


def _signal(ended: Ended) -> signal.Signals | None:
    """Return the signal that ended the process, by its status."""
    try:
        return signal.Signals(ended.code - 128)
    except ValueError:
        return None


def failure(ended: Ended, reasons: Reasons, setting: Setting) -> FarmError:
    """Return the error that a process's failure is: the job's own, or that of its surroundings."""
    cause = _cause(ended, reasons, setting)
    text = _explained(cause, ended, reasons, setting)
    if cause is Cause.ROOM:
        return SurroundingsError(
            text, "Free room where the engine keeps its data (docker system df).", cause=cause
        )
    if cause is Cause.NETWORK:
        return SurroundingsError(
            text, "Look at the network, the proxy and the CA bundle (farm doctor).", cause=cause
        )
    return JobError(text, cause=cause)


def _explained(cause: Cause, ended: Ended, reasons: Reasons, setting: Setting) -> str:
    """Return one line that says why a process failed."""
    match cause:
        case Cause.DEADLINE:
            text = f"ended at its deadline of {setting.deadline / 60:g} minutes"
        case Cause.MEMORY:
            text = _of_memory(ended, reasons)
        case Cause.QEMU:
            crash = reasons.signs.get(cause) or _end(ended)
            text = f"crashed under emulation, which can be QEMU's own fault: {crash}"
        case Cause.ROOM:
            text = f"the engine has no room left: {reasons.signs[cause]}"
        case Cause.NETWORK:
            text = f"the network failed: {reasons.signs[cause]}"
        case Cause.GIT | Cause.LIBRARY | Cause.OFFLINE:
            text = _of_want(cause, reasons)
        case _ if _signal(ended) in CRASHES:
            text = f"crashed: {_end(ended)}"
        case _:
            text = _of_itself(cause, reasons) or _end(ended)
    return text


def _of_want(cause: Cause, reasons: Reasons) -> str:
    """Return the reason of what failed for want of something that builds lack."""
    if cause is Cause.GIT:
        return f"{reasons.summary}; builds have neither git nor .git: {reasons.git}"
    if cause is Cause.LIBRARY:
        return f"{reasons.summary}; {reasons.missing}"
    return (
        f"the build tried the network ({reasons.signs[Cause.NETWORK]}), and builds have "
        "none: bring what it gets, or set network = true in [tool.farm]"
    )


def _of_itself(cause: Cause, reasons: Reasons) -> str:
    """Return the reason as tools told it, and what helps where that is known."""
    hint = variable_wanted(reasons.summary)
    if cause is Cause.SCRIPT and NOT_THERE in reasons.summary:
        hint = _NO_PROGRAM
    return "; ".join(filter(None, (reasons.summary, hint)))


def _of_memory(ended: Ended, reasons: Reasons) -> str:
    if ended.out_of_memory:
        return (
            "ran out of memory: give it more by limits.memory-gib, or less to do at once by "
            'environment = { CARGO_BUILD_JOBS = "1" }'
        )
    said = reasons.signs.get(Cause.MEMORY) or _end(ended)
    return f"was killed, or ran out of memory (limits.memory-gib): {said}"


def _end(ended: Ended) -> str:
    number = _signal(ended)
    return f"ended with status {ended.code}" + (f" ({number.name})" if number else "")
