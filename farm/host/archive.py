"""Which archive of Debian's this machine and a project use: settings before the environment."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from pydantic import ValidationError

from farm.bases import archive, debian
from farm.model import settings
from farm.model.errors import UsageError, nearest

VARIABLES = {
    "mirror": "FARM_ARCHIVE_MIRROR",
    "security": "FARM_ARCHIVE_SECURITY",
    "old": "FARM_ARCHIVE_OLD",
    "keyring": "FARM_ARCHIVE_KEYRING",
}
"""What a machine says for all projects, by setting."""


def read_archive(
    table: settings.Archive | None = None,
    *,
    root: Path = Path(),
    rust: str = "",
    environment: Mapping[str, str] = os.environ,
) -> archive.Archive:
    """Return the archive that `[tool.farm.archive]` of the project at `root` names.

    What it leaves open is the machine's, from the environment. `rust` is the oldest rustc that
    will do. Raises UsageError for an address that is none, a keyring that can't be read, and a
    suite that has no compiler.
    """
    said = {key: environment[name] for key, name in VARIABLES.items() if environment.get(name)}
    try:
        machine = settings.Archive.model_validate(said)
    except ValidationError as error:
        names = ", ".join(sorted({VARIABLES[str(each["loc"][0])] for each in error.errors()}))
        raise UsageError(
            f"{names}: not the address of an archive", "Such as http://mirror.example/debian."
        ) from None
    table = table or settings.Archive()
    mirror = table.mirror or machine.mirror
    # A mirror of the project's own has nothing to do with the machine's security archive.
    security = table.security or ("" if table.mirror else machine.security)
    suites = [suite.name for suite in debian.TOOLCHAIN_SUITES]
    if table.toolchain and table.toolchain not in suites:
        raise UsageError(
            f"archive.toolchain: no compiler is had of {table.toolchain!r}"
            f"{nearest(table.toolchain, suites)}",
            f"Known: {', '.join(suites)}.",
        )
    keyring = root / table.keyring if table.keyring else machine.keyring
    return archive.Archive(
        mirror=mirror,
        security=security or (f"{mirror.rstrip('/')}-security" if mirror else ""),
        old=table.old or machine.old,
        keyring=_read(Path(keyring)) if keyring else b"",
        toolchain=table.toolchain,
        rust=rust,
    )


def _read(keyring: Path) -> bytes:
    try:
        return keyring.read_bytes()
    except OSError as error:
        raise UsageError(
            f"the keyring {keyring} can't be read: {error.strerror}",
            "Name a file with the archive's public keys.",
        ) from None
