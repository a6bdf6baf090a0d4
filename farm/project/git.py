"""The one door to git. It only reads, and lets a repository's settings start nothing."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from farm.model.errors import UsageError

_DEADLINE = 300
"""Seconds that one call may take."""
# A hook or an alias that runs the farm sets GIT_DIR and more: here the directory alone decides.
_KEPT = frozenset({"GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM", "GIT_CONFIG_NOSYSTEM"})
_HARMLESS = ("-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null")
_SUBMODULE = "160000"
_QUESTIONS = (
    ("--cached", "--stage"),
    ("--others", "--exclude-standard"),
    ("--others", "--exclude-standard", "--ignored", "--directory"),
)
"""Of `ls-files`, for what is tracked, what is not, and what is ignored."""


class GitFailedError(Exception):
    """Git ended with an error; the message is git's own. It does not leave this package."""


@dataclass(frozen=True, kw_only=True)
class Listing:
    """The files of one work tree, its submodules and nested repositories included."""

    tracked: tuple[str, ...]
    """Paths below the top level, with slashes, as the file system has them (surrogateescape)."""
    untracked: tuple[str, ...]
    """Those that are not ignored."""
    ignored: tuple[str, ...]
    """The other ones; a directory of which all is ignored ends in a slash, and stands for all."""


def run_git(directory: Path, *arguments: str) -> bytes:
    """Return what `git <arguments>` prints in `directory`.

    Raises GitFailedError when git fails, and FileNotFoundError when there is none.
    """
    try:
        done = subprocess.run(
            ("git", *_HARMLESS, *arguments),
            cwd=directory,
            env=_environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_DEADLINE,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise GitFailedError(f"it took longer than {_DEADLINE} s") from None
    if done.returncode:
        raise GitFailedError(done.stderr.decode(errors="replace").strip())
    return done.stdout


def _environment() -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith("GIT_") or k in _KEPT}
    return kept | {"GIT_OPTIONAL_LOCKS": "0", "GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C"}


def top_level(directory: Path) -> Path | None:
    """Return the top level of the work tree that `directory` lies in, or None without one.

    Raises UsageError when git refuses to look because someone else owns the repository.
    """
    try:
        found = run_git(directory, "rev-parse", "--show-toplevel")
    except FileNotFoundError:
        return None
    except GitFailedError as error:
        if "dubious ownership" in str(error):
            raise UsageError(
                f"git does not look into the repository of {directory}: someone else owns it",
                f"Run `git config --global --add safe.directory {_owner_root(directory)}`.",
            ) from None
        return None
    text = os.fsdecode(found.removesuffix(b"\n"))
    return Path(text).resolve() if text else None


def _owner_root(directory: Path) -> Path:
    for place in (directory, *directory.parents):
        if (place / ".git").exists():
            return place
    return directory


def list_files(top: Path) -> Listing:
    """Return the tracked and the untracked, not ignored files of the work tree at `top`.

    Submodules that are checked out and repositories nested in it give theirs too. A file that
    is tracked and no longer there is listed still. Raises GitFailedError.
    """
    tracked: list[str] = []
    untracked: list[str] = []
    nested: list[str] = []
    with ThreadPoolExecutor() as pool:
        staged, loose, rest = pool.map(lambda options: _entries(top, *options), _QUESTIONS)
    for entry in staged:
        head, _, path = entry.partition("\t")
        (nested if head.startswith(_SUBMODULE) else tracked).append(path)
    for path in loose:
        (nested if path.endswith("/") else untracked).append(path)
    ignored = list(rest)
    for path in nested:
        inner = path.rstrip("/")
        if not (top / inner / ".git").exists():
            continue
        found = list_files(top / inner)
        tracked += [f"{inner}/{p}" for p in found.tracked]
        untracked += [f"{inner}/{p}" for p in found.untracked]
        ignored += [f"{inner}/{p}" for p in found.ignored]
    return Listing(
        tracked=tuple(dict.fromkeys(tracked)),  # a file in conflict is listed once for each side
        untracked=tuple(untracked),
        ignored=tuple(ignored),
    )


def ignored_below(top: Path, directories: Iterable[Path]) -> tuple[str, ...]:
    """Return the files, tracked or not, of `directories` that a .gitignore below `top` names.

    Neither .git/info/exclude nor the user's own settings count. Raises GitFailedError.
    """
    which = ("--cached", "--others", "--ignored", "--exclude-per-directory=.gitignore")
    return tuple(_entries(top, *which, "--", *map(str, directories)))


def _entries(top: Path, *options: str) -> list[str]:
    listed = run_git(top, "--literal-pathspecs", "ls-files", "-z", *options)
    return [os.fsdecode(entry) for entry in listed.split(b"\0") if entry]


def last_commit(top: Path) -> str | None:
    """Return the hash of the last commit, or None without one."""
    try:
        return run_git(top, "rev-parse", "--verify", "HEAD").decode().strip()
    except GitFailedError:
        return None


def last_commit_time(top: Path) -> int | None:
    """Return when the last commit was made, in seconds since 1970, or None without one."""
    try:
        found = run_git(top, "rev-list", "--max-count=1", "--timestamp", "HEAD", "--")
    except GitFailedError:
        return None
    return int(found.split()[0])
