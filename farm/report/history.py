"""What runs there were, and what logs one has: lines for people, values for JSON."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from farm.model.results import JobResult, Status
from farm.model.runs import Run, State
from farm.report.words import age, clock, size

_GAP = "  "
_NARROW = 70
"""Columns of a terminal that has no room for when a run started and how long it took."""
_LEAST_LAST = 16
_BROKEN_OFF = {State.RUNNING: "under way", State.UNFINISHED: "broken off"}


@dataclass(frozen=True, kw_only=True)
class Line:
    """What `farm runs` tells of a run."""

    run: str
    started: str
    """In ISO 8601."""
    ago: float
    """Seconds since then."""
    seconds: float | None
    """How long it took, or goes on by now; None where it isn't known."""
    state: State
    counts: Mapping[str, int]
    """How many jobs ended with each status; of a test of wheels, how many passed and failed."""
    open: tuple[str, ...]
    """What is under way, or was broken off: the names of logs."""
    fault: str


def line(run: Run, *, now: float) -> Line:
    """Return what is told of `run` at `now`, seconds since 1970."""
    seconds = now - run.started if run.state is State.RUNNING else None
    if run.checks:
        seconds = sum(check.seconds for wheel in run.checks for check in wheel.checks)
    return Line(
        run=run.id,
        started=datetime.fromtimestamp(run.started, UTC).isoformat(),
        ago=round(now - run.started),
        seconds=run.report.seconds if run.report else seconds,
        state=run.state,
        counts=_counts(run),
        open=run.open,
        fault=run.fault,
    )


def _counts(run: Run) -> dict[str, int]:
    if run.checks:
        failed = len(run.failed)
        counts = {"passed": len(run.checks) - failed, "failed": failed}
    else:
        counts = {s.value: sum(r.status is s for r in run.results) for s in Status}
    return {name: count for name, count in counts.items() if count}


def runs_text(lines: Sequence[Line], *, width: int | None) -> str:
    """Return a line for each run, folded to a terminal of `width` columns."""
    rows = [("RUN", "STARTED", "AGO", "TOOK", "RESULT"), *map(_row, lines)]
    if width is not None and width < _NARROW:
        rows = [(run, ago, result) for run, _, ago, _, result in rows]
    return _columns(rows, width)


def _row(told: Line) -> tuple[str, ...]:
    local = datetime.fromisoformat(told.started).astimezone()
    took = "" if told.seconds is None else clock(told.seconds)
    return (told.run, f"{local:%Y-%m-%d %H:%M}", age(told.ago), took, _result(told))


def _result(told: Line) -> str:
    counts = ", ".join(f"{count} {status}" for status, count in told.counts.items())
    if told.state is State.ENDED:
        return counts or "no job"
    names = told.open if len(told.open) == 1 else (str(len(told.open)),)
    rest = f"{names[0]} {_BROKEN_OFF[told.state]}" if told.open else told.fault
    return f"{told.state}: {'; '.join(filter(None, (counts, rest)))}".removesuffix(": ")


def logs_text(run: Run, *, width: int | None) -> str:
    """Return a line for each log of `run`, with its size and what became of the job."""
    results = {result.job: result for result in run.results}
    rows = [
        (log.name, size(log.size), _status(run, log.name, results.get(log.name)))
        for log in run.logs
    ]
    return _columns([("LOG", "SIZE", "STATUS"), *rows], width)


def _status(run: Run, name: str, result: JobResult | None) -> str:
    if result is not None:
        return f"{result.status} at {result.phase}" if result.phase else result.status
    if name in run.open:
        return _BROKEN_OFF[run.state]
    if run.checks:
        return "failed" if name in run.failed else "passed"
    return ""


def _columns(rows: Sequence[tuple[str, ...]], width: int | None) -> str:
    """Return `rows` in columns; the last column is folded where it has enough room for that."""
    widths = [max(map(len, column)) for column in list(zip(*rows, strict=True))[:-1]]
    margin = sum(widths) + len(_GAP) * len(widths)
    room = None if width is None or width - margin < _LEAST_LAST else width - margin
    return "\n".join(
        text for *cells, last in rows for text in _folded(cells, widths, last, room, " " * margin)
    )


def _folded(
    cells: Sequence[str], widths: Sequence[int], last: str, room: int | None, margin: str
) -> Iterator[str]:
    first, *others = (
        (last,) if room is None else textwrap.wrap(last, room, break_on_hyphens=False) or ("",)
    )
    start = _GAP.join(f"{cell:{width}}" for cell, width in zip(cells, widths, strict=True))
    yield f"{start}{_GAP}{first}".rstrip()
    yield from (margin + other for other in others)
