"""What cargo made of a Cargo.lock that does not fit its manifests, told from what it was before.

A lock that does not fit is common in sdists: maturin leaves members of the
workspace out, releases change a version. As long as no crate from outside comes in that the lock
does not pin, what is built is what the lock says.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from typing import Any

from farm.model.errors import UsageError

_SHOWN = 8
"""So many changes or crates are named; the rest is counted."""


@dataclass(frozen=True, kw_only=True)
class Changes:
    """How a new lock differs from an old one."""

    own: tuple[str, ...]
    """What is different of the workspace's own crates, for people."""
    dropped: int
    """Crates from outside that nothing needs any more."""
    unpinned: tuple[str, ...]
    """Crates from outside, `name version`, that the old one has not, or with another content."""

    def __str__(self) -> str:
        gone = "1 crate" if self.dropped == 1 else f"{self.dropped} crates"
        needless = (f"{gone} from outside that nothing needs any more",) if self.dropped else ()
        return _some((*self.own, *needless)) or "nothing but how it is written"

    @property
    def taken(self) -> str:
        """`unpinned` in words."""
        return _some(self.unpinned)


def compare(old: str, new: str) -> Changes:
    """Return how the text of a Cargo.lock differs from that of an `old` one.

    Raises UsageError when one of them is no lock.
    """
    before, after = _packages(old), _packages(new)
    outside = {_key(p): p.get("checksum") for p in before if _source(p)}
    there = {_key(p): p.get("checksum") for p in after if _source(p)}
    unpinned = [key for key, checksum in there.items() if outside.get(key, _NONE) != checksum]
    return Changes(
        own=tuple(_own_changes(before, after)),
        dropped=len(outside.keys() - there.keys()),
        unpinned=tuple(f"{name} {version}" for name, version, _ in unpinned),
    )


_NONE = object()
"""What is no checksum, nor the lack of one, which crates from git have."""


def _packages(text: str) -> list[dict[str, Any]]:
    try:
        found = tomllib.loads(text).get("package", [])
        return [dict(package) for package in found]
    except (TypeError, ValueError, RecursionError) as error:
        raise UsageError(f"Cargo.lock can't be read: {error}", "Correct it.") from None


def _source(package: dict[str, Any]) -> str:
    return str(package.get("source", ""))


def _key(package: dict[str, Any]) -> tuple[str, str, str]:
    return str(package.get("name")), str(package.get("version")), _source(package)


def _own_changes(before: list[dict[str, Any]], after: list[dict[str, Any]]) -> list[str]:
    old = {str(p.get("name")): p for p in before if not _source(p)}
    new = {str(p.get("name")): p for p in after if not _source(p)}
    found = [f"{name} is not there" for name in old if name not in new]
    for name, package in new.items():
        if name not in old:
            found.append(f"{name} {package.get('version')} is new")
            continue
        earlier, now = old[name].get("version"), package.get("version")
        if earlier != now:
            found.append(f"{name} {earlier} is {now}")
        more = sorted(_needs(package) - _needs(old[name]))
        less = sorted(_needs(old[name]) - _needs(package))
        found += [f"{name} needs {each}" for each in more]
        found += [f"{name} does not need {each}" for each in less]
    return found


def _needs(package: dict[str, Any]) -> set[str]:
    """Return the names of a package's dependencies, which may stand there with a version."""
    return {str(each).partition(" ")[0] for each in package.get("dependencies", [])}


def _some(words: tuple[str, ...]) -> str:
    more = len(words) - _SHOWN
    return ", ".join((*words[:_SHOWN], *((f"and {more} more",) if more > 0 else ())))
