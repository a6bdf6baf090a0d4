"""Symbolic links among the files that are sent, and names that no wheel can have.

maturin packs what a link leads to. One that leads nowhere ends its work in "No such file or
directory (os error 2)", without a name; a file name that is no UTF-8 gets other characters.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from pathlib import Path

from farm.model.errors import UsageError
from farm.project.additions import reached, shown

_REMEDY = "Correct, rename or remove them, or leave them out with source.exclude in [tool.farm]."


@dataclass(kw_only=True)
class Followed:
    """What follows from where links lead."""

    targets: set[Path] = field(default_factory=set)
    """Files that are to be sent since a link that is packed leads to them."""
    useless: set[Path] = field(default_factory=set)
    """Links that lead to what is never sent."""
    lines: list[str] = field(default_factory=list)


def follow(
    links: Collection[Path],
    sent: Collection[Path],
    root: Path,
    *,
    packed: Callable[[Path], bool],
    made: Callable[[Path], bool],
) -> Followed:
    """Return what follows from the `links` below `root` that lead to a file that is not `sent`.

    `made` tells what is never sent. A link that leads nowhere, or is not `packed` and leads to a
    directory, is no matter.
    """
    found = Followed()
    for link in sorted(links):
        end = Path(os.path.realpath(link))
        if end in sent or not end.is_file():
            continue
        where = f"{shown(link, root)} leads to {shown(end, root)}"
        if made(end):
            found.useless.add(link)
            found.lines.append(f"left out: the link {where}, which builds and tools make")
        elif packed(link):
            found.targets |= reached(link, root)
            found.lines.append(f"the link {where}, which git ignores; it goes in all the same")
        else:
            found.lines.append(
                f"the link {where}, which git ignores and is not sent:"
                " if the build needs it, name it in source.include in [tool.farm]"
            )
    return found


def check_packed(
    packed: Collection[Path], links: Collection[Path], root: Path, data: Path | None
) -> None:
    """Raise UsageError that lists each path that maturin would fail over as it packs it.

    `links` are those of `packed` and of all other paths; `data` is where the wheel's data lie.
    """
    faults = [f"the name of {shown(p, root)} is no UTF-8" for p in packed if not _is_text(p)]
    for link in sorted(set(links).intersection(packed)):
        if not link.exists():
            target = os.fsencode(link.readlink()).decode(errors="backslashreplace")
            faults.append(f"the link {shown(link, root)} leads nowhere ({target})")
        elif data is not None and link.is_relative_to(data) and link.is_dir():
            faults.append(f"the link {shown(link, root)} among the data leads to a directory")
    if faults:
        raise UsageError("maturin can't pack what is there: " + "; ".join(sorted(faults)), _REMEDY)


def _is_text(path: Path) -> bool:
    try:
        path.name.encode()
    except UnicodeEncodeError:
        return False
    return True
