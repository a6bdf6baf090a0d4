"""Debian packages of this machine, by apt-get: told before, counted exactly, taken back.

Only the standard library is needed here: the set-up runs before there is a virtual environment.
"""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass

from farm.host import commands
from farm.host.ledger import Ledger, Packages
from farm.host.user import as_root, is_root
from farm.model.errors import SurroundingsError
from farm.model.events import Emit, Note

MMDEBSTRAP = ("mmdebstrap", "debian-archive-keyring", "gpgv", "ca-certificates")
"""What the very first image is made with: mmdebstrap, and what checks the archive's signatures."""

_APT = ("apt-get", "-q", "-o", "DPkg::Lock::Timeout=300")
_QUIET = {"DEBIAN_FRONTEND": "noninteractive", "NEEDRESTART_SUSPEND": "1"}
_QUICK, _LONG = 120.0, 1800.0


@dataclass(frozen=True, kw_only=True)
class Outlook:
    """What an apt-get command would do, as apt-get's own simulation tells it."""

    installs: tuple[str, ...]
    """Packages that are not there yet."""
    upgrades: tuple[str, ...]
    """Packages that are there and would be replaced by a newer version."""
    removes: tuple[str, ...]


def available() -> bool:
    """Tell whether this machine has apt-get."""
    return shutil.which("apt-get") is not None


def install_command(names: tuple[str, ...]) -> str:
    """Return the command, for people, that installs packages."""
    return f"apt-get install --no-install-recommends {' '.join(names)}"


def install(names: tuple[str, ...], *, ledger: Ledger, emit: Emit) -> None:
    """Install packages; as root. The names that are new go into `ledger` first.

    apt's lists are fetched when a package is not in them, or is no longer where they say.
    Raises SurroundingsError with apt-get's own words, or for whoever is not root.
    """
    if not is_root():
        raise SurroundingsError(
            f"{', '.join(names)} can only be installed by root",
            f"Run: {as_root('apt-get update')} && {as_root(install_command(names))}",
        )
    outlook = _simulate("install", names)
    if outlook is None:
        _update(emit)
        outlook = _simulate("install", names)
    if outlook is None:
        raise SurroundingsError(
            f"apt-get has no package for one of {', '.join(names)}",
            f"Look at /etc/apt/sources.list*, then: {install_command(names)}",
        )
    if outlook.removes:
        raise SurroundingsError(
            f"installing {', '.join(names)} would remove {', '.join(outlook.removes)}",
            f"Decide for yourself: {install_command(names)}",
        )
    if outlook.installs:
        emit(Note(text=f"apt-get installs {', '.join(outlook.installs)}"))
        ledger.add(Packages(names=outlook.installs))
    if outlook.upgrades:
        emit(Note(text=f"apt-get upgrades {', '.join(outlook.upgrades)}, for good"))
    done = _install(names)
    if done.code != 0:
        _update(emit)  # the lists may be older than the archive
        done = _install(names)
    if done.code != 0:
        raise SurroundingsError(
            f"apt-get could not install {', '.join(names)}: {_complaint(done)}",
            f"See more with: {install_command(names)}",
        )


def purge(names: tuple[str, ...], *, emit: Emit) -> bool:
    """Take back packages that `install` brought, those that are still there; as root.

    Nothing is done, and False returned with a note, when another package needs one by now.
    """
    there = tuple(n for n in names if _installed(n))
    if not there:
        return True
    outlook = _simulate("purge", there)
    others = sorted(set(outlook.removes) - set(there)) if outlook else ["apt-get's consent"]
    if others:
        emit(
            Note(
                text=f"kept {', '.join(there)}: {', '.join(others)} would go with them. "
                f"To remove them all the same: apt-get purge {' '.join(there)}"
            )
        )
        return False
    done = commands.run((*_APT, "-y", "purge", *there), deadline=_LONG, environment=_QUIET)
    if done.code != 0:
        raise SurroundingsError(
            f"apt-get could not purge {', '.join(there)}: {_complaint(done)}",
            f"See more with: apt-get purge {' '.join(there)}",
        )
    return True


def read_simulation(text: str) -> Outlook:
    """Read what `apt-get --simulate` printed; see apt-get(8), `-s`."""
    installs, upgrades, removes = [], [], []
    for verb, name, old in re.findall(r"(?m)^(Inst|Remv|Purg) (\S+)(?: (\[))?", text):
        if verb != "Inst":
            removes.append(name)
        elif old:
            upgrades.append(name)
        else:
            installs.append(name)
    return Outlook(
        installs=tuple(installs), upgrades=tuple(upgrades), removes=tuple(dict.fromkeys(removes))
    )


def _simulate(verb: str, names: tuple[str, ...]) -> Outlook | None:
    argv = (*_APT, "--simulate", "--no-install-recommends", verb, *names)
    done = commands.run(argv, deadline=_QUICK, environment=_QUIET)
    return read_simulation(done.out) if done.code == 0 else None


def _install(names: tuple[str, ...]) -> commands.Ended:
    argv = (*_APT, "-y", "--no-install-recommends", "install", *names)
    return commands.run(argv, deadline=_LONG, environment=_QUIET)


def _update(emit: Emit) -> None:
    emit(Note(text="apt-get fetches its package lists"))
    done = commands.run((*_APT, "update"), deadline=_LONG, environment=_QUIET)
    if done.code != 0:
        raise SurroundingsError(
            f"apt-get could not fetch its package lists: {_complaint(done)}",
            "Is the archive in reach? See more with: apt-get update",
        )


def _installed(name: str) -> bool:
    argv = ("dpkg-query", "-W", "-f=${db:Status-Abbrev}", name)
    done = commands.run(argv, deadline=_QUICK)
    return done.code == 0 and done.out[:2] in {"ii", "hi", "rc"}


def _complaint(done: commands.Ended) -> str:
    lines = [line for line in done.error.splitlines() if line.startswith("E: ")]
    return " ".join(lines) or done.error.strip()[-300:] or f"exit status {done.code}"
