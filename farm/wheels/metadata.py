"""Reads METADATA, WHEEL and the entry points, and checks that they agree with the file name."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from configparser import ConfigParser
from configparser import Error as ConfigError
from dataclasses import dataclass
from email.message import Message
from math import prod

from installer.utils import parse_metadata_file
from packaging.metadata import Metadata, parse_email
from packaging.tags import Tag, parse_tag
from packaging.utils import (
    InvalidWheelFilename,
    NormalizedName,
    canonicalize_name,
    canonicalize_version,
    parse_wheel_filename,
)
from packaging.version import Version

MAX_FILE_NAME = 220
"""Bytes: what is left of a file system's 255 for the names of logs and unfinished copies."""
_FILE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._!+-]*\.whl")
MAX_LINES = 5_000
"""Of METADATA before its description, and of WHEEL: reading them takes time by the square."""
MAX_TAGS = 1_000
"""Tags that one compressed tag (PEP 425) may stand for."""
_BLANK_LINE = re.compile(rb"\r?\n\r?\n")
SCRIPT_GROUPS = ("console_scripts", "gui_scripts")


@dataclass(frozen=True, kw_only=True)
class About:
    """What a wheel says about itself; `farm.wheels.archive.Wheel` explains the fields."""

    name: str
    version: str
    tags: frozenset[Tag]
    purelib: bool
    requires_python: str
    requires_dist: tuple[str, ...]
    provides_extra: tuple[str, ...]
    console_scripts: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class _FileName:
    name: NormalizedName
    version: Version
    tags: frozenset[Tag]


def file_name_fault(name: str) -> str:
    """Return why no wheel may be a file called `name`, or an empty string.

    Only what a terminal, a command line and every file system takes as it is.
    """
    if not _FILE_NAME.fullmatch(name):
        return f"{name!r} is no file name of a wheel"
    if len(name) > MAX_FILE_NAME:
        return f"the file name has {len(name)} characters, more than {MAX_FILE_NAME}"
    return ""


def read(filename: str, home: str, texts: Mapping[str, bytes]) -> tuple[About | None, list[str]]:
    """Return what the wheel says about itself, or None, and everything wrong with it.

    `home` is the `.dist-info` directory, `texts` its files METADATA, WHEEL and, where
    there is one, entry_points.txt.
    """
    faults: list[str] = []
    named = _file_name(filename, faults)
    core = _core(texts["METADATA"], faults)
    wheel = _wheel(texts["WHEEL"], faults)
    scripts = _scripts(texts.get("entry_points.txt", b""), faults)
    if named is None or core is None or wheel is None:
        return None, faults
    faults += _disagreements(named, home, core, wheel)
    about = About(
        name=core.name,
        version=parse_email(texts["METADATA"])[0]["version"],
        tags=named.tags,
        purelib=wheel.get("Root-Is-Purelib", "").strip().lower() == "true",
        requires_python=str(core.requires_python or ""),
        requires_dist=tuple(str(r) for r in core.requires_dist or ()),
        provides_extra=tuple(core.provides_extra or ()),
        console_scripts=scripts,
    )
    return about, faults


def _file_name(filename: str, faults: list[str]) -> _FileName | None:
    if fault := file_name_fault(filename):
        faults.append(fault)
        return None
    try:
        name, version, _build, tags = parse_wheel_filename(filename)
    except InvalidWheelFilename as error:
        faults.append(str(error))
        return None
    return _FileName(name=name, version=version, tags=tags)


def _core(text: bytes, faults: list[str]) -> Metadata | None:
    """Parse METADATA as strictly as PyPI does, which reads it with the same library."""
    if _is_too_long(text):
        faults.append(f"METADATA has more than {MAX_LINES} lines before its description")
        return None
    try:
        return Metadata.from_email(text, validate=True)
    except ExceptionGroup as group:
        faults += [f"METADATA: {error}" for error in group.exceptions]
    except RecursionError:
        faults.append("METADATA: a marker in it has too many brackets")
    return None


def _is_too_long(text: bytes) -> bool:
    return len(_BLANK_LINE.split(text, maxsplit=1)[0].splitlines()) > MAX_LINES


def _wheel(text: bytes, faults: list[str]) -> Message | None:
    if _is_too_long(text):
        faults.append(f"WHEEL has more than {MAX_LINES} lines")
        return None
    try:
        message = parse_metadata_file(text.decode())
    except UnicodeDecodeError as error:
        faults.append(f"WHEEL is not UTF-8: {error}")
        return None
    version = str(message.get("Wheel-Version", ""))
    if version.partition(".")[0] != "1":
        faults.append(f"WHEEL: Wheel-Version is {version!r}; installers read 1.x")
    return message


def _scripts(text: bytes, faults: list[str]) -> tuple[str, ...]:
    parser = ConfigParser(delimiters=("=",), interpolation=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign]  # names keep their case
    try:
        parser.read_string(text.decode())
    except (ConfigError, UnicodeDecodeError) as error:
        faults.append(f"entry_points.txt cannot be read: {error}")
        return ()
    names = {n for group in SCRIPT_GROUPS if group in parser for n in parser[group]}
    astray = sorted(name for name in names if "/" in name or name in {".", ".."})
    faults += [f"entry_points.txt: script {n!r} leads out of the script directory" for n in astray]
    return tuple(sorted(names))


def _disagreements(named: _FileName, home: str, core: Metadata, wheel: Message) -> Iterator[str]:
    """Say where file name, `.dist-info` name, METADATA and WHEEL differ."""
    name, _, version = home.removesuffix(".dist-info").rpartition("-")
    expected = (named.name, canonicalize_version(named.version))
    if (canonicalize_name(name), canonicalize_version(version)) != expected:
        yield f"{home} does not belong to {named.name} {named.version} of the file name"
    if canonicalize_name(core.name) != named.name:
        yield f"METADATA names {core.name!r}, the file name {named.name!r}"
    if core.version != named.version:
        yield f"METADATA has version {core.version}, the file name {named.version}"
    tags = {t for line in wheel.get_all("Tag", []) for t in _tags(str(line))}
    if tags != named.tags:
        yield f"WHEEL has tags {_listed(tags)}, the file name {_listed(named.tags)}"


def _tags(line: str) -> frozenset[Tag]:
    unread = frozenset({Tag("?", "?", line)})
    if prod(part.count(".") + 1 for part in line.split("-")) > MAX_TAGS:
        return unread
    try:
        return parse_tag(line.strip())
    except ValueError:
        return unread


def _listed(tags: frozenset[Tag] | set[Tag]) -> str:
    return ", ".join(sorted(str(tag) for tag in tags)) or "none"
