"""Say which packages, exactly, a set of selections comes to in Debian's archive today.

Runs inside the seed. Reads `request.json` beside it and writes `closures.json` to the directory
given as the only argument:

    request:  {"archive": {"mirror", "security", "old", "keyring", "patience"},
               "needs": [{"id", "at_least": {package: version},
                          "candidates": [{"suite", "pockets", "moving", "old", "target", "arch",
                                          "foreign", "packages", "leave_out"}, ...]}, ...]}
    closures: {"found": {id: {"way": n,
                              "packages": [{"name", "version", "arch", "uri", "size", "sha256"},
                                           ...]}},
               "lost": {id: [{"way": n, "words": [line, ...], "versions": [[package, arch,
                              version or ""], ...], "missing": [uri, ...],
                              "too_old": [[package, version, wanted], ...]}, ...]},
               "index_bytes": n}

A candidate can also be `{"closure": [package, ...]}`, what is there already: it is taken as it is.

Of each need the first candidate that can be had is taken, `way` is its place; `lost` has for each
one before it what is known of why it could not be had, and that costs nothing else. `words` are
apt's own. An address of the archive that is empty is the one that mmdebstrap wrote into the seed,
an empty `keyring` Debian's own, else a keyring in base64; signatures are always checked.
`patience` is how many seconds apt waits for a server that says nothing.
"""

from __future__ import annotations

import base64
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from fnmatch import fnmatch
from functools import cache
from pathlib import Path
from threading import Semaphore
from urllib.parse import unquote

import requests

DEBIANS_KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
ROOTS = Path("/tmp/resolve")
LINE = re.compile(r"'(?P<uri>[^']+)' (?P<file>\S+) (?P<size>\d+) SHA256:(?P<sha256>[0-9a-f]{64})")
"""What `apt-get --print-uris` says of a package."""
FETCHED = re.compile(r"^Fetched (?P<number>[\d.,]+) (?P<unit>[kMG]?)B", re.MULTILINE)
"""What `apt-get update` says of all that it downloaded."""
CANDIDATE = re.compile(r"^(?P<name>\S+):\n  Inst.*\n  Candidate: (?P<version>\S+)$", re.MULTILINE)
"""What `apt-cache policy` says of a package."""
UNMET = re.compile(r"^ (\S+ : (?:Pre)?-?Depends: .*)$", re.MULTILINE)
"""What apt-get's classical solver says of a dependency that cannot be met."""
SYNC = re.compile(r"Hash Sum mismatch|unexpected size|sync in progress")
"""What apt says of a mirror that changes while it is read."""
SERVERS = requests.Session()
"""Knows proxies, and keeps connections."""
TIMEOUT = 30.0
GONE = {requests.codes.forbidden, requests.codes.not_found, requests.codes.gone}
A_FEW_AT_A_TIME = Semaphore(4)
"""Some mirrors are slow to answer crowds."""
LATER = re.compile(r"Failed to fetch (?P<uri>\S+)\s+(?:429|503) ")
"""What apt says of a server that asks to come again later, which apt itself does not do for 429."""
LOOKS = 3
"""How often the lists of a mirror are read that changes meanwhile, or asks to come again."""
LONGEST = 60.0
"""Seconds that a server is waited for at most, each time."""


class LostError(Exception):
    """A suite, or a package in it, that cannot be had; with what is known of why."""

    def __init__(self, words: list[str], **facts: object) -> None:
        super().__init__(" ".join(words))
        self.facts = {"words": words, "versions": [], "missing": [], "too_old": [], **facts}


def say(text: str) -> None:
    """Report progress; the controller shows the last line."""
    print(text, file=sys.stderr, flush=True)


class Sources:
    """Where suites are, and which keys they are signed with."""

    def __init__(self, archive: dict[str, str]) -> None:
        main, security = self._of_the_seed()
        self.main = archive["mirror"] or main
        self.security = archive["security"] or security
        self.old = archive["old"]
        self.patience = archive["patience"]
        self.keyring = DEBIANS_KEYRING
        if archive["keyring"]:
            content = base64.b64decode(archive["keyring"])
            suffix = "asc" if content.startswith(b"-----BEGIN") else "gpg"
            ROOTS.mkdir(parents=True, exist_ok=True)
            keyring = ROOTS / f"keyring.{suffix}"
            keyring.write_bytes(content)
            self.keyring = str(keyring)

    @staticmethod
    def _of_the_seed() -> tuple[str, str]:
        """Return the addresses of the archive and of its security archive in the seed."""
        main = security = ""
        for line in Path("/etc/apt/sources.list").read_text().splitlines():
            kind, *words = [word for word in line.split() if not word.startswith("[")] or [""]
            if kind != "deb":
                continue
            address, suite, *_ = words
            if suite.endswith("-security"):
                security = address
            elif not main:
                main = address
        return main, security or main

    def lines(self, suites: list[str], *, old: bool) -> str:
        """Return the lines of a sources.list for `suites`."""
        addresses = {s: self.security if s.endswith("-security") else self.main for s in suites}
        return "".join(
            f"deb [signed-by={self.keyring}] {self.old if old else address} {suite} main\n"
            for suite, address in addresses.items()
        )


class PrivateApt:
    """An apt with a root, sources and lists of its own.

    The first of `arches` is the machine that it acts for.
    """

    def __init__(self, name: str, arches: list[str], sources: Sources, *, moving: bool) -> None:
        self.sources = sources
        self.root = ROOTS / name
        shutil.rmtree(self.root, ignore_errors=True)
        for part in ("etc/apt/preferences.d", "state/lists/partial", "cache/archives/partial"):
            (self.root / part).mkdir(parents=True)
        (self.root / "status").touch()
        options = {
            "APT::Architecture": arches[0],
            "Dir::Etc": f"{self.root}/etc/apt",
            "Dir::State": f"{self.root}/state",
            "Dir::State::status": f"{self.root}/status",
            "Dir::Cache": f"{self.root}/cache",
            "Acquire::Languages": "none",
            "Acquire::Retries": "3",
            "Acquire::http::Timeout": str(sources.patience),
            "Acquire::https::Timeout": str(sources.patience),
            "APT::Sandbox::User": "root",
            "APT::Update::Error-Mode": "any",
            "APT::Install-Recommends": "false",
            "Acquire::ForceHash": "SHA256",
        }
        if moving:  # a mirror that lags; signatures are checked all the same
            options["Acquire::Check-Valid-Until"] = "false"
        self.arch = arches[0]
        self.fetched = 0
        """Bytes of package lists that were downloaded."""
        pairs = [*options.items(), *(("APT::Architectures::", arch) for arch in arches)]
        self.flags = [word for key, value in pairs for word in ("-o", f"{key}={value}")]

    def run(self, *words: str) -> str:
        """Run apt-get and return its output; LostError says why it failed."""
        done = self._call("apt-get", "-q", *words)
        if done.returncode:
            lines = done.stderr.splitlines()
            lines = [line.strip() for line in lines if "/dev/null" not in line]  # its configuration
            raise LostError([line for line in lines if line.startswith(("E:", "W:"))][:6] or lines)
        return done.stdout

    def update(self, suites: list[str], *, old: bool) -> None:
        """Fetch the package lists of `suites`, again where that is worth it."""
        text = self.sources.lines(suites, old=old)
        (self.root / "etc/apt/sources.list").write_text(text)
        for look in range(1, LOOKS + 1):
            try:
                output = self.run("update")
            except LostError as fault:
                later, changes = LATER.search(str(fault)), SYNC.search(str(fault))
                if look == LOOKS or not (later or changes):
                    raise
                why = "changes while it is read" if changes else "is asked for too often"
                say(f"{suites[0]} {why}; reading it again")
                time.sleep(retry_after(later["uri"]) if later else look)
            else:
                break
        for found in FETCHED.finditer(output):
            unit = {"": 1, "k": 1000, "M": 1000**2, "G": 1000**3}[found["unit"]]
            self.fetched += int(float(found["number"].replace(",", "")) * unit)

    def versions(self, packages: list[str], target: list[str]) -> list[list[str]]:
        """Return name, architecture and version of each of `packages`, as they would be taken."""
        output = self._call("apt-cache", "policy", *target, *packages).stdout
        there = {m["name"]: m["version"] for m in CANDIDATE.finditer(output)}
        told = []
        for package in packages:
            name, _, arch = package.partition(":")
            version = there.get(package, "")
            told.append([name, arch or self.arch, "" if version == "(none)" else version])
        return told

    def unmet(self, *words: str) -> list[str]:
        """Return which dependencies an installation lacks, in the words of apt's older solver."""
        return UNMET.findall(
            self._call("apt-get", "-q", "-o", "APT::Solver=internal", *words).stdout
        )

    def _call(self, program: str, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [program, *self.flags, *words],
            capture_output=True,
            text=True,
            check=False,
            env=dict(os.environ, LC_ALL="C", APT_CONFIG="/dev/null"),
        )


def resolve_selection(
    apt: PrivateApt, selection: dict[str, object], at_least: dict[str, str]
) -> list[dict[str, object]]:
    """Return the closure of one selection, sorted by name and architecture."""
    packages = list(selection["packages"])
    target = ["-t", str(selection["target"])] if selection["target"] else []
    words = ["install", "--print-uris", "-y", "-qq", *target, *packages]
    try:
        output = apt.run(*words)
    except LostError as fault:
        said = apt.unmet(*words) or fault.facts["words"]
        raise LostError(said, versions=apt.versions(packages, target)) from None
    closure = []
    for found in LINE.finditer(output):
        name, version, arch = unquote(found["file"]).removesuffix(".deb").rsplit("_", 2)
        names = (name, f"{name}:{arch}")
        if not any(fnmatch(n, pattern) for n in names for pattern in selection["leave_out"]):
            closure.append(
                {
                    "name": name,
                    "version": version,
                    "arch": arch,
                    "uri": found["uri"],
                    "size": int(found["size"]),
                    "sha256": found["sha256"],
                }
            )
    if not closure:
        raise LostError([f"apt names no package for {' '.join(packages)}"])
    if too_old := list(older(closure, at_least)):
        raise LostError([], too_old=too_old)
    uris = [str(package["uri"]) for package in closure]
    with ThreadPoolExecutor(4) as pool:
        missing = [uri for uri, gone in zip(uris, pool.map(is_missing, uris), strict=True) if gone]
    if missing:
        raise LostError([], missing=missing)
    return sorted(closure, key=lambda package: (package["name"], package["arch"]))


def retry_after(uri: str) -> float:
    """Return how many seconds a server asks to stay away (RFC 9110, 10.2.3), within bounds."""
    try:
        with SERVERS.get(uri, timeout=TIMEOUT, stream=True) as answer:
            asked = answer.headers.get("Retry-After", "")
    except OSError:
        return LOOKS
    if answer.ok:
        return 0
    return min(float(asked) if asked.isdecimal() else LOOKS, LONGEST)


def older(closure: list[dict[str, object]], at_least: dict[str, str]) -> Iterator[list[str]]:
    """Yield name, version and wanted version of each package that is older than it must be."""
    for package in closure:
        name, version = str(package["name"]), str(package["version"])
        wanted = at_least.get(name)
        if (
            wanted
            and subprocess.run(
                ["dpkg", "--compare-versions", version, "lt", wanted], check=False
            ).returncode
            == 0
        ):
            yield [name, version, wanted]


@cache
def is_missing(uri: str) -> bool:
    """Tell whether the archive does not have a file, though its lists name it.

    As happens where an architecture's support has ended, or where the archive has just changed.
    One byte is asked for, since some mirrors are slow to answer HEAD, and on connections that stay
    open: a new one for each of hundreds of files takes a minute.
    """
    first = {"Range": "bytes=0-0"}
    try:
        with (
            A_FEW_AT_A_TIME,
            SERVERS.get(uri, headers=first, timeout=TIMEOUT, stream=True) as answer,
        ):
            if answer.status_code == requests.codes.partial_content:
                answer.content  # noqa: B018 - or its connection could not be used again
    except OSError:
        return False  # the download has retries of its own
    return answer.status_code in GONE


class Archive:
    """The suites that were read so far, each by an apt of its own."""

    def __init__(self, sources: Sources) -> None:
        self.sources = sources
        self.apts: dict[tuple[object, ...], PrivateApt | LostError] = {}

    def read(self, selection: dict[str, object]) -> None:
        """Read the package lists that `selection` needs."""
        arches = [str(selection["arch"]), *selection["foreign"]]
        say(f"reading the package lists of {selection['suite']} for {arches[0]}")
        suites = [str(selection["suite"]), *selection["pockets"]]
        old = bool(selection["old"])
        name = "-".join([*suites, *arches, *(["old"] if old else [])])
        apt = PrivateApt(name, arches, self.sources, moving=bool(selection["moving"]) or old)
        try:
            apt.update(suites, old=old)
        except LostError as fault:
            self.apts[key(selection)] = fault
        else:
            self.apts[key(selection)] = apt

    def resolve(
        self, selection: dict[str, object], at_least: dict[str, str]
    ) -> list[dict[str, object]]:
        """Return the closure of `selection`; LostError says why it cannot be had."""
        if "closure" in selection:
            return selection["closure"]
        apt = self.apts[key(selection)]
        if isinstance(apt, LostError):
            raise apt
        return resolve_selection(apt, selection, at_least)

    def list_bytes(self) -> int:
        """Return how many bytes of package lists were downloaded."""
        return sum(apt.fetched for apt in self.apts.values() if isinstance(apt, PrivateApt))


def key(selection: dict[str, object]) -> tuple[object, ...]:
    """Return what selections that one apt can serve have in common."""
    arches = (selection["arch"], *selection["foreign"])
    return (selection["suite"], *selection["pockets"], *arches, selection["old"])


def resolve(needs: list[dict[str, object]], sources: Sources) -> dict[str, object]:
    """Resolve `needs`, as many as possible side by side; see the module for what comes out."""
    archive = Archive(sources)
    found: dict[str, object] = {}
    lost: dict[str, list[object]] = {}
    pending = [(need, 0) for need in needs]
    while pending:
        chosen = [need["candidates"][way] for need, way in pending]
        with ThreadPoolExecutor((os.cpu_count() or 1) * 2) as pool:
            asked = [c for c in chosen if "closure" not in c]
            unread = {key(c): c for c in asked if key(c) not in archive.apts}
            list(pool.map(archive.read, unread.values()))
            futures = [
                pool.submit(archive.resolve, selection, need["at_least"])
                for selection, (need, _) in zip(chosen, pending, strict=True)
            ]
        behind = []
        for (need, way), future in zip(pending, futures, strict=True):
            try:
                found[need["id"]] = {"way": way, "packages": future.result()}
            except LostError as fault:
                lost.setdefault(need["id"], []).append({"way": way, **fault.facts})
                if need["candidates"][way + 1 :]:
                    behind.append((need, way + 1))
        pending = behind
    return {"found": found, "lost": lost, "index_bytes": archive.list_bytes()}


def main() -> None:
    """Resolve what is asked for and write the closures."""
    request = json.loads((Path(__file__).parent / "request.json").read_text())
    Path(sys.argv[1]).mkdir(parents=True, exist_ok=True)
    answer = resolve(request["needs"], Sources(request["archive"]))
    closures = json.dumps(answer, indent=1, sort_keys=True)
    (Path(sys.argv[1]) / "closures.json").write_text(closures)


if __name__ == "__main__":
    main()
