"""What `farm verify` says of a wheel."""

from __future__ import annotations

from rich.console import Console
from rich.text import Text

from farm.model.verdict import Difference, Verdict
from farm.report.console import say
from farm.report.words import short


def show_verdict(prose: Console, results: Console, verdict: Verdict, *, told: bool) -> None:
    """Print the verdict on `results`, if it is `told` there, and on `prose` what it is about."""
    if told:
        say(results, *verdict_lines(verdict))
    say(prose, Text(f"{verdict.job} of run {verdict.run}: sha256 {verdict.reported}", style="dim"))
    if verdict.identical:
        return
    if verdict.rebuilt == verdict.reported:
        say(prose, Text("What was built now is what the report names: the wheel is another one."))
    say(prose, Text(f"built now: {short(verdict.path)}"), Text(f"log: {short(verdict.log)}"))


def verdict_lines(verdict: Verdict) -> tuple[Text, ...]:
    """Return the verdict: `identical`, or what differs, a line each."""
    if verdict.identical:
        return (Text("identical", style="bold green"),)
    return (Text("differs", style="bold red"), *map(_line, verdict.differences))


def _line(difference: Difference) -> Text:
    what = f"{difference.member}: {difference.what}" if difference.member else difference.what
    return Text(f"  {what}: {difference.wheel}; built now: {difference.rebuilt}")
