"""What of a failed command's output says why it failed."""

from __future__ import annotations

import re
import unicodedata
from collections import deque

from rich.text import Text

MAX_LINES = 30
"""Of one compiler error, or of a traceback's end."""
TAIL_LINES = 12
"""Where neither a compiler nor Python spoke."""
_MOST_KEPT = 1000
_MAX_WIDTH = 400
"""A linker's error holds its whole command line."""

_COLOUR = re.compile(r"(\x1b\[[0-9;]*m)")
_UNCOLOURED = "\x1b[0m"
_OBEYED = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
"""Categories of characters that are not seen, and of halves of characters."""
_COMMAND = "$ "
"""How a log marks the next command."""
_ERROR = re.compile(r"error(?:\[E\d+\])?: ")
_TRACEBACK = "Traceback (most recent call last)"
_SUMMARIES = ("error: could not compile", "error: aborting due to")


def plain(line: str) -> str:
    """Return `line` without escape sequences, overwritten parts and control characters."""
    return _printable(_seen(line)).rstrip()


def coloured(line: str) -> str:
    """Return `line` as `plain` does, but in its colours."""
    parts = [p if _COLOUR.fullmatch(p) else _printable(p) for p in _COLOUR.split(_seen(line))]
    return "".join(parts).rstrip() + (_UNCOLOURED if len(parts) > 1 else "")


def _seen(line: str) -> str:
    """Return what of `line` is not overwritten from its start."""
    return line.rstrip("\r\n").rpartition("\r")[2]


def _printable(text: str) -> str:
    shown = Text.from_ansi(text.replace("\t", "    ")).plain
    return "".join(c for c in shown if c.isprintable())


def harmless(text: str) -> str:
    """Return `text`, in as many characters, without those that a terminal obeys.

    Line ends and tabs become spaces: a name may hold them, and what looks like the next line may
    be a command to GitHub's runner.
    """
    return "".join(map(_harmless, text)) if not text.isprintable() else text


def _harmless(character: str) -> str:
    if character in "\t\n":
        return " "
    return "\ufffd" if unicodedata.category(character) in _OBEYED else character


class Excerpt:
    """Takes a job's lines one by one; keeps the first compiler error, and the last lines."""

    def __init__(self) -> None:
        self._tail: deque[str] = deque(maxlen=MAX_LINES)
        self._error: list[str] = []
        self._open = False

    def __call__(self, line: str) -> None:
        """Take one line; a new command starts afresh."""
        text = plain(line)
        if text.startswith(_COMMAND):
            self._tail.clear()
            self._error, self._open = [], False
        self._tail.append(text)
        if self._open:
            self._continue(text)
        elif not self._error and _ERROR.match(text) and not text.startswith(_SUMMARIES):
            self._error, self._open = [text], True

    def _continue(self, text: str) -> None:
        """Take one line after an error's first; what follows a blank line may still be of it."""
        over = bool(text) and not self._error[-1] and not text.startswith((" ", "Caused by:"))
        self._open = not over and len(self._error) < _MOST_KEPT
        if self._open:
            self._error.append(text)

    @property
    def lines(self) -> tuple[str, ...]:
        """The compiler's first error, else the last traceback, else the last lines."""
        kept = [line[:_MAX_WIDTH] for line in self._error or self._end()]
        while kept and not kept[-1]:
            kept.pop()
        if len(kept) > MAX_LINES:
            kept[MAX_LINES // 3 : len(kept) - MAX_LINES * 2 // 3 + 1] = ["…"]
        return tuple(kept)

    def _end(self) -> list[str]:
        last = list(self._tail)
        starts = [i for i, line in enumerate(last) if line.lstrip().startswith(_TRACEBACK)]
        return last[starts[-1] :] if starts else last[-TAIL_LINES:]
