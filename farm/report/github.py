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
    lines = (Text(f"| {plain(line)}") for line in log)
    return (Text(f"::group::{job}: its log"), *lines, Text("::endgroup::"))


def error(title: str, message: str) -> Text:
    """Return the annotation of an error."""
    title = _escaped(title).replace(":", "%3A").replace(",", "%2C")
    return Text(f"::error title={title}::{_escaped(message)}")


def _escaped(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
