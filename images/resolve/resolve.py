"""Say which packages, exactly, a set of selections comes to in Debian's archive today.

Runs inside the seed. Reads `request.json` beside it and writes `closures.json` to the directory
given as the only argument:

    request:  {"needs": [{"id", "candidates": [{"suite", "pockets", "moving", "ended", "target",
                                                "arch", "foreign", "packages", "leave_out"},
                                               ...]}, ...]}
    closures: {"found": {id: {"suites": [name, ...],
                              "packages": [{"name", "version", "arch", "uri", "size", "sha256"},
                                           ...]}},
               "lost": {id: [reason, ...]}, "index_bytes": n}

Of each need the first candidate that can be had is taken; `lost` has the reason for each one
before it that could not, mostly in apt's own words, and costs nothing else. The archive's
address is the one that mmdebstrap wrote into the seed; signatures are checked.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from fnmatch import fnmatch
from functools import cache
from pathlib import Path
from threading import Lock
from urllib.error import HTTPError
from urllib.parse import unquote
from urllib.request import Request, urlopen

KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
ROOTS = Path("/tmp/resolve")
LINE = re.compile(r"'(?P<uri>[^']+)' (?P<file>\S+) (?P<size>\d+) SHA256:(?P<sha256>[0-9a-f]{64})")
"""What `apt-get --print-uris` says of a package."""
FETCHED = re.compile(r"^Fetched (?P<number>[\d.,]+) (?P<unit>[kMG]?)B", re.MULTILINE)
"""What `apt-get update` says of all that it downloaded."""
ONE_AT_A_TIME = Lock()


class LostError(Exception):
    """A suite, or a package in it, that cannot be had; the text is apt's."""


def say(text: str) -> None:
    """Report progress; the controller shows the last line."""
    print(text, file=sys.stderr, flush=True)


def archives() -> tuple[str, str]:
    """Return the addresses of the archive and of its security archive, as the seed has them."""
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


def sources(suites: list[str]) -> str:
    """Return the lines of a sources.list for `suites` (the security archive by its suffix)."""
    main, security = archives()
    return "".join(
        f"deb [signed-by={KEYRING}] {security if s.endswith('-security') else main} {s} main\n"
        for s in suites
    )


class PrivateApt:
    """An apt with a root, sources and lists of its own.

    The first of `arches` is the machine that it acts for.
    """

    def __init__(self, name: str, arches: list[str], *, moving: bool) -> None:
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
            "APT::Sandbox::User": "root",
            "APT::Update::Error-Mode": "any",
            "APT::Install-Recommends": "false",
            "Acquire::ForceHash": "SHA256",
        }
        if moving:  # a mirror that lags; signatures are checked all the same
            options["Acquire::Check-Valid-Until"] = "false"
        self.fetched = 0
        """Bytes of package lists that were downloaded."""
        pairs = [*options.items(), *(("APT::Architectures::", arch) for arch in arches)]
        self.flags = [word for key, value in pairs for word in ("-o", f"{key}={value}")]

    def run(self, *words: str) -> str:
        """Run apt-get and return its output; LostError says why it failed."""
        done = subprocess.run(
            ["apt-get", "-q", *self.flags, *words],
            capture_output=True,
            text=True,
            check=False,
            env=dict(os.environ, LC_ALL="C", APT_CONFIG="/dev/null"),
        )
        if done.returncode:
            faults = [line for line in done.stderr.splitlines() if line.startswith(("E:", " "))]
            raise LostError(" ".join((faults or done.stderr.splitlines())[:3]).strip())
        return done.stdout

    def update(self, suites: list[str]) -> None:
        """Fetch the package lists of `suites`."""
        (self.root / "etc/apt/sources.list").write_text(sources(suites))
        for found in FETCHED.finditer(self.run("update")):
            unit = {"": 1, "k": 1000, "M": 1000**2, "G": 1000**3}[found["unit"]]
            self.fetched += int(float(found["number"].replace(",", "")) * unit)


def resolve_selection(apt: PrivateApt, selection: dict[str, object]) -> list[dict[str, object]]:
    """Return the closure of one selection, sorted by name and architecture."""
    words = ["install", "--print-uris", "-y", "-qq"]
    if selection["target"]:
        words += ["-t", str(selection["target"])]
    output = apt.run(*words, *selection["packages"])
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
        raise LostError(f"apt names no package for {' '.join(selection['packages'])}")
    uris = [str(package["uri"]) for package in closure]
    if selection["ended"] and (gone := [uri for uri in uris if is_missing(uri)]):
        raise LostError(f"{len(gone)} files that it lists are not there, such as {gone[0]}")
    return sorted(closure, key=lambda package: (package["name"], package["arch"]))


@cache
def is_missing(uri: str) -> bool:
    """Tell whether the archive does not have a file, though its lists name it.

    As happens where an architecture's support has ended. One byte is asked for, since some
    mirrors are slow to answer HEAD; and one at a time, since some are to crowds.
    """
    try:
        with ONE_AT_A_TIME:
            urlopen(Request(uri, headers={"Range": "bytes=0-0"}), timeout=30).close()  # noqa: S310
    except HTTPError as error:
        return error.code in {403, 404, 410}
    except OSError:
        return False  # the download has retries of its own
    return False


class Archive:
    """The suites that were read so far, each by an apt of its own."""

    def __init__(self) -> None:
        self.apts: dict[tuple[object, ...], PrivateApt | LostError] = {}

    def read(self, selection: dict[str, object]) -> None:
        """Read the package lists that `selection` needs."""
        arches = [str(selection["arch"]), *selection["foreign"]]
        say(f"reading the package lists of {selection['suite']} for {arches[0]}")
        suites = [str(selection["suite"]), *selection["pockets"]]
        apt = PrivateApt("-".join([*suites, *arches]), arches, moving=bool(selection["moving"]))
        try:
            apt.update(suites)
        except LostError as fault:
            self.apts[key(selection)] = fault
        else:
            self.apts[key(selection)] = apt

    def resolve(self, selection: dict[str, object]) -> list[dict[str, object]]:
        """Return the closure of `selection`; LostError says why it cannot be had."""
        apt = self.apts[key(selection)]
        if isinstance(apt, LostError):
            raise apt
        return resolve_selection(apt, selection)

    def list_bytes(self) -> int:
        """Return how many bytes of package lists were downloaded."""
        return sum(apt.fetched for apt in self.apts.values() if isinstance(apt, PrivateApt))


def key(selection: dict[str, object]) -> tuple[object, ...]:
    """Return what selections that one apt can serve have in common."""
    return (selection["suite"], *selection["pockets"], selection["arch"], *selection["foreign"])


def resolve(needs: list[dict[str, object]]) -> dict[str, object]:
    """Resolve `needs`, as many as possible side by side; see the module for what comes out."""
    archive = Archive()
    found: dict[str, object] = {}
    lost: dict[str, list[str]] = {}
    pending = [(need["id"], list(need["candidates"])) for need in needs]
    while pending:
        with ThreadPoolExecutor((os.cpu_count() or 1) * 2) as pool:
            unread = {key(c[0]): c[0] for _, c in pending if key(c[0]) not in archive.apts}
            list(pool.map(archive.read, unread.values()))
            futures = [pool.submit(archive.resolve, c[0]) for _, c in pending]
        behind = []
        for (name, candidates), future in zip(pending, futures, strict=True):
            suites = [candidates[0]["suite"], *candidates[0]["pockets"]]
            try:
                found[name] = {"suites": suites, "packages": future.result()}
            except LostError as fault:
                lost.setdefault(name, []).append(f"{', '.join(suites)}: {fault}")
                if candidates[1:]:
                    behind.append((name, candidates[1:]))
        pending = behind
    return {
        "found": found,
        "lost": lost,
        "index_bytes": archive.list_bytes(),
    }


def main() -> None:
    """Resolve what is asked for and write the closures."""
    request = json.loads((Path(__file__).parent / "request.json").read_text())
    Path(sys.argv[1]).mkdir(parents=True, exist_ok=True)
    closures = json.dumps(resolve(request["needs"]), indent=1, sort_keys=True)
    (Path(sys.argv[1]) / "closures.json").write_text(closures)


if __name__ == "__main__":
    main()
