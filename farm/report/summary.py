"""What is said at the end: the closing summary of a run, of checks, or an error."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator, Sequence

from rich.console import Console
from rich.text import Text

from farm.model.errors import FarmError
from farm.model.results import CheckResult, JobResult, Report, Status, WheelChecks
from farm.report import github
from farm.report.console import say
from farm.report.words import duration, plural, short, size

_STYLES = {
    Status.BUILT: "bold green",
    Status.CACHED: "bold green",
    Status.FAILED: "bold red",
    Status.CANCELLED: "bold yellow",
    Status.SKIPPED: "bold yellow",
}


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


def show_report(console: Console, report: Report, path: str) -> None:
    """Print the closing summary: what was built, what failed and why, and what to read."""
    for status in Status:
        results = [r for r in report.jobs if r.status is status]
        if results:
            say(console, Text(status, style=_STYLES[status]), *_results(results))
    say(console, *(Text(line, style="dim") for line in report.left_out))
    if not report.checked:
        say(console, Text("No wheel was smoke-tested: --no-smoke.", style="yellow"))
    say(console, Text(f"{_totals(report)}; report: {short(path)}"))


def _totals(report: Report) -> str:
    counts = ((sum(r.status is status for r in report.jobs), status) for status in Status)
    told = ", ".join(f"{count} {status}" for count, status in counts if count)
    return f"{plural(len(report.jobs), 'job')} in {duration(report.seconds)}: {told or 'none'}"


def _results(results: Sequence[JobResult]) -> Iterator[Text]:
    width = max(len(result.job) for result in results)
    for result in results:
        match result.status:
            case Status.BUILT | Status.CACHED:
                told = _row((f"{_size(result):>6}", f"{_spent(result):>11}", result.mode))
                checks = _checks(result.checks)
                yield Text.assemble(f"  {result.job:{width}}  ", (f"{told}  {checks}", "dim"))
            case Status.FAILED:
                yield Text(f"  {result.job}: failed at {result.phase}: {result.reason}")
                if result.wheel is not None:
                    yield Text(f"    wheel, kept to look at: {short(result.wheel.path)}")
                yield Text(f"    log: {short(result.log)}")
            case Status.CANCELLED | Status.SKIPPED:
                yield Text(f"  {result.job}")


def _row(cells: Iterable[str]) -> str:
    return "  ".join(cells)


def _size(result: JobResult) -> str:
    return size(result.wheel.size) if result.wheel else ""


def _spent(result: JobResult) -> str:
    return duration(sum(result.seconds.values()))


def _checks(checks: Sequence[CheckResult]) -> str:
    """Return on which interpreters a wheel passed, and on which it was excused and why."""
    passed = " ".join(c.interpreter for c in checks if c.passed)
    told = [f"passed on {passed}"] if passed else []
    told += [f"excused on {c.interpreter}: {c.reason}" for c in checks if c.excused]
    return "; ".join(told) or "not tested"


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
