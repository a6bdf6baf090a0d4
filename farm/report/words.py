"""Durations, sizes, counts and paths, as people read them."""

from __future__ import annotations

from pathlib import Path

_MINUTE, _HOUR, _DAY = 60, 3600, 86400
_KILO, _TEN = 1000, 10


def duration(seconds: float) -> str:
    """Return a length of time: `4 s`, `3 min 05 s`, `1 h 02 min`."""
    whole = round(seconds)
    if whole < _MINUTE:
        return f"{whole} s"
    if whole < _HOUR:
        return f"{whole // _MINUTE} min {whole % _MINUTE:02} s"
    return f"{whole // _HOUR} h {whole % _HOUR // _MINUTE:02} min"


def age(seconds: float) -> str:
    """Return how long ago something was, in its largest unit: `4 s`, `12 min`, `3 h`, `20 d`."""
    for unit, name in ((_DAY, "d"), (_HOUR, "h"), (_MINUTE, "min")):
        if seconds >= unit:
            return f"{int(seconds // unit)} {name}"
    return f"{max(int(seconds), 0)} s"


def clock(seconds: float) -> str:
    """Return a length of time that grows while one looks at it: `0:04`, `12:05`, `1:02:07`."""
    minutes, rest = divmod(int(seconds), _MINUTE)
    hours, minutes = divmod(minutes, _MINUTE)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def size(count: int) -> str:
    """Return a number of bytes in decimal units: `312 B`, `1.4 MB`, `281 MB`."""
    if count < _KILO:
        return f"{count} B"
    value, unit = count / _KILO, "kB"
    for larger in ("MB", "GB"):
        if round(value) >= _KILO:
            value, unit = value / _KILO, larger
    return f"{value:.0f} {unit}" if round(value, 1) >= _TEN else f"{value:.1f} {unit}"


def plural(count: int, noun: str) -> str:
    """Return `1 job`, `2 jobs`."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def short(path: str) -> str:
    """Return `path` from the current directory if it lies below it, else as it is."""
    try:
        return str(Path(path).relative_to(Path.cwd()))
    except (ValueError, OSError):
        return path
