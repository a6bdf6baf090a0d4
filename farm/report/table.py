"""The live table: one line a row, never wider or higher than the terminal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from rich.text import Text

from farm.model.events import Phase
from farm.report.excerpt import harmless
from farm.report.words import clock

STYLES: dict[str, str] = {
    Phase.BUILT: "green",
    Phase.PASSED: "green",
    Phase.FAILED: "bold red",
    Phase.CACHED: "green",
    Phase.CANCELLED: "yellow",
    Phase.SKIPPED: "yellow",
    Phase.WAITING: "dim",
}
FINAL = frozenset(
    {Phase.BUILT, Phase.CACHED, Phase.PASSED, Phase.FAILED, Phase.CANCELLED, Phase.SKIPPED}
)

_UNDER_WAY = "cyan"
_PHASE_WIDTH, _CLOCK_WIDTH = 10, 5
_LEAST_NAME, _LEAST_TEXT = 8, 12
_SHOWN_FIRST = (
    Phase.FAILED,
    Phase.CANCELLED,
    Phase.WAITING,
    Phase.BUILT,
    Phase.PASSED,
    Phase.CACHED,
    Phase.SKIPPED,
)
"""Which rows are kept, after those under way, where there is no room for all."""


@dataclass(kw_only=True)
class Row:
    """What is known of a job, or of an image, by now."""

    phase: str
    """A job's Phase, or `image`."""
    detail: str = ""
    """What the phase is about: the interpreter of a check."""
    text: str = ""
    """The last line."""
    since: float
    """When it started, by the monotonic clock."""
    ended: float | None = None

    @property
    def label(self) -> str:
        """The phase with its detail."""
        return f"{self.phase} {self.detail}".rstrip()


def render(rows: Sequence[tuple[str, Row]], *, width: int, height: int, now: float) -> Text:
    """Return `rows`, each with its name, as at most `height` lines of at most `width` cells."""
    shown = _chosen(rows, height)
    names = max((len(name) for name, _ in shown), default=0)
    names = min(names, max(width - _PHASE_WIDTH - _CLOCK_WIDTH - 2, _LEAST_NAME))
    lines = [_line(name, row, names, width, now) for name, row in shown]
    if len(shown) < len(rows):
        lines.append(_rest(rows, shown, width))
    text = Text("\n").join(lines)
    text.no_wrap, text.overflow = True, "crop"
    return text


def _line(name: str, row: Row, names: int, width: int, now: float) -> Text:
    style = STYLES.get(row.phase, _UNDER_WAY)
    spent = (now if row.ended is None else row.ended) - row.since
    time = "" if row.phase == Phase.WAITING else clock(spent)
    line = Text.assemble(
        shorten(harmless(name), names).ljust(names),
        " ",
        (row.label.ljust(_PHASE_WIDTH), style),
        " ",
        time.rjust(_CLOCK_WIDTH),
    )
    if width - line.cell_len > _LEAST_TEXT:
        line.append(f" {harmless(row.text)}", style="dim")
    line.truncate(width, overflow="ellipsis")
    return line


def _chosen(rows: Sequence[tuple[str, Row]], height: int) -> Sequence[tuple[str, Row]]:
    """Return the rows that there is room for, in their order, those under way first."""
    if len(rows) <= height:
        return rows
    order: dict[str, int] = {phase: rank for rank, phase in enumerate(_SHOWN_FIRST, start=1)}
    ranked = sorted(range(len(rows)), key=lambda i: order.get(rows[i][1].phase, 0))
    return [rows[i] for i in sorted(ranked[: max(height - 1, 1)])]


def _rest(rows: Sequence[tuple[str, Row]], shown: Sequence[tuple[str, Row]], width: int) -> Text:
    counts = Counter(row.phase for _, row in rows) - Counter(row.phase for _, row in shown)
    told = ", ".join(f"{count} {phase}" for phase, count in counts.items())
    line = Text(f"and {told}", style="dim")
    line.truncate(width, overflow="ellipsis")
    return line


def shorten(name: str, width: int) -> str:
    """Return `name` in `width` characters; both its ends tell it from others, so they stay."""
    if len(name) <= width:
        return name
    tail = (width - 1) * 2 // 3
    return f"{name[: width - 1 - tail]}…{name[len(name) - tail :]}"
