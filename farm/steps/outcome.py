"""Why a process in a container failed: its cause, and one line for the user."""

from __future__ import annotations

import re
import signal
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from farm.model.errors import FarmError, JobError, SurroundingsError
from farm.model.failures import Cause, Ended
from farm.steps.missing import Missing, missing

_MOST_READ = 1000
"""Characters read of each end of a line: what says why is at its start, or after a command
line. So a line of any length takes bounded time."""
_COLOUR = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
_COMPILER = re.compile(r"(?:error(?:\[E\d+\])?|fatal error): ")
_DIAGNOSED = re.compile(r"error\[E\d+\]: ")
_SOURCE = re.compile(r"\d* *\| ")
"""How compilers quote source code, which may say anything."""
_SUMMARY_OF_CARGO = ("error: could not compile", "error: aborting due to")
_SCRIPT_FAILED = "error: failed to run custom build command"
_C_COMPILER = re.compile(r"(?:cargo:warning=)?(\S+:\d+:\d+: (?:fatal )?error: .+)")
_PANIC = re.compile(r"thread '.*' .*panicked at ")
_CAUSE = re.compile(r"(?:Caused by|[Cc]ause): +(.*)")
_TRIED_AGAIN = "warning: spurious network error"
"""How cargo tells of a failure that it is not ended by."""
_NO_PROCESS = "Resource temporarily unavailable"
"""EAGAIN: what fork and clone give at the limit of a container's processes, pids.max."""
_UV = "\u2570\u2500\u25b6 "
"""What uv writes before its explanation, which goes on over indented lines."""

_CRASHES = (
    *(signal.SIGSEGV, signal.SIGILL, signal.SIGBUS),
    *(signal.SIGABRT, signal.SIGTRAP, signal.SIGFPE),
)
_CRASHED = "|".join(str(int(number)) for number in _CRASHES)
_SIGNS = {
    Cause.ROOM: re.compile(r"No space left on device|Disk quota exceeded"),
    Cause.MEMORY: re.compile(
        r"\bsignal: 9(?:, | \()SIGKILL"  # cargo, of a compiler or a script; maturin, of cargo
        r"|Killed signal terminated program|terminated with signal 9 "  # gcc, collect2
        r"|unable to execute command: Killed"  # clang
        r"|: out of memory allocating|virtual memory exhausted|memory exhausted$"  # gcc, ld
        r"|LLVM ERROR: out of memory|error: OutOfMemory"  # rustc and clang, zig
        r"|memory allocation of \d+ bytes failed|std::bad_alloc"  # Rust, C++
        r"|Cannot allocate memory"
        r"|qemu\S*: Unable to (?:allocate|reserve)|Could not allocate dynamic translator buffer"
    ),
    Cause.QEMU: re.compile(
        r"uncaught target signal|QEMU internal SIG|qemu\S*: .*[Aa]ssert"
        rf"|\bsignal: (?:{_CRASHED})(?:, | \()SIG"  # cargo; maturin
        r"|rustc interrupted by SIG"
        rf"|terminated with signal (?:{_CRASHED}) "  # collect2
        r"|(?:Segmentation fault|Illegal instruction|Bus error|Trace/breakpoint trap)"
        r"(?: signal terminated| +\(core dumped\)|$)"  # gcc, clang and shells
    ),
    Cause.NETWORK: re.compile(
        r"(?i)could(?:n't| not) resolve host|failed to lookup address|dns error"
        r"|temporary failure in name resolution|name or service not known"
        r"|network is unreachable|no route to host|connection (?:refused|reset|timed out)"
        r"|error sending request for url|failed to connect to|operation timed out"
        r"|ssl (?:certificate|error)|failed to resolve address|^\[\d{1,2}\] [a-z]"  # curl's codes
        r"|HTTP response from .* got (?:429|5\d\d)"
    ),
}
"""What tools say of causes that are not the project's own."""


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


class Reasons:
    """A listener that hands each line on, and keeps those that say why a tool failed."""

    def __init__(self, then: Callable[[str], None]) -> None:
        self._then = then
        self._compiler = ""
        self._script = ""
        self._panicked = False
        self._cause = ""
        self._uv: list[str] = []
        self._last = ""
        self.signs: dict[Cause, str] = {}
        """The first line that each cause was told by."""
        self.diagnosed = False
        """The Rust compiler found the source wrong."""
        self.missing: Missing | None = None
        """The last thing of the system that was not found: what came before may have been a try."""

    def __call__(self, line: str) -> None:
        """Take one line of output."""
        self._then(line)
        plain = _COLOUR.sub("", _ends(line))
        text = plain.strip()
        if not text:
            return
        self._last = text
        self._hear_signs(text)
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

    def _hear_signs(self, text: str) -> None:
        if _SOURCE.match(text) or text.startswith(_TRIED_AGAIN):
            return
        self.diagnosed = self.diagnosed or _DIAGNOSED.match(text) is not None
        self.missing = missing(text) or self.missing
        for cause, pattern in _SIGNS.items():
            if cause not in self.signs and pattern.search(text):
                self.signs[cause] = text

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
        told = compiler or " ".join(self._uv) or self._cause or self._last
        return f"{told}; is limits.pids too few?" if _NO_PROCESS in told else told


def _ends(line: str) -> str:
    """Return a line without its middle, where it is long."""
    if len(line) <= 2 * _MOST_READ:
        return line
    return f"{line[:_MOST_READ]} … {line[-_MOST_READ:]}"


def classify(ended: Ended, lines: Iterable[str], setting: Setting) -> Cause:
    """Return the cause of a process's failure by its end and its output. Never raises."""
    reasons = Reasons(lambda _: None)
    for line in lines:
        reasons(line)
    return _cause(ended, reasons, setting)


def _cause(ended: Ended, reasons: Reasons, setting: Setting) -> Cause:
    """What the engine knows comes first, then what only the source can be blamed for."""
    heard, ended_by = reasons.signs, _signal(ended)
    crashed = Cause.QEMU in heard or ended_by in _CRASHES
    in_build = setting.ordinary is Cause.COMPILE
    ordered = (
        (Cause.DEADLINE, ended.timed_out),
        (Cause.MEMORY, ended.out_of_memory),
        (setting.ordinary, reasons.diagnosed),
        (Cause.ROOM, Cause.ROOM in heard),
        (Cause.MEMORY, Cause.MEMORY in heard or ended_by is signal.SIGKILL),
        (Cause.QEMU, setting.emulated and crashed),
        (Cause.NETWORK, setting.network and Cause.NETWORK in heard),
        (Cause.LIBRARY, in_build and reasons.missing is not None),
        (Cause.OFFLINE, in_build and Cause.NETWORK in heard),
    )
    return next((cause for cause, holds in ordered if holds), setting.ordinary)


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
        case Cause.LIBRARY:
            text = f"{reasons.summary}; {reasons.missing}"
        case Cause.OFFLINE:
            text = (
                f"the build tried the network ({reasons.signs[Cause.NETWORK]}), and builds have "
                "none: bring what it gets, or set network = true in [tool.farm]"
            )
        case _ if _signal(ended) in _CRASHES:
            text = f"crashed: {_end(ended)}"
        case _:
            text = reasons.summary or _end(ended)
    return text


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
