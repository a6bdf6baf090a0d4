"""What of a project's `.cargo/config.toml` may pass to the steps that have a network.

Fetching runs where cargo does not see the project's own configuration, because that can name
programs to start. What only says where crates come from is handed on by `--config`.
Reference: doc.rust-lang.org/cargo/reference/config.html.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from farm.model.errors import UsageError
from farm.model.secrets import redact
from farm.project.disk import readable
from farm.project.toml import Table, read_toml

Key = tuple[str, ...]

_NAMES = (".cargo/config", ".cargo/config.toml")
"""In the order in which cargo looks: the first one there is the one it reads."""
_ALLOWED: tuple[Key, ...] = (
    ("source", "*", "replace-with"),
    ("source", "*", "registry"),
    ("source", "*", "directory"),
    ("source", "*", "local-registry"),
    ("source", "*", "git"),
    ("source", "*", "branch"),
    ("source", "*", "tag"),
    ("source", "*", "rev"),
    ("registries", "*", "index"),
    ("registries", "*", "protocol"),
    ("registry", "default"),
    ("patch", "*", "*", "version"),
    ("patch", "*", "*", "package"),
    ("patch", "*", "*", "registry"),
    ("patch", "*", "*", "path"),
    ("patch", "*", "*", "git"),
    ("patch", "*", "*", "branch"),
    ("patch", "*", "*", "tag"),
    ("patch", "*", "*", "rev"),
    ("patch", "*", "*", "features"),
    ("patch", "*", "*", "default-features"),
    ("net", "retry"),
    ("net", "ssh", "known-hosts"),
    ("http", "timeout"),
    ("http", "low-speed-limit"),
    ("http", "multiplexing"),
    ("http", "user-agent"),
    ("http", "check-revoke"),
)
"""Keys that name no program, turn no check off and hold no secret; `*` is any one part."""
_PATHS = frozenset({"directory", "local-registry", "path"})
_DEEPEST = 16
"""Tables in tables that are looked into; no key that matters has more than five parts."""
_BARE = re.compile(r"[A-Za-z0-9_-]+")
_CREDENTIALS = re.compile(r"https?://[^/@]*@|//[^/@:]*:[^/@]*@")


@dataclass(frozen=True, kw_only=True)
class CargoConfig:
    """What passes, and what does not."""

    arguments: tuple[str, ...]
    """`--config KEY=VALUE …`, for cargo in the container."""
    left_out: tuple[str, ...]
    """A line for each key that does not pass and matters to fetching."""


@dataclass(frozen=True, kw_only=True)
class Flags:
    """Compiler flags that a configuration file sets."""

    file: Path
    key: str
    flags: tuple[str, ...]


@readable()
def fetch_config(root: Path, directory: Path, container_root: str) -> CargoConfig:
    """Return the part of the configuration of `directory` that fetching may use.

    `root` is the source's root on this machine and `container_root` where that lies in the
    container; files above `root` are not the project's. Raises UsageError for a broken file.
    """
    arguments: list[str] = []
    left_out: list[str] = []
    for key, (file, value) in sorted(_merged(root, directory).items()):
        name = redact(".".join(map(_key, key)))
        if not _allowed(key):
            if key[0] in {"source", "registries", "registry", "patch"}:
                left_out.append(f"{name} in {file} is not used for fetching")
            continue
        if any(map(_secret, (*key, value))):
            left_out.append(f"{name} in {file} holds credentials and is not used for fetching")
            continue
        passed = value
        if key[-1] in _PATHS:
            passed = _in_container(file, value, root, container_root)
        if passed is None:
            left_out.append(f"{name} in {file} leads out of {root} and is not used for fetching")
            continue
        arguments += ["--config", f"{name}={_value(passed)}"]
    return CargoConfig(arguments=tuple(arguments), left_out=tuple(left_out))


def local_directories(root: Path, directory: Path) -> tuple[Path, ...]:
    """Return the directories that the configuration of `directory` takes crates from.

    Configuration above `root` is not the project's.
    """
    found = []
    for file in _files(root, directory):
        base = file.file.parent.parent
        for key, value in leaves(file.data):
            if key[-1] in _PATHS and _allowed(key) and isinstance(value, str):
                found.append(Path(os.path.normpath(base / value)))
    return tuple(path for path in dict.fromkeys(found) if path.is_dir())


@readable()
def compiler_flags(root: Path, directory: Path) -> tuple[Flags, ...]:
    """Return the flags that the configuration of `directory` below `root` gives compilers.

    These are every `rustflags`, and what `[env]` says to C compilers.
    """
    found = []
    for file in _files(root, directory):
        for key, value in leaves(file.data):
            if key[-1] == "rustflags" or (key[0] == "env" and "FLAGS" in key[1]):
                words = value.split() if isinstance(value, str) else value
                if isinstance(words, list):
                    name = ".".join(map(_key, key))
                    found.append(Flags(file=file.file, key=name, flags=tuple(map(str, words))))
    return tuple(found)


def _merged(root: Path, directory: Path) -> dict[Key, tuple[Path, Any]]:
    """Return the leaves of the whole hierarchy; the nearer file wins."""
    found: dict[Key, tuple[Path, Any]] = {}
    for file in _files(root, directory):
        for key, value in leaves(file.data):
            found.setdefault(key, (file.file, value))
    return found


def _files(root: Path, directory: Path) -> Iterator[Table]:
    """Yield the configuration files from `directory` up to `root`, nearest first."""
    for place in (directory, *directory.parents):
        if not place.is_relative_to(root):
            return
        for name in _NAMES:
            if (place / name).is_file():
                yield read_toml(place / name, "")
                break


def leaves(table: Mapping[str, Any], above: Key = ()) -> Iterator[tuple[Key, Any]]:
    """Yield every value of nested tables that is no table, with its key."""
    for name, value in table.items():
        if isinstance(value, dict) and len(above) < _DEEPEST:
            yield from leaves(value, (*above, name))
        elif above[:1] == ("patch",) and len(above) == 2 and isinstance(value, str):  # noqa: PLR2004 - patch.<registry>
            yield (*above, name, "version"), value
        else:
            yield (*above, name), value


def _allowed(key: Key) -> bool:
    return any(
        len(key) == len(pattern)
        and all(part in ("*", given) for part, given in zip(pattern, key, strict=True))
        for pattern in _ALLOWED
    )


def _secret(value: Any) -> bool:
    return isinstance(value, str) and bool(_CREDENTIALS.search(value))


def _in_container(file: Path, value: Any, root: Path, container_root: str) -> str | None:
    """Return the path `value` of `file` as the container sees it; None outside of `root`.

    Cargo resolves it against the parent of the directory that holds the file.
    """
    if not isinstance(value, str):
        raise UsageError(f"{file}: a path is no string: {value!r}", "Correct the file.")
    path = Path(os.path.normpath(file.parent.parent / value))
    if not path.is_relative_to(root):
        return None
    return (PurePosixPath(container_root) / path.relative_to(root).as_posix()).as_posix()


def _key(part: str) -> str:
    return part if _BARE.fullmatch(part) else _text(part)


def _value(value: Any) -> str:
    """Return `value` in TOML's notation; cargo takes no inline tables here."""
    match value:
        case bool():
            return "true" if value else "false"
        case str():
            return _text(value)
        case list():
            return f"[{', '.join(map(_value, value))}]"
        case _:
            return str(value)


def _text(text: str) -> str:
    """Return `text` as a basic string of TOML, whose escapes JSON's are, but for DEL."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
