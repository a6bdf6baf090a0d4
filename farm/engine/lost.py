"""Why something of Debian's archive could not be had: read from what apt says, told to people.

apt's words are those of 2.6 (bookworm) to 3.0 (trixie), without a locale.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from farm.model.errors import SurroundingsError


class Why(StrEnum):
    """Kinds of reasons; each has a way out of its own."""

    NETWORK = "the archive can't be reached"
    BUSY = "the archive does not serve now"
    GONE = "it is not there"
    EXPIRED = "its Release file has expired"
    CLOCK = "its Release file is of the future"
    FORGED = "its signature is bad"
    UNSIGNED = "its signature can't be checked"
    BROKEN = "what it serves is not what its lists say"
    DISAGREE = "its packages do not fit together"
    TOO_OLD = "its packages are too old"
    OTHER = "apt could not read it"


_SIGNS = (
    (
        Why.FORGED,
        (
            r"BADSIG|[Bb]ad signature|BAD signature|Malformed message|NODATA|Clearsigned file"
            r"|has been manipulated"
        ),
    ),
    (Why.UNSIGNED, r"NO_PUBKEY|EXPKEYSIG|KEYEXPIRED|[Mm]issing key|sqv returned"),
    (Why.CLOCK, r"is not valid yet"),
    (Why.EXPIRED, r"is expired|has expired"),
    (Why.BROKEN, r"Hash Sum mismatch|unexpected size|sync in progress|Undetermined Error"),
    (Why.GONE, r"does not have a Release file|no longer has a Release file|\b(?:404|403|410) "),
    (Why.BUSY, r"\b(?:429|50[0-9]) "),
    (
        Why.NETWORK,
        (
            r"[Cc]ould not (?:resolve|connect)|[Uu]nable to connect|[Tt]imed? ?out"
            r"|[Cc]onnection (?:reset|refused|failed)|[Cc]annot initiate|unreachable"
            r"|[Ee]rror reading from server|[Cc]ertificate|handshake"
            r"|[Tt]emporary failure|[Rr]emote end closed|Proxy|SSL|TLS"
        ),
    ),
    (Why.UNSIGNED, r"is not signed"),  # also said of what could not be fetched
    (Why.DISAGREE, r"Depends: |held broken packages|[Uu]nable to (?:satisfy|correct|locate)"),
)
"""The gravest first: apt says several things of one fault."""


@dataclass(frozen=True, kw_only=True)
class Lost:
    """One way to packages that could not be gone, and what is known of why."""

    way: str
    """Which, for people: a suite, and how it is read."""
    words: tuple[str, ...] = ()
    """apt's own."""
    versions: tuple[tuple[str, str, str], ...] = ()
    """Package, architecture and version (or nothing) of what was asked for."""
    missing: tuple[str, ...] = ()
    """Addresses of files that the lists name and the archive does not have."""
    too_old: tuple[tuple[str, str, str], ...] = ()
    """Package, version, and the version that is wanted at least."""

    @classmethod
    def read(cls, way: str, facts: Mapping[str, Any]) -> Lost:
        """Read what the resolve step says of a way."""
        return cls(
            way=way,
            words=tuple(facts["words"]),
            versions=tuple((name, arch, version) for name, arch, version in facts["versions"]),
            missing=tuple(facts["missing"]),
            too_old=tuple((name, version, wanted) for name, version, wanted in facts["too_old"]),
        )

    @property
    def why(self) -> Why:
        """The kind of the reason."""
        if self.too_old:
            return Why.TOO_OLD
        if self.missing:
            return Why.GONE
        if self.versions:
            return Why.DISAGREE
        return kind_of(self.words)

    @property
    def text(self) -> str:
        """One sentence that names what disagrees or is not there."""
        return f"{self.way}: {self.reason}"

    @property
    def reason(self) -> str:
        """The sentence without the way."""
        if self.too_old:
            name, version, wanted = self.too_old[0]
            return (
                f"its {name} {_short(version)} is older than {wanted}, which the project asks for"
            )
        if self.missing:
            count = f"{len(self.missing)} files" if len(self.missing) > 1 else "a file"
            such = "such as " if len(self.missing) > 1 else ""
            return f"its lists name {count} that the archive does not have, {such}{self.missing[0]}"
        if self.versions:
            return _disagreement(self.versions) or f"{Why.DISAGREE}: {_cut(self.words)}"
        return f"{self.why}: {_cut(self.words)}"


def texts(lost: Iterable[Lost]) -> list[str]:
    """Return the text of each, but of those that say of a suite what one before them says."""
    first: dict[tuple[str, str], str] = {}
    for each in lost:
        suite, *_ = each.way.split()
        first.setdefault((suite, each.reason), each.text)
    return list(first.values())


def kind_of(words: Iterable[str]) -> Why:
    """Return the kind of the gravest fault that apt speaks of in `words`."""
    text = "\n".join(words)
    return next((why for why, sign in _SIGNS if re.search(sign, text)), Why.OTHER)


def _disagreement(versions: Sequence[tuple[str, str, str]]) -> str:
    """Return which packages there are not, or not in one version; nothing where that is not it."""
    absent = [f"{name} for {arch}" for name, arch, version in versions if not version]
    if absent:
        return f"it has no {', no '.join(absent)}"
    by_name: dict[str, list[tuple[str, str]]] = {}
    for name, arch, version in versions:
        by_name.setdefault(name, []).append((arch, version))
    for name, there in by_name.items():
        if len({version for _, version in there}) > 1:
            told = " but ".join(f"{_short(version)} for {arch}" for arch, version in there)
            return f"its {name} is {told}, and they only work together in one version"
    return ""


def _short(version: str) -> str:
    """Return what people know of Debian's version: `1.97.1` of `1.97.1+dfsg1-1~bpo13+1`."""
    return re.split(r"[+~-]", version.partition(":")[2] or version)[0]


def _cut(words: Sequence[str]) -> str:
    """Return apt's most telling line, without its letter and its repetitions."""
    grave = (
        [w for w in words if kind_of([w]) is kind_of(words)] or list(words) or ["no word of why"]
    )
    return re.sub(r"^[EWN]: ", "", grave[0])


_NETWORK = "Check the network, and the proxy if there is one; the same command tries again."
_WAITS = (
    "The archive is mostly whole again within days: the same command tries again. "
    "Or name another mirror: mirror in [tool.farm.archive], or FARM_ARCHIVE_MIRROR."
)
_REMEDIES = {
    Why.NETWORK: _NETWORK,
    Why.BUSY: "Wait a while; the same command tries again. Or name another mirror: mirror in "
    "[tool.farm.archive], or FARM_ARCHIVE_MIRROR.",
    Why.GONE: _WAITS,
    Why.EXPIRED: "The mirror is out of date: name another one (mirror in [tool.farm.archive], or "
    "FARM_ARCHIVE_MIRROR), or wait until it has caught up.",
    Why.CLOCK: "Set the clock of the engine's machine, or, if it is right, name another mirror.",
    Why.FORGED: "Do not use this mirror: what it serves is not what Debian signed. Name another "
    "one: mirror in [tool.farm.archive], or FARM_ARCHIVE_MIRROR.",
    Why.UNSIGNED: "A mirror with keys of its own needs keyring in [tool.farm.archive], or "
    "FARM_ARCHIVE_KEYRING.",
    Why.BROKEN: _WAITS,
    Why.DISAGREE: _WAITS,
    Why.TOO_OLD: "Ask for less with rust-version in Cargo.toml, or wait until Debian has it.",
    Why.OTHER: "What apt says is above; the same command tries again.",
}


def remedy(lost: Iterable[Lost]) -> str:
    """Return what can be done now, by what kept most of the ways from being gone."""
    kinds = [each.why for each in lost]
    most = max(dict.fromkeys(kinds), key=kinds.count, default=Why.OTHER)
    return _REMEDIES[Why.FORGED if Why.FORGED in kinds else most]


class UnavailableError(SurroundingsError):
    """Something of Debian's archive that can't be had now."""

    def __init__(self, lost: Lost, what: str = "") -> None:
        self.lost = lost
        super().__init__(f"{what}{lost.text}", remedy([lost]))
