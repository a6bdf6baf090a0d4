"""How commands in containers reach a network as this machine does: proxies, indexes, trust."""

from __future__ import annotations

import os
from pathlib import Path

from farm.host.certificates import VARIABLES, bundle

_CA_NAME = "ca.pem"
_PASSED_ON = (
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "ALL_PROXY",
    "UV_DEFAULT_INDEX",
    "UV_INDEX",
    "UV_INDEX_URL",
    "UV_EXTRA_INDEX_URL",
)


def network_environment(place: str) -> dict[str, str]:
    """Return what a command on a network needs to reach indexes as this machine does.

    `place` is the container's directory that `certificates` were put into.
    """
    found = {
        name: os.environ[name]
        for upper in _PASSED_ON
        for name in (upper, upper.lower())
        if os.environ.get(name)
    }
    if bundle() is not None:
        found |= dict.fromkeys(VARIABLES, f"{place}/{_CA_NAME}")
    return found


def certificates() -> dict[str, Path]:
    """Return the archive member that carries this machine's CA bundle into a container."""
    found = bundle()
    return {} if found is None else {_CA_NAME: found}
