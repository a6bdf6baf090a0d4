"""What GitHub Actions makes of a log's lines: groups that fold, and annotations."""

from __future__ import annotations

import os
from collections.abc import Iterable

from rich.text import Text

from farm.report.excerpt import plain


def active() -> bool:
    """Tell whether this is a job of GitHub Actions."""
    return os.environ.get("GITHUB_ACTIONS") == "true"


def group(job: str, log: Iterable[str]) -> tuple[Text, ...]:
    """Return a job's log as a group; no line of it begins as a command to the runner does."""
    lines = (Text(f"| {_unmarked(plain(line))}") for line in log)
    return (Text(f"::group::{job}: its log"), *lines, Text("::endgroup::"))


def inert(line: str) -> str:
    """Return `line` so that the runner takes it for no command.

    It looks for `::` where a line begins, after blanks, and for `##[` anywhere.
    """
    line = _unmarked(line)
    return f"| {line}" if line.lstrip().startswith("::") else line


def _unmarked(line: str) -> str:
    return line.replace("##[", "# #[")


def error(title: str, message: str) -> Text:
    """Return the annotation of an error."""
    title = _escaped(title).replace(":", "%3A").replace(",", "%2C")
    return Text(f"::error title={title}::{_escaped(message)}")


def _escaped(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
