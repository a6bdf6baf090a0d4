"""What a build says that wants git or a repository, and what helps it: builds have neither.

The words are those of vergen 8, vergen-gitcl 1, vergen-git2 1 and vergen-gix 1 (which share them),
git-version 0.3, libgit2 and gix. The crates built 0.8 and shadow-rs 1 fail for no lack of git.
"""

from __future__ import annotations

import re

OWN = (
    "have it take what it asks git from a variable, and set that in environment of [tool.farm], or "
    "do without"
)
"""What helps a build script of the project's own."""
_VERGEN = (
    "vergen gives in to fail_on_error(), which its build script asks for: without that, it takes "
    "VERGEN_GIT_SHA, VERGEN_GIT_DESCRIBE and the like from environment of [tool.farm]"
)
_MACRO = (
    'git_version!() heeds no variable: fallback = "unknown" or cargo_prefix = "" in it gives what '
    "to take then"
)
_VARIABLE = 'environment = {{ {} = "…" }} in [tool.farm] sets it'
_UNSET = re.compile(r"environment variable `(\w{1,100})` not defined at compile time")
_OF_GIT = re.compile(r"GIT|VERGEN|COMMIT|REVISION|_SHA|SHA_")
_TOLD = (
    (
        re.compile(r"no suitable 'git' command found!|not within a suitable 'git' worktree!"),
        _VERGEN,
    ),
    (re.compile(r"Command `git` not found: is git installed\?"), _MACRO),
    (
        re.compile(
            r"could not find repository (?:at|from) '"  # libgit2
            r"|Could not find a git repository in '"  # gix
            r"|fatal: not a git repository"
        ),
        OWN,
    ),
)


def git_wanted(reason: str) -> str:
    """Return what helps a build that failed for `reason`; empty where that is not git."""
    if unset := _UNSET.search(reason):
        return _VARIABLE.format(unset[1]) if _OF_GIT.search(unset[1].upper()) else ""
    return next((hint for pattern, hint in _TOLD if pattern.search(reason)), "")


def variable_wanted(reason: str) -> str:
    """Return what helps where the source asks for a variable that is not set; else nothing."""
    unset = _UNSET.search(reason)
    return _VARIABLE.format(unset[1]) if unset else ""
