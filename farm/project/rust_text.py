"""Rust source text with its comments and strings out of the way, for looking at build scripts."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

_PARTS = re.compile(
    r"""
    (?P<comment> //[^\n]* | /\*.*?(?:\*/|\Z) )
  | (?P<raw> b?r(?P<hashes>\#*)" .*? (?:"(?P=hashes)|\Z) )
  | (?P<string> b?" (?: \\. | [^"\\] )* (?:"|\Z) )
  | (?P<char> b?' (?: \\[^']+ | \\' | [^'\\] ) ' )
    """,
    re.VERBOSE | re.DOTALL,
)
_LONGEST = 1_000
"""Characters of a condition; what has more is none."""
_MOST = 1_000
"""Conditions that are looked at in one text."""
_CONDITION = re.compile(r"\bcfg(?:_attr)?!?\s*\(")


@dataclass(frozen=True, kw_only=True)
class RustText:
    """One source text in two forms of equal length."""

    code: str
    """Comments blanked."""
    bare: str
    """Comments and what is inside of strings blanked."""

    def conditions(self) -> Iterator[str]:
        """Yield what stands in the brackets of each `cfg(…)`, `cfg!(…)` and `cfg_attr(…)`.

        The first `_MOST` of them, each up to its closing bracket or `_LONGEST` characters.
        """
        for found in islice(_CONDITION.finditer(self.bare), _MOST):
            yield self.code[found.end() : _closing(self.bare, found.end()) - 1]


def read_rust(text: str) -> RustText:
    """Return `text` without comments; a block comment inside of another ends the outer one.

    What is opened and not closed goes on to the end: looking for the end of each again would take
    time by the square.
    """
    code, bare = [], []
    at = 0
    for found in _PARTS.finditer(text):
        code.append(text[at : found.start()])
        bare.append(text[at : found.start()])
        blank = " " * len(found[0])
        code.append(blank if found["comment"] else found[0])
        bare.append(blank if found["comment"] else f'"{blank[2:]}"'[: len(blank)])
        at = found.end()
    return RustText(code="".join((*code, text[at:])), bare="".join((*bare, text[at:])))


def _closing(text: str, at: int) -> int:
    depth = 1
    end = min(len(text), at + _LONGEST)
    while at < end and depth:
        depth += {"(": 1, ")": -1}.get(text[at], 0)
        at += 1
    return at
