"""Debian's archive as a user has it: which addresses, which keys, and what is good enough of it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Archive:
    """Where Debian's packages come from, and which of them may be taken.

    Nothing of it is part of what an image is: a package is the same wherever it comes from.
    """

    mirror: str = ""
    """The archive's address; empty is mmdebstrap's own default."""
    security: str = ""
    """That of the security archive."""
    old: str = ""
    """That of the archive of old releases, for suites whose support has ended; empty is none."""
    keyring: bytes = b""
    """The keys that suites are signed with, armored or not; empty is Debian's own keyring."""
    toolchain: str = ""
    """The only suite that the compiler may be of; empty is any."""
    rust: str = ""
    """The oldest rustc that will do, such as `1.88`; empty is any."""
    patience: int = 30
    """Seconds to wait for a server that says nothing."""


DEFAULT = Archive()
