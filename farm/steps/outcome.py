"""Why a process in a container failed, in one line for the user."""

from __future__ import annotations

import re

from farm.engine.containers import OnLine
from farm.model.errors import FarmError, JobError, SurroundingsError
from farm.model.failures import Ended

_COLOUR = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
_COMPILER = re.compile(r"(?:error(?:\[E\d+\])?|fatal error): ")
_SUMMARY_OF_CARGO = ("error: could not compile", "error: aborting due to")
_SCRIPT_FAILED = "error: failed to run custom build command"
_C_COMPILER = re.compile(r"(?:cargo:warning=)?(\S+:\d+:\d+: (?:fatal )?error: .+)")
_PANIC = re.compile(r"thread '.*' .*panicked at ")
_CAUSE = re.compile(r"(?:Caused by|Cause): +(.*)")
_NO_ROOM = "No space left on device"
_UV = "\u2570\u2500\u25b6 "
"""What uv writes before its explanation, which goes on over indented lines."""

_KILLED, _SEGFAULT = 137, 139


class Reasons:
    """A listener that hands each line on, and keeps those that say why a tool failed."""

    def __init__(self, then: OnLine) -> None:
        self._then = then
        self._compiler = ""
        self._script = ""
        self._panicked = False
        self._cause = ""
        self._uv: list[str] = []
        self._last = ""
        self.no_room = False

    def __call__(self, line: str) -> None:
        """Take one line of output."""
        self._then(line)
        plain = _COLOUR.sub("", line)
        text = plain.strip()
        if not text:
            return
        self._last = text
        self.no_room = self.no_room or _NO_ROOM in text
        if self._compiler.startswith(_SCRIPT_FAILED) and not self._script:
            self._hear_script(text)
        if text.startswith(_UV):
            self._uv = [text.removeprefix(_UV)]
        elif self._uv and plain.startswith(" "):
            self._uv.append(text)
        elif cause := _CAUSE.match(text):
            self._cause = cause[1]
        elif (
            not self._compiler and _COMPILER.match(text) and not text.startswith(_SUMMARY_OF_CARGO)
        ):
            self._compiler = text

    def _hear_script(self, text: str) -> None:
        """Keep what a failed build script, whose output cargo shows, first says went wrong."""
        if self._panicked:
            self._script = text
        elif found := _C_COMPILER.match(text):
            self._script = found[1]
        self._panicked = _PANIC.match(text) is not None

    @property
    def summary(self) -> str:
        """The first compiler error, else what uv explains, else the last cause, else line."""
        compiler = f"{self._compiler}: {self._script}" if self._script else self._compiler
        return compiler or " ".join(self._uv) or self._cause or self._last


def failure(ended: Ended, reasons: Reasons, *, deadline: float) -> FarmError:
    """Return the error that a process's failure is: the job's own, or that of a full disk."""
    if reasons.no_room:
        return SurroundingsError(
            f"the engine has no room left: {reasons.summary}",
            "Free room where the engine keeps its data (docker system df).",
        )
    return JobError(explain(ended, reasons, deadline=deadline))


def explain(ended: Ended, reasons: Reasons, *, deadline: float) -> str:
    """Return one line that says why a process failed; `deadline` is in seconds."""
    if ended.timed_out:
        return f"ended at its deadline of {deadline / 60:g} minutes"
    if ended.out_of_memory:
        return (
            "ran out of memory: give it more by limits.memory-gib, or less to do at once by "
            'environment = { CARGO_BUILD_JOBS = "1" }'
        )
    if ended.code == _SEGFAULT:
        return "crashed (SIGSEGV, status 139); under emulation that can be QEMU's own fault"
    if ended.code == _KILLED:
        return "was killed (SIGKILL, status 137), by hand or for want of memory"
    return reasons.summary or f"ended with status {ended.code}"
