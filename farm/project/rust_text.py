"""Rust source text with its comments and strings out of the way, for looking at build scripts."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

_PARTS = re.compile(
    r"""
    (?P<comment> //[^\n]* | /\*.*?\*/ )
  | (?P<raw> b?r(?P<hashes>\#*)" .*? "(?P=hashes) )
  | (?P<string> b?" (?: \\. | [^"\\] )* " )
  | (?P<char> b?' (?: \\[^']+ | \\' | [^'\\] ) ' )
    """,
    re.VERBOSE | re.DOTALL,
)
_CONDITION = re.compile(r"\bcfg(?:_attr)?!?\s*\(")


@dataclass(frozen=True, kw_only=True)
class RustText:
    """One source text in two forms of equal length."""

    code: str
    """Comments blanked."""
    bare: str
    """Comments and what is inside of strings blanked."""

    def conditions(self) -> Iterator[str]:
        """Yield what stands in the brackets of each `cfg(…)`, `cfg!(…)` and `cfg_attr(…)`."""
        for found in _CONDITION.finditer(self.bare):
            yield self.code[found.end() : _closing(self.bare, found.end()) - 1]


def read_rust(text: str) -> RustText:
    """Return `text` without comments; a block comment inside of another ends the outer one."""
    code, bare = [], []
    at = 0
    for found in _PARTS.finditer(text):
        code.append(text[at : found.start()])
        bare.append(text[at : found.start()])
        blank = " " * len(found[0])
        code.append(blank if found["comment"] else found[0])
        bare.append(blank if found["comment"] else f'"{blank[2:]}"')
        at = found.end()
    return RustText(code="".join((*code, text[at:])), bare="".join((*bare, text[at:])))


def _closing(text: str, at: int) -> int:
    depth = 1
    while at < len(text) and depth:
        depth += {"(": 1, ")": -1}.get(text[at], 0)
        at += 1
    return at
