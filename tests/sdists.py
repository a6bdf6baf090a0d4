"""Source distributions of real projects, as PyPI has them."""

from __future__ import annotations

import tarfile
from pathlib import Path

from pypi_simple import PyPISimple


def unpacked(project: str, version: str, into: Path) -> Path:
    """Download one sdist, verify its digest, unpack it below `into`; return its directory."""
    with PyPISimple() as index:
        page = index.get_project_page(project)
        package = next(
            p for p in page.packages if p.package_type == "sdist" and p.version == version
        )
        archive = into / package.filename
        index.download_package(package, archive)
    with tarfile.open(archive) as tar:
        tar.extractall(into, filter="data")
    return into / package.filename.removesuffix(".tar.gz")
