"""What the output of a tool that failed says of why, line by line."""

from __future__ import annotations

import re
import signal
from collections.abc import Callable

from farm.model.failures import Cause
from farm.steps.git_wanted import OWN, git_wanted
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
_PANIC = re.compile(r"thread '.*' .*panicked at (.*?):?$")
NOT_THERE = "code: 2, kind: NotFound"
"""What a build script says that could not run a program, or open a file: not which."""
_STDERR = "--- stderr"
_SAYS_WHY = re.compile(r"(?i:error|fatal)\b")
_NOTES = re.compile(r"note: |stack backtrace:|---")
_LINKING = "error: linking with "
_OF_LINKER = re.compile(
    r"(?:= note: )?(?:\S*(?:ld|lld|cc|zig)\S*: )?(?:fatal )?error: .+|.*undefined reference to .+"
)
_MACRO = re.compile(
    r"error: (?:proc-macro derive|custom attribute|proc macro|procedural macro) panicked"
)
_OF_MACRO = re.compile(r"= help: message: (.+)")
_MATURIN = "maturin failed"
_BY_CARGO = "Failed to build a native library through cargo"
_BY_METADATA = "Cargo metadata failed"
_BY_AUDIT = re.compile(r"Error ensuring \S+ compliance")
_TOML = "TOML parse error"
_CAUSE = re.compile(r"(?:Caused by|[Cc]ause): +(.*)")
_TRIED_AGAIN = "warning: spurious network error"
"""How cargo tells of a failure that it is not ended by."""
_NO_PROCESS = "Resource temporarily unavailable"
"""EAGAIN: what fork and clone give at the limit of a container's processes, pids.max."""
_UV = "\u2570\u2500\u25b6 "
"""What uv writes before its explanation, which goes on over indented lines."""

CRASHES = (
    *(signal.SIGSEGV, signal.SIGILL, signal.SIGBUS),
    *(signal.SIGABRT, signal.SIGTRAP, signal.SIGFPE),
)
_CRASHED = "|".join(str(int(number)) for number in CRASHES)
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


class Reasons:
    """A listener that hands each line on, and keeps those that say why a tool failed."""

    def __init__(self, then: Callable[[str], None]) -> None:
        self._then = then
        self._compiler = ""
        self._script = _Script()
        self._detail = ""
        self._maturin: list[str] | None = None
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
        self._hear_detail(plain, text)
        if text.startswith(_UV):
            self._uv = [text.removeprefix(_UV)]
        elif self._uv and plain.startswith(" "):
            self._uv.append(text)
        elif cause := _CAUSE.match(text):
            self._cause = cause[1]
            if self._maturin is not None:
                self._maturin.append(cause[1])
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

    def _hear_detail(self, plain: str, text: str) -> None:
        """Keep what says more of a failure than its first line."""
        if self._compiler.startswith(_SCRIPT_FAILED):
            self._script(plain, text)
        elif self._compiler.startswith(_LINKING):
            if _OF_LINKER.match(text) and missing(text) is None:
                self._detail = self._detail or text.removeprefix("= note: ")
        elif _MACRO.match(self._compiler) and (found := _OF_MACRO.match(text)):
            self._detail = self._detail or found[1]
        if text.endswith(_MATURIN):
            self._maturin = []

    @property
    def git(self) -> str:
        """What helps, where git or a repository was wanted; else empty."""
        if self.missing is not None and self.missing.git:
            return git_wanted(self.summary) or OWN
        return git_wanted(self.summary)

    @property
    def kind(self) -> Cause | None:
        """What failed, where that was neither a compiler nor for want of something."""
        first = self._maturin[0] if self._maturin else ""
        if first.startswith(_BY_METADATA):
            return Cause.USAGE
        if self._compiler.startswith(_SCRIPT_FAILED):
            return None if self._script.compiler else Cause.SCRIPT
        if self._compiler.startswith(_LINKING):
            return Cause.LINK
        if _MACRO.match(self._compiler):
            return Cause.MACRO
        if self._compiler or not first or first.startswith(_BY_CARGO):
            return None
        return Cause.AUDIT if _BY_AUDIT.match(first) else Cause.PACKAGING

    @property
    def summary(self) -> str:
        """The first compiler error, else what uv explains, else maturin's causes, else the last."""
        detail = self._script.said or self._detail
        compiler = f"{self._compiler}: {detail}" if detail else self._compiler
        told = compiler or " ".join(self._uv) or self._of_maturin or self._cause or self._last
        return f"{told}; is limits.pids too few?" if _NO_PROCESS in told else told

    @property
    def _of_maturin(self) -> str:
        causes = self._maturin or []
        if causes and causes[-1].startswith(_TOML):
            causes = [*causes, self._last]
        return ": ".join(causes)


class _Script:
    """What a failed build script, whose output cargo shows, says went wrong."""

    def __init__(self) -> None:
        self._panicked = ""
        self._panic = ""
        self._error = ""
        self._last = ""
        self._heard = False
        self.compiler = ""
        """The first error of a C compiler that it ran."""

    def __call__(self, plain: str, text: str) -> None:
        """Take one line."""
        if self._panicked and not self._panic:
            place = f" (at {self._panicked})" if NOT_THERE in text else ""
            self._panic = f"{text}{place}"
        elif self._panic.endswith(":"):
            self._panic += f" {text}"
        elif found := _C_COMPILER.match(text):
            self.compiler = self.compiler or found[1]
        elif panic := _PANIC.match(text):
            self._panicked = self._panicked or panic[1]
        elif self._heard and plain.startswith("  ") and not _NOTES.match(text):
            self._last = text
            if self._error.endswith(":"):
                self._error += f" {text}"
            elif not self._error and _SAYS_WHY.match(text):
                self._error = text
        self._heard = self._heard or text == _STDERR

    @property
    def said(self) -> str:
        """What it says, in one line; empty where it says nothing."""
        return self.compiler or self._panic or self._error or self._last


def _ends(line: str) -> str:
    """Return a line without its middle, where it is long."""
    if len(line) <= 2 * _MOST_READ:
        return line
    return f"{line[:_MOST_READ]} … {line[-_MOST_READ:]}"
