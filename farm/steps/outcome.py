"""Why a process in a container failed, in one line for the user."""

from __future__ import annotations

import re

from farm.engine.containers import Ended, OnLine

_COLOUR = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
_ERROR = re.compile(r"^\s*(?:error(?:\[E\d+\])?|💥 .*?|× .*?|fatal error):? .*", re.IGNORECASE)
_CAUSE = re.compile(r"^Caused by:|^\s+Cause:")
_OF_CARGO = ("error: could not compile", "error: aborting due to")

_KILLED, _SEGFAULT = 137, 139


class Reasons:
    """A listener that hands each line on, and keeps those that say why a tool failed."""

    def __init__(self, then: OnLine) -> None:
        self._then = then
        self.errors: list[str] = []
        self.last = ""
        self._in_cause = False

    def __call__(self, line: str) -> None:
        """Take one line of output."""
        self._then(line)
        plain = _COLOUR.sub("", line).strip()
        if not plain:
            return
        self.last = plain
        if self._in_cause or (_ERROR.match(plain) and not plain.startswith(_OF_CARGO)):
            self.errors.append(plain)
        self._in_cause = bool(_CAUSE.match(plain))

    @property
    def summary(self) -> str:
        """The first compiler error, else the last cause that the tool gave, else its last line."""
        for error in self.errors:
            if error.lower().startswith(("error[", "error:", "fatal error")):
                return error
        return self.errors[-1] if self.errors else self.last


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
