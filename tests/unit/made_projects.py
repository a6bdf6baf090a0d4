"""Projects on disk for the tests of `farm.project`."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

PYPROJECT = """\
[build-system]
requires = ["maturin>=1.5,<2"]
build-backend = "maturin"
[project]
name = "sample"
version = "1.2.3"
requires-python = ">=3.9"
"""
CARGO = """\
[package]
name = "sample"
version = "1.2.3"
edition = "2021"
[lib]
crate-type = ["cdylib"]
[dependencies]
pyo3 = "0.29"
"""
LOCK = """\
version = 4
[[package]]
name = "sample"
version = "1.2.3"
dependencies = ["pyo3"]
[[package]]
name = "pyo3"
version = "0.29.3"
source = "registry+https://github.com/rust-lang/crates.io-index"
dependencies = ["pyo3-ffi"]
[[package]]
name = "pyo3-ffi"
version = "0.29.3"
source = "registry+https://github.com/rust-lang/crates.io-index"
"""
SIMPLE = {"pyproject.toml": PYPROJECT, "Cargo.toml": CARGO, "Cargo.lock": LOCK, "src/lib.rs": ""}
_GIT = {
    "GIT_AUTHOR_NAME": "a",
    "GIT_AUTHOR_EMAIL": "a@example.org",
    "GIT_COMMITTER_NAME": "a",
    "GIT_COMMITTER_EMAIL": "a@example.org",
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_CONFIG_NOSYSTEM": "1",
}


def write(root: Path, files: Mapping[str, str]) -> Path:
    """Write `files` below `root`, which is returned."""
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return root


def locked(name: str, version: str, *dependencies: str, path: bool = False) -> str:
    """Return one package of a Cargo.lock."""
    source = "" if path else 'source = "registry+https://github.com/rust-lang/crates.io-index"\n'
    named = ", ".join(f'"{d}"' for d in dependencies)
    return (
        f'[[package]]\nname = "{name}"\nversion = "{version}"\n{source}dependencies = [{named}]\n'
    )


def git(directory: Path, *arguments: str, date: str = "2024-05-06T07:08:09Z") -> str:
    """Run git in `directory` with a made-up author and commits of `date`."""
    environment = {
        **{k: v for k, v in os.environ.items() if not k.startswith("GIT_")},
        **_GIT,
        "GIT_AUTHOR_DATE": date,
        "GIT_COMMITTER_DATE": date,
    }
    return subprocess.run(
        ("git", "-c", "protocol.file.allow=always", *arguments),
        cwd=directory,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    ).stdout


def commit(directory: Path) -> None:
    """Make `directory` a repository if it is none, and commit all that is in it."""
    if not (directory / ".git").exists():
        git(directory, "init", "-q")
    git(directory, "add", "-A")
    git(directory, "commit", "-q", "--allow-empty", "-m", "all")
