"""What differs where the farm's user is not root."""

from __future__ import annotations

import os

_OPEN = (
    "for each in tmp var/tmp var/lock; do "
    'test -L "$1/$each" || test ! -d "$1/$each" || chmod 1777 "$1/$each"; done'
)
"""Root's tar keeps these modes as the package has them, another user's goes by the umask."""


def is_root() -> bool:
    """Tell whether this process may change the machine."""
    return os.geteuid() == 0


def as_root(command: str) -> str:
    """Return `command`, for people, as this user has to type it for root to run it."""
    return command if is_root() else f"sudo {command}"


def unpacking() -> tuple[str, ...]:
    """Return the words with which mmdebstrap's variant `extract` works for this user.

    By itself it looks for user namespaces or fakechroot, which a machine may not have, and which
    only maintainer scripts need: that variant runs none.
    """
    return () if is_root() else ("--mode=chrootless",)


def unpacking_root() -> tuple[str, ...]:
    """Return the same for a whole root, whose directories are to be as root would have them."""
    return () if is_root() else (*unpacking(), f"--extract-hook={_OPEN}")
