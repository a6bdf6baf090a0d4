"""Which CPythons each PyO3 builds for, as data.

Sources: `SUPPORTED_VERSIONS_CPYTHON` in the build scripts of pyo3-ffi 0.20.3 to 0.30.1 on
crates.io. Those from 0.16 to 0.20.2 check a minimum only; what is highest for them, and all of
0.15 and older, is from PyO3's change log. Free-threaded CPython: since 0.23, from 3.13t, and from
3.14t since 0.29 (`MIN_FREE_THREADED_VERSION`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from packaging.version import Version

from farm.model.targets import Interpreter

_BRINGS_NO_CRATE = re.compile(
    r"pyo3(-ffi)?/(auto-initialize|extension-module|abi3t?(-py3\d+)?)"  # [features] of both
)


@dataclass(frozen=True, kw_only=True)
class Supported:
    """The CPythons of one range of PyO3 versions, as minor versions of Python 3."""

    since: Version
    lowest: int
    highest: int
    accepted: int | None
    """The highest that the build script lets through; None where it checks none."""
    threaded: int | None = None
    """The lowest free-threaded one, or None where there is none."""


def _row(
    since: str, lowest: int, highest: int, *, accepted: int | None, threaded: int | None = None
) -> Supported:
    return Supported(
        since=Version(since),
        lowest=lowest,
        highest=highest,
        accepted=accepted,
        threaded=threaded,
    )


TABLE = (
    _row("0", 6, 9, accepted=None),
    _row("0.15", 6, 10, accepted=None),
    _row("0.16", 7, 10, accepted=None),
    _row("0.17", 7, 11, accepted=None),
    _row("0.20", 7, 12, accepted=None),
    _row("0.20.3", 7, 12, accepted=12),
    _row("0.22", 7, 13, accepted=13),
    _row("0.23", 7, 13, accepted=13, threaded=13),
    _row("0.25", 7, 14, accepted=14, threaded=13),
    # Since 0.28 the next CPython is built with a warning not to distribute what comes out.
    _row("0.28", 7, 14, accepted=15, threaded=13),
    _row("0.29", 8, 15, accepted=16, threaded=14),
    _row("0.30", 9, 15, accepted=16, threaded=14),
)
"""Ascending by `since`; a PyO3 newer than all of them is taken as the last."""


def brings_no_crate(feature: str) -> bool:
    """Tell whether `feature`, in cargo's words, is one of PyO3's that brings no dependency."""
    return _BRINGS_NO_CRATE.fullmatch(feature) is not None


def supported(version: Version) -> Supported:
    """Return the row for PyO3 `version`."""
    return next(row for row in reversed(TABLE) if row.since <= version)


def refusal(version: Version, interpreter: Interpreter, *, by_name: bool) -> str:
    """Return why PyO3 `version` does not build for `interpreter`, or an empty string.

    Asked for `by_name`, an interpreter newer than PyO3 names is refused only if its build
    script refuses it.
    """
    row = supported(version)
    highest = row.accepted if by_name else row.highest
    if interpreter.threaded and (row.threaded is None or interpreter.minor < row.threaded):
        since = (
            "no free-threaded Python" if row.threaded is None else f"3.{row.threaded}t and newer"
        )
        return f"PyO3 {version} builds for {since}"
    if interpreter.minor < row.lowest:
        return f"PyO3 {version} needs Python 3.{row.lowest} or newer"
    if highest is not None and interpreter.minor > highest:
        return f"PyO3 {version} knows Python up to 3.{highest}"
    return ""


def untested(version: Version, interpreter: Interpreter) -> bool:
    """Tell whether PyO3 `version` builds for `interpreter` without claiming to support it."""
    return interpreter.minor > supported(version).highest
