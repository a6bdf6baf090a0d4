"""Which Rust a project asks for: `rust-toolchain.toml`, `rust-version`, `#![feature]`.

Wheels are built by the toolchain of the images, whatever a toolchain file says.
Reference: rust-lang.github.io/rustup/overrides.html.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from packaging.version import InvalidVersion, Version

from farm.model.settings import Settings
from farm.project.inspect import Project
from farm.project.rust_text import read_rust
from farm.project.toml import read_toml

_FILES = ("rust-toolchain", "rust-toolchain.toml")
"""In the order in which rustup looks: the first one there is the one it reads."""
_FEATURE = re.compile(r"#!\[\s*feature\s*\(")
_ROOTS = ("src/lib.rs", "src/main.rs")


def channel_warnings(project: Project, settings: Settings, root: Path) -> tuple[str, ...]:
    """Return a line for all that a project asks of Rust, and builds will not have."""
    return (*_of_file(project, root), *_of_sources(project, settings))


def _of_file(project: Project, root: Path) -> Iterator[str]:
    found = _channel(project.root, root)
    if found is None:
        return
    file, channel = found
    if channel != "stable":
        yield (
            f"{file} asks for Rust {channel}, which is not looked at: the images' rustc builds "
            "(farm images list --json tells its version)"
        )
    wanted = project.crate.inherited("rust-version") or ""
    try:
        if Version(channel) < Version(wanted):
            yield f"{file} asks for Rust {channel}, and rust-version in Cargo.toml for {wanted}"
    except InvalidVersion:
        return  # a name such as nightly, or none


def _channel(directory: Path, root: Path) -> tuple[Path, str] | None:
    """Return the toolchain file that rustup would read in `directory`, and its channel."""
    for place in (directory, *directory.parents):
        if not place.is_relative_to(root):
            return None
        for name in _FILES:
            file = place / name
            if file.is_file():
                text = file.read_text(encoding="utf-8", errors="replace").strip()
                if "[" not in text:  # the older format: nothing but the channel
                    return (file, text) if text else None
                channel = read_toml(file, "Correct it.").table("toolchain").text("channel")
                return (file, channel) if channel else None
    return None


def _of_sources(project: Project, settings: Settings) -> Iterator[str]:
    """Yield a line for each crate of the project that only a nightly compiler takes (E0554)."""
    if "RUSTC_BOOTSTRAP" in settings.environment:
        return
    for directory in project.directories:
        for name in _ROOTS:
            file = directory / name
            text = file.read_text(encoding="utf-8", errors="replace") if file.is_file() else ""
            # Comments are found letter by letter, which takes its time in large sources.
            if "feature" in text and _FEATURE.search(read_rust(text).bare):
                yield (
                    f"{file} has #![feature], which only a nightly compiler takes, and the images' "
                    'is stable; environment = { RUSTC_BOOTSTRAP = "1" } in [tool.farm] insists'
                )
