"""What came of building a wheel a second time, as a value that serializes."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Difference:
    """One thing that two archives don't have in common."""

    member: str
    """The path of a file in the archives; empty where it is of an archive as a whole."""
    what: str
    """What of it differs: `content`, `time`, `mode`, `packing`, and the like."""
    wheel: str
    """What the wheel has there, in words."""
    rebuilt: str
    """What the one that was built a second time has."""


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """Whether a wheel is what its job makes of its source."""

    wheel: str
    sha256: str
    run: str
    """The run whose report says how it was built."""
    job: str
    reported: str
    """The sha256 that the report names; another one where no report names the wheel's own."""
    rebuilt: str
    """The sha256 of what was built now."""
    path: str = ""
    """Where that is on this machine; empty when it is the same and was not kept."""
    log: str = ""
    """The log of its build, as `path`."""
    differences: tuple[Difference, ...] = ()
    notes: tuple[str, ...] = ()
    """What the second build could not have from the report, a line each."""

    @property
    def identical(self) -> bool:
        """The wheel's bytes are those that were built now."""
        return self.sha256 == self.rebuilt
