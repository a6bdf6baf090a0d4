"""What is said at the end: the closing summary of a run, of checks, or an error."""

from __future__ import annotations

import shlex
import textwrap
from collections.abc import Iterator, Sequence
from pathlib import Path

from rich.console import Console
from rich.text import Text

from farm.model.errors import FarmError
from farm.model.results import JobResult, Report, Status, WheelChecks
from farm.model.runs import Run, State
from farm.report import github
from farm.report.commands import command
from farm.report.console import say
from farm.report.excerpt import plain
from farm.report.words import duration, plural, short, size

_STYLES = {
    Status.BUILT: "bold green",
    Status.CACHED: "bold green",
    Status.FAILED: "bold red",
    Status.CANCELLED: "bold yellow",
    Status.SKIPPED: "bold yellow",
}
_LEAST_FOLDED = 20


def show_error(console: Console, error: FarmError) -> None:
    """Print what failed, and what to do."""
    say(console, Text.assemble(("error: ", "bold red"), error.message))
    if error.remedy:
        say(console, Text(f"  {error.remedy}"))
    if github.active():
        say(console, github.error("farm", f"{error.message}\n{error.remedy}".strip()))


def show_entrance(
    console: Console, job: str, commands: Sequence[Sequence[str]], directory: str
) -> None:
    """Print where a shell opens, and the commands that are in its history."""
    say(
        console,
        Text.assemble(("in ", "dim"), job, (f", {directory}; in the history:", "dim")),
        *(Text(f"  {shlex.join(argv)}") for argv in commands),
    )


def show_report(
    console: Console, report: Report, path: str, *, project: Path | None = None
) -> None:
    """Print the closing summary: what was built, what failed and why, and what to read.

    `project` is the directory in which one goes on with what failed; None where that isn't told,
    since the run is not the last one.
    """
    width = _width(console)
    say(console, *_groups(report.jobs, width, project))
    say(console, *(Text(line, style="dim") for line in report.left_out))
    if not report.checked:
        say(console, Text("No wheel was smoke-tested: --no-smoke.", style="yellow"))
    if report.error:
        say(console, *_fold(f"No job started: {plain(report.error)}", width))
    told = f"{plural(len(report.jobs), 'job')} in {duration(report.seconds)}"
    say(console, *_fold(f"{told}: {counts(report.jobs) or 'none'}", width))
    say(console, Text(f"report: {short(path)}"))


def show_unfinished(console: Console, run: Run, *, project: Path | None = None) -> None:
    """Print what is known of a run that goes on, or that ended without a report."""
    width, goes_on = _width(console), run.state is State.RUNNING
    say(console, *_groups(run.results, width, None if goes_on else project))
    if run.open:
        say(console, Text("under way" if goes_on else "broken off", style="bold yellow"))
        say(console, *(Text(f"  {name}") for name in run.open))
    ended = counts(run.results) or "no job had ended"
    say(console, *_fold(f"run {run.id} is {run.state}: {ended}", width))


def counts(results: Sequence[JobResult]) -> str:
    """Return how many jobs ended with each status: `9 built, 1 failed`."""
    told = ((sum(r.status is status for r in results), status) for status in Status)
    return ", ".join(f"{count} {status}" for count, status in told if count)


def _width(console: Console) -> int | None:
    """Return to how many columns lines are folded: where nobody looks, to none."""
    return console.width if console.is_terminal else None


def _groups(
    results: Sequence[JobResult], width: int | None, project: Path | None
) -> Iterator[Text]:
    """Return the lines of `results`, one group a status."""
    for status in Status:
        group = [result for result in results if result.status is status]
        if not group:
            continue
        yield Text(status, style=_STYLES[status])
        match status:
            case Status.BUILT | Status.CACHED:
                yield from _wheels(group, width)
            case Status.FAILED:
                for result in group:
                    yield from _failed(result, width, project)
                if project is not None:
                    yield Text(f"  run what failed again: {command('retry', project=project)}")
            case Status.CANCELLED | Status.SKIPPED:
                for result in group:
                    why = f": {result.reason}" if result.reason else ""
                    yield from _fold(f"  {result.job}{why}", width)


def _wheels(results: Sequence[JobResult], width: int | None) -> Iterator[Text]:
    """Return a line for each wheel, of as many parts as fit for all; the others go below."""
    names = max(len(result.job) for result in results)
    times = max(len(_time(result)) for result in results)
    parts = [
        (f"  {result.job:{names}}", _facts(result, times), _origin(result)) for result in results
    ]
    beside = sum(length <= (width or length) for length in _lengths(parts))
    for result, (name, *told) in zip(results, parts, strict=True):
        line = Text.assemble(name, ("".join(f"  {part}" for part in told[:beside]), "dim"))
        line.rstrip()
        yield line
        for part in (*told[beside:], *_excuses(result)):
            yield from _fold(f"    {part}", width, style="dim")


def _lengths(rows: Sequence[tuple[str, str, str]]) -> list[int]:
    """Return how long lines become with the second part, and with the third one too."""
    return [max(len("  ".join(row[:count])) for row in rows) for count in (2, 3)]


def _facts(result: JobResult, width: int) -> str:
    """Return size, time in `width` columns, and mode."""
    bytes_ = size(result.wheel.size) if result.wheel else ""
    return f"{bytes_:>6}  {_time(result):>{width}}  {result.mode:8}"


def _time(result: JobResult) -> str:
    return "" if result.status is Status.CACHED else duration(sum(result.seconds.values()))


def _origin(result: JobResult) -> str:
    """Return on which interpreters a wheel passed, and which run made it if it wasn't this one."""
    passed = " ".join(c.interpreter for c in result.checks if c.passed)
    told = f"passed on {passed}" if passed else "not tested"
    return f"{told}; from run {result.run}" if result.status is Status.CACHED else told


def _excuses(result: JobResult) -> list[str]:
    return [f"excused on {c.interpreter}: {plain(c.reason)}" for c in result.checks if c.excused]


def _failed(result: JobResult, width: int | None, project: Path | None) -> Iterator[Text]:
    """Return why a job failed, where to read it, and how to look into it."""
    tries = f" after {result.attempts} attempts" if result.attempts > 1 else ""
    cause = f" ({result.cause})" if result.cause else ""
    where = f"  {result.job}: failed at {result.phase}{tries}{cause}"
    yield from _fold(f"{where}: {plain(result.reason)}", width)
    if result.wheel is not None:
        yield Text(f"    wheel, kept to look at: {short(result.wheel.path)}")
    if result.log:
        yield Text(f"    log: {short(result.log)}")
    if project is not None:
        yield Text(f"    enter it: {command('shell', result.job, project=project)}")


def _fold(text: str, width: int | None, *, style: str = "") -> list[Text]:
    """Return `text` in lines of at most `width` columns, but for what has no space in it.

    Lines after the first are set in, further than that one.
    """
    start = text[: len(text) - len(text.lstrip())]
    lines = (
        [text]
        if width is None
        else textwrap.wrap(
            text,
            max(width, len(start) + _LEAST_FOLDED),
            subsequent_indent=f"{start}  ",
            break_long_words=False,
            break_on_hyphens=False,
        )
    )
    return [Text(line, style=style) for line in lines]


def show_checks(console: Console, results: Sequence[WheelChecks]) -> None:
    """Print what came of the checks of each wheel."""
    for result in results:
        style = "green" if result.passed else "bold red"
        say(console, Text(result.wheel.rpartition("/")[2], style=style))
        for done in result.checks:
            verdict = "passed" if done.passed else done.reason
            say(console, Text(f"  {done.interpreter}: {verdict} ({duration(done.seconds)})"))
        if not result.passed:
            say(console, Text(f"  log: {short(result.log)}"))
    failed = sum(not result.passed for result in results)
    told = f"{failed} failed" if failed else "every one passed"
    say(console, Text(f"{plural(len(results), 'wheel')}: {told}"))
