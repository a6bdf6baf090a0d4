"""The console: one live table on a terminal, plain lines anywhere else. All on stderr."""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from farm.model.errors import FarmError
from farm.model.events import Event, ImageProgress, JobLine, JobPhase, Note, Phase, Warned
from farm.model.results import JobResult, Report, Status, WheelChecks

_STYLE = {
    Phase.BUILT: "green",
    Phase.FAILED: "bold red",
    Phase.CANCELLED: "yellow",
    Phase.WAITING: "dim",
}
_FINAL = {Phase.BUILT, Phase.FAILED, Phase.CANCELLED}
_TAIL_LINES = 25
_IMAGE_LINE_SECONDS = 10.0


def make_console() -> Console:
    """Return the console for all prose: stderr, without colour where NO_COLOR is set."""
    return Console(stderr=True, highlight=False, soft_wrap=not os.isatty(2))


@dataclass(kw_only=True)
class _Row:
    phase: str = Phase.WAITING
    text: str = ""
    since: float = field(default_factory=time.monotonic)
    seconds: float | None = None
    tail: deque[str] = field(default_factory=lambda: deque(maxlen=_TAIL_LINES))


class Progress:
    """A listener of events that shows them as they happen."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._rows: dict[str, _Row] = {}
        self._lock = threading.Lock()
        self._live: Live | None = None
        self._github = os.environ.get("GITHUB_ACTIONS") == "true"
        self._spoke: dict[str, float] = {}

    @contextmanager
    def shown(self, jobs: tuple[str, ...] = ()) -> Iterator[Progress]:
        """Show events until the end of the block; `jobs` get their rows at once."""
        self._rows = {job: _Row() for job in jobs}
        if not self._console.is_terminal or self._console.no_color:
            yield self
            return
        with Live(
            get_renderable=self._table, console=self._console, refresh_per_second=4, transient=True
        ) as self._live:
            yield self
        self._live = None

    def __call__(self, event: Event) -> None:
        """Take one event, from any thread."""
        with self._lock:
            match event:
                case Note():
                    self._print(event.text)
                case Warned():
                    prefix = f"{event.job}: " if event.job else ""
                    self._print(f"warning: {prefix}{event.text}", "yellow")
                case ImageProgress():
                    self._image(event)
                case JobPhase():
                    self._phase(event)
                case JobLine():
                    self._line(event)

    def _image(self, event: ImageProgress) -> None:
        row = self._rows.setdefault(event.image, _Row(phase="image"))
        row.text = event.text
        now = time.monotonic()
        if event.done:
            del self._rows[event.image]
            self._print(f"image {event.image}: {event.text}", "green")
        elif self._live is None and now - self._spoke.get(event.image, 0) > _IMAGE_LINE_SECONDS:
            self._spoke[event.image] = now
            self._print(f"image {event.image}: {event.text}")

    def _phase(self, event: JobPhase) -> None:
        row = self._rows.setdefault(event.job, _Row())
        if row.phase == Phase.WAITING:
            row.since = time.monotonic()
        row.phase, row.text = event.phase, event.text
        if event.phase in _FINAL:
            row.seconds = time.monotonic() - row.since
        if self._live is None or event.phase is Phase.FAILED:
            text = f" {event.text}" if event.text else ""
            self._print(f"{event.job}: {event.phase}{text}", _STYLE.get(event.phase, ""))
        if event.phase is Phase.FAILED:
            self._tail(event.job, row)

    def _tail(self, job: str, row: _Row) -> None:
        if self._github:
            self._print(f"::group::the end of the log of {job}")
        for line in row.tail:
            self._console.print(Text("  | " + line, style="dim"))
        if self._github:
            self._print("::endgroup::")

    def _line(self, event: JobLine) -> None:
        row = self._rows.get(event.job)
        if row is None:
            return
        row.tail.append(event.line)
        if row.phase not in _FINAL:
            row.text = event.line.strip()

    def _print(self, text: str, style: str = "") -> None:
        self._console.print(Text(text, style=style))

    def _table(self) -> Group | Table:
        table = Table.grid(padding=(0, 1))
        for column in ("job", "phase", "time"):
            table.add_column(column, no_wrap=True)
        table.add_column("last line", no_wrap=True, overflow="ellipsis", ratio=1)
        with self._lock:
            for name, row in self._rows.items():
                spent = row.seconds if row.seconds is not None else time.monotonic() - row.since
                waiting = row.phase == Phase.WAITING
                table.add_row(
                    Text(name),
                    Text(row.phase, style=_STYLE.get(Phase(row.phase), "cyan"))
                    if row.phase in set(Phase)
                    else Text(row.phase, style="cyan"),
                    Text("" if waiting else f"{spent:.0f} s", justify="right"),
                    Text(_plain(row.text), style="dim"),
                )
        return table


def _plain(text: str) -> str:
    return Text.from_ansi(text).plain


def show_error(console: Console, error: FarmError) -> None:
    """Print what failed, and what to do."""
    console.print(Text("error: ", style="bold red").append(Text(error.message, style="default")))
    if error.remedy:
        console.print(Text(f"  {error.remedy}"))


def show_report(console: Console, report: Report, path: str) -> None:
    """Print the closing table: what was built, what failed and why, and what to read."""
    for status in Status:
        results = [r for r in report.jobs if r.status is status]
        if results:
            console.print(Text(f"{status} ({len(results)})", style="bold"))
        for result in results:
            _show_result(console, result)
    for line in report.left_out:
        console.print(Text(line, style="dim"))
    if not report.checked:
        console.print(Text("no wheel was smoke-tested (--no-smoke)", style="yellow"))
    console.print(Text(f"{report.seconds:.0f} s; report: {path}", style="dim"))


def _show_result(console: Console, result: JobResult) -> None:
    if result.status is Status.BUILT and result.wheel is not None:
        spent = sum(result.seconds.values())
        checks = ", ".join(f"{c.interpreter}{_mark(c.passed)}" for c in result.checks)
        name = result.wheel.path.rpartition("/")[2]
        console.print(
            Text(f"  {name}  ").append(
                Text(f"{spent:.0f} s, {result.mode}; {checks or 'not checked'}", style="dim")
            )
        )
        return
    console.print(Text(f"  {result.job}: {result.phase} {result.reason}".rstrip()))
    if result.status is Status.FAILED:
        if result.wheel is not None:
            console.print(Text(f"    wheel: {result.wheel.path}"))
        console.print(Text(f"    log: {result.log}"))


def _mark(passed: bool) -> str:  # noqa: FBT001 - one word of a sentence
    return " ok" if passed else " excused"


def show_checks(console: Console, results: tuple[WheelChecks, ...]) -> None:
    """Print what came of the checks of each wheel."""
    for result in results:
        console.print(Text(result.wheel.rpartition("/")[2]))
        for done in result.checks:
            verdict = "ok" if done.passed else done.reason
            console.print(Text(f"  {done.interpreter}: {verdict} ({done.seconds:.1f} s)"))
        if not result.passed:
            console.print(Text(f"  log: {result.log}"))
