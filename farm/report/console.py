"""The console: one live table on a terminal, plain lines anywhere else. All on stderr."""

from __future__ import annotations

import os
import re
import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Literal

from rich.console import Console
from rich.live import Live
from rich.text import Text

from farm.host.faults import fault
from farm.model.errors import FarmError, SurroundingsError
from farm.model.events import Event, ImageProgress, JobLine, JobPhase, Note, Phase, Warned
from farm.report import github
from farm.report.excerpt import Excerpt, harmless, plain
from farm.report.table import FINAL, STYLES, Row, render
from farm.report.words import duration, short

_OF_PROGRAMS = (Phase.BUILD, Phase.CHECK)
"""The phases whose failures are told by the output of a program."""
_IMAGE = "image"
_IMAGE_LINE_SECONDS = 10.0
_GROUP_LINES = 2000
_COMMAND = re.compile(r"(\n\s*)::")
_REFRESHES_PER_SECOND = 4


def make_console(*, stderr: bool = True) -> Console:
    """Return the console for all prose: stderr, and only text where NO_COLOR is set.

    With `stderr=False` it is that of results for people, on stdout.
    """
    color: Literal["auto"] | None = None if os.environ.get("NO_COLOR") else "auto"
    return Console(stderr=stderr, highlight=False, color_system=color)


def say(console: Console, *lines: Text) -> None:
    """Print whole lines at once; a terminal breaks long ones, so that a path can be copied.

    The one door to the terminal: names of projects and files, and words of other programs, come
    out of it without characters that a terminal obeys. Where the terminal is gone nobody reads
    them, and the run has to end in order all the same. Raises SurroundingsError where they are
    results, on stdout, which can't be written to.
    """
    if lines:
        try:
            console.print(*map(_safe, lines), sep="\n", soft_wrap=True)
        except OSError as error:
            if not console.stderr:
                raise unwritable(error) from error


def unwritable(error: OSError) -> SurroundingsError:
    """Return what it means that writing to stdout ended in `error`."""
    return SurroundingsError(
        f"the results could not be printed: {error.strerror}",
        "Make room where standard output goes, or send it elsewhere.",
    )


def _safe(line: Text) -> Text:
    """Return `line` with its styles, each character one that is harmless.

    What has several lines keeps them, and none but the first may be a command to GitHub's runner.
    """
    safe = line.copy()
    safe.plain = _COMMAND.sub(r"\1.:", "\n".join(map(harmless, line.plain.split("\n"))))
    return safe


@dataclass(kw_only=True)
class _Job(Row):
    """A row with what its failure would be explained by."""

    excerpt: Excerpt = field(default_factory=Excerpt)
    log: deque[str] = field(default_factory=lambda: deque(maxlen=_GROUP_LINES))
    """Every line, where it will be shown as a group."""


class Progress:
    """A listener of events that shows them as they happen.

    `live` is whether there is a table; by default on a terminal that has colours and is not
    that of GitHub Actions, which gets groups and annotations.
    """

    def __init__(self, console: Console, *, live: bool | None = None) -> None:
        self._console = console
        self._github = github.active()
        self._live = self._can_be_live() if live is None else live
        self._asides: dict[str, Row] = {}
        """What is no job: the fetch before them, and images, which may be made beside them."""
        self._jobs: dict[str, _Job] = {}
        self._spoke: dict[str, float] = {}
        self._lock = threading.Lock()
        self._broken = False

    def _can_be_live(self) -> bool:
        console = self._console
        return (
            console.file.isatty()
            and console.color_system is not None
            and not console.is_dumb_terminal
            and not self._github
        )

    @contextmanager
    def shown(self, jobs: tuple[str, ...] = ()) -> Iterator[Progress]:
        """Show events until the end of the block; `jobs` get their rows at once."""
        for job in jobs:
            self._job(job)
        if not self._live:
            yield self
            return
        with Live(
            get_renderable=self._table,
            console=self._console,
            refresh_per_second=_REFRESHES_PER_SECOND,
            transient=True,
            redirect_stdout=False,
        ):
            yield self

    def __call__(self, event: Event) -> None:
        """Take one event, from any thread; a bug in here costs what is shown, and no job."""
        if self._broken:
            return
        try:
            with self._lock:
                lines = self._take(event)
            say(self._console, *lines)  # without the lock: the table is drawn under the console's
        except (FarmError, OSError):
            raise
        except Exception as error:  # noqa: BLE001 - a bug, whatever it is
            self._broken = True
            found = fault(error, "what shows the run, which goes on unseen")
            self._console.print(f"error: {found.message}\n  {found.remedy}", markup=False)

    def _take(self, event: Event) -> list[Text]:
        """Keep what the event says; return what is to be printed."""
        match event:
            case Note():
                return [Text(event.text)]
            case Warned():
                about = f"{event.job}: " if event.job else ""
                return [Text(f"warning: {about}{event.text}", style="yellow")]
            case ImageProgress():
                return self._image(event)
            case JobPhase():
                return self._phase(event)
            case JobLine():
                return self._line(event)

    def _image(self, event: ImageProgress) -> list[Text]:
        now = time.monotonic()
        row = self._asides.setdefault(event.image, Row(phase=_IMAGE, since=now))
        row.text = plain(event.text)
        if event.done:
            del self._asides[event.image]
            spent = duration(now - row.since)
            after = f" after {spent}" if now - row.since > 1 else ""
            style = STYLES[Phase.FAILED] if event.failed else "green"
            return [Text(f"image {event.image}: {row.text}{after}", style=style)]
        spoke = self._spoke.get(event.image)
        if self._live or (spoke is not None and now - spoke < _IMAGE_LINE_SECONDS):
            return []
        self._spoke[event.image] = now
        return [Text(f"image {event.image}: {row.text}")]

    def _phase(self, event: JobPhase) -> list[Text]:
        self._asides = {name: row for name, row in self._asides.items() if row.phase == _IMAGE}
        job, now = self._job(event.job), time.monotonic()
        if job.phase == Phase.WAITING:
            job.since = now
        before, job.phase = job.phase, event.phase
        job.detail = event.text if event.phase is Phase.CHECK else ""
        job.text = event.text if event.phase is Phase.FAILED else _origin(event).strip()
        if event.phase in FINAL:
            job.ended = now
            return self._ended(event, job, before)
        return [] if self._live else [Text(f"{event.job}: {job.label}")]

    def _ended(self, event: JobPhase, job: _Job, before: str) -> list[Text]:
        lines = [*github.group(event.job, job.log)] if self._github else []
        if event.phase is Phase.FAILED:
            lines += _failure(event, job, before)
            if self._github:
                lines.append(github.error(f"{event.job} failed at {before}", event.text))
        elif not self._live:
            lines.append(Text(_end(event, job), style=STYLES[event.phase]))
        job.log.clear()
        return lines

    def _line(self, event: JobLine) -> list[Text]:
        job = self._jobs.get(event.job)
        text = plain(event.line).strip()
        if job is None:
            new = event.job not in self._asides
            row = self._asides.setdefault(event.job, Row(phase="", since=time.monotonic()))
            row.text = text
            return [Text(f"{event.job}: {text}")] if new and not self._live else []
        job.excerpt(event.line)
        if self._github:
            job.log.append(event.line)
        if text and job.phase not in FINAL:
            job.text = text
        return []

    def _job(self, name: str) -> _Job:
        return self._jobs.setdefault(name, _Job(phase=Phase.WAITING, since=time.monotonic()))

    def _table(self) -> Text:
        with self._lock:
            return render(
                (*self._asides.items(), *self._jobs.items()),
                width=self._console.width,
                height=self._console.height - 1,
                now=time.monotonic(),
            )


def _end(event: JobPhase, job: _Job) -> str:
    """Return the line of a job that ended without a fault."""
    text = f"{event.job}: {event.phase}{_origin(event)}"
    if event.phase not in {Phase.CANCELLED, Phase.SKIPPED, Phase.CACHED} and job.ended is not None:
        text += f" in {duration(job.ended - job.since)}"
    return f"{text}: {short(event.text)}" if event.text else text


def _origin(event: JobPhase) -> str:
    """Return which run made a wheel that was found made."""
    return f" from run {event.run}" if event.run else ""


def _failure(event: JobPhase, job: _Job, before: str) -> list[Text]:
    """Return what a failed job's log says of the reason, the reason, and where the log is."""
    spoke = job.excerpt.lines if before in _OF_PROGRAMS else ()
    shown = [line for line in spoke if not line.endswith(f"failed: {event.text}")]
    known = any(plain(event.text) == line.strip() for line in shown)
    reason = "" if known else f": {event.text}"
    return [
        Text.assemble(f"{event.job}: ", (f"failed at {before}", "bold red"), reason),
        *(Text(f"    {github.inert(line)}") for line in shown),
        *([Text(f"  log: {short(event.log)}")] if event.log else []),
    ]
