"""`[tool.farm]` of a project's pyproject.toml: every setting, its type, its default.

The JSON Schema in `docs/farm.schema.json` is generated from these models.
"""

from __future__ import annotations

import re
from itertools import takewhile
from typing import Annotated, Any, Literal

from packaging.requirements import InvalidRequirement, Requirement
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from farm.model.errors import UsageError, nearest
from farm.model.targets import Arch, Interpreter, Mode

_MEANT: dict[str, str] = {}
"""What a pattern asks for, in words."""


def _text(pattern: str, meant: str) -> Any:
    """Return the constraint of a text that `pattern` has to match; `meant` is a noun for it."""
    _MEANT[pattern] = meant
    return Field(pattern=pattern)


Argument = Annotated[str, _text(r"^[^\x00]*$", "a text without NUL")]
Argv = tuple[Argument, ...]
Variable = Annotated[str, _text(r"^[^=\x00]+$", "the name of an environment variable")]
Feature = Annotated[str, _text(r"^[^-\s\x00][^\x00]*$", "the name of a Cargo feature")]
"""What begins with a dash would be an option of maturin's."""
Profile = Annotated[str, _text(r"^([A-Za-z0-9_][A-Za-z0-9_-]*)?$", "the name of a Cargo profile")]
Extra = Annotated[str, _text(r"^[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?$", "the name of an extra")]
Flag = Annotated[bool, Field(strict=True)]

_OWN_OPTIONS = frozenset(
    {
        "--auditwheel",
        "--compatibility",
        "--find-interpreter",
        "--interpreter",
        "--manifest-path",
        "--manylinux",
        "--out",
        "--sdist",
        "--skip-auditwheel",
        "--target",
        "--zig",
    }
)
"""Options of maturin that say which wheel is made and where it goes: the plan's alone."""
_FEATURES = frozenset({"--all-features", "--features", "--no-default-features"})
"""Which wheels there are, and which crates they take, depends on these; the plan must know them."""
_OF_FEATURES = re.compile(r"-[qrv]*F")
_OWN_LETTERS = re.compile(r"-[qrv]*[fimo]")
"""Their short forms, behind others that take no value."""


def _cargo_args(words: tuple[str, ...]) -> tuple[str, ...]:
    """Return `words`; raise ValueError for an option that the plan sets."""
    for word in takewhile(lambda each: each != "--", words):
        if word.partition("=")[0] in _FEATURES or _OF_FEATURES.match(word):
            raise ValueError(f"{word!r}: set features in [tool.farm] or [tool.maturin] instead")
        if word.partition("=")[0] in _OWN_OPTIONS or _OWN_LETTERS.match(word):
            raise ValueError(f"{word!r} is for the farm to say")
    return words


def _requirement(text: str) -> str:
    """Return `text`; raise ValueError when it is no requirement, but an option or a path."""
    try:
        Requirement(text)
    except (InvalidRequirement, RecursionError):
        raise ValueError(f"{text[:_SHOWN]!r} is no requirement (PEP 508)") from None
    return text


_SHOWN = 100
"""Characters of a bad value that a message repeats."""


def _kebab(name: str) -> str:
    return name.replace("_", "-")


class _Table(BaseModel):
    model_config = ConfigDict(
        extra="forbid", frozen=True, alias_generator=_kebab, validate_by_name=False
    )


class Source(_Table):
    """What of the tree is sent to the engine."""

    exclude: tuple[str, ...] = ()
    """Patterns, as in .gitignore, of files that a build does not need."""
    include: tuple[str, ...] = ()
    """Patterns, as in .gitignore, of files that git ignores and a build needs all the same."""


class Smoke(_Table):
    """The smoke test of a wheel, after its modules were imported."""

    command: Argv = ()
    """What to run in the wheel's virtual environment; `{project}` is the project's directory."""
    requires: tuple[Annotated[str, AfterValidator(_requirement)], ...] = ()
    """Requirements (PEP 508) that the command needs besides the wheel's own."""
    extras: tuple[Extra, ...] = ()
    """Extras of the wheel to install."""
    groups: tuple[str, ...] = ()
    """Dependency groups (PEP 735) of pyproject.toml to install."""
    excuse: tuple[str, ...] = ()
    """Interpreters whose check may be left out where a dependency has no wheel for them."""
    skip_import: tuple[str, ...] = ()
    """Modules that are not to be imported, such as those that need a GPU or a display."""


_MOST = 100_000
"""GiB, CPUs, minutes: more than any engine has, and not infinite."""
_MOST_PIDS = 1 << 22
"""The kernel's own limit."""


class Limits(_Table):
    """What one container may use."""

    memory_gib: Annotated[float, Field(ge=0, le=_MOST, strict=True)] = 0
    """Memory in GiB; 0 leaves it to the farm: all of the engine's but a gibibyte, shared out
    between the builds under way. A build that runs out of its part is tried again alone, with all
    of it."""
    cpus: Annotated[float, Field(ge=0, le=_MOST, strict=True)] = 0
    """CPUs; 0 is all of the engine's."""
    pids: Annotated[int, Field(gt=0, le=_MOST_PIDS, strict=True)] = 4096
    """Processes and threads."""
    build_minutes: Annotated[float, Field(gt=0, le=_MOST, strict=True)] = 120
    """Deadline of one build."""
    check_minutes: Annotated[float, Field(gt=0, le=_MOST, strict=True)] = 30
    """Deadline of one check."""
    keep_gib: Annotated[float, Field(ge=0, strict=True)] = 20
    """What failed jobs that are kept, to be entered by farm shell, may hold in GiB; the oldest
    go first."""
    cache_gib: Annotated[float, Field(ge=0, strict=True)] = 20
    """What the builds of all projects may leave on the engine for the next ones, in GiB; what was
    used longest ago goes first."""


def _address(text: str) -> str:
    """Return `text`; raise ValueError where it holds a login, which would end in image layers."""
    if "@" in text.partition("://")[2].partition("/")[0]:
        raise ValueError("an address without user and password is wanted; use a proxy for a login")
    return text


Address = Annotated[
    str,
    _text(r"^(https?://[^\s\[\]\"'<>|]+)?$", "an address such as http://mirror.example/debian"),
    AfterValidator(_address),
]
"""Of an archive, as it stands in a sources.list."""


class Archive(_Table):
    """Where Debian's packages come from, of which images are made."""

    mirror: Address = ""
    """The archive's address; empty is the default of this machine's mmdebstrap."""
    security: Address = ""
    """The security archive's; empty is the mirror's with `-security` at its end."""
    old: Address = ""
    """That of the archive of old releases, where suites go whose support has ended."""
    keyring: Argument = ""
    """A file with the keys that the mirror is signed with, from the project's directory; empty is
    Debian's own."""
    toolchain: Annotated[str, _text(r"^[a-z0-9-]*$", "the name of a suite")] = ""
    """The suite that the compiler must be of; empty is the first that can be had."""


class Settings(_Table):
    """The whole table `[tool.farm]`."""

    arch: tuple[str, ...] = ("all",)
    """Architectures: x86_64, aarch64, native, all."""
    python: tuple[str, ...] = ("all",)
    """Interpreters, such as 3.12 or cp314t, or all."""
    mode: Literal["hybrid", "emulated"] = "hybrid"
    """How a foreign architecture is compiled; the engine's own is always native."""
    fallback: Literal["none", "emulated"] = "none"
    """What a hybrid build that failed is tried again as."""
    features: tuple[Feature, ...] = ()
    """Cargo features, besides those that `[tool.maturin]` names."""
    no_default_features: Flag = False
    """Leave the crate's default features out."""
    profile: Profile = ""
    """Cargo profile; empty is the one of `[tool.maturin]`, else release."""
    strip: Flag = False
    """Strip the library of symbols."""
    cargo_args: Annotated[Argv, AfterValidator(_cargo_args)] = ()
    """More arguments of maturin build, handed on to cargo."""
    environment: dict[Variable, Argument] = Field(default_factory=dict)
    """More environment of the build."""
    native_cpu: Flag = False
    """Let wheels be compiled for the very processor that builds. The report says so."""
    network: Flag = False
    """Give the build a network. The report says so."""
    locked: Flag = True
    """Build only what Cargo.lock pins. Without, cargo chooses what is not in it, once for all jobs
    of a run; the report has the lock's sha256."""
    out: Argument = "dist"
    """Where wheels go, from the project's directory."""
    source: Source = Source()
    smoke: Smoke = Smoke()
    limits: Limits = Limits()
    archive: Archive = Archive()

    @property
    def foreign_mode(self) -> Mode:
        """`mode` as the enum."""
        return Mode(self.mode)


def read_settings(table: dict[str, Any], where: str) -> Settings:
    """Return the settings in `table`, the parsed `[tool.farm]` of the file `where`.

    Raises UsageError that lists every fault; an unknown key offers the nearest known one.
    """
    try:
        settings = Settings.model_validate(table)
    except ValidationError as error:
        faults = [_fault(dict(e)) for e in error.errors()]
        raise UsageError(
            f"{where}: [tool.farm] is not right: " + "; ".join(faults),
            "docs/settings.md lists every key with its type and default.",
        ) from None
    try:
        for name in settings.arch:
            if name not in {"all", "native"}:
                Arch.parse(name)
        for name in (*settings.python, *settings.smoke.excuse):
            if name != "all":
                Interpreter.parse(name)
    except UsageError as error:
        raise UsageError(f"{where}: [tool.farm]: {error.message}", error.remedy) from None
    return settings


_KINDS = {
    "model_type": "a table",
    "dict_type": "a table",
    "tuple_type": "an array",
    "string_type": "a string",
    "bool_type": "true or false",
    "int_type": "a whole number",
    "float_type": "a number",
}
"""What TOML calls the values that pydantic wants, by its kinds of errors."""


def _fault(error: dict[str, Any]) -> str:
    path = [str(part) for part in error["loc"]]
    dotted = ".".join(path)
    kind = error["type"]
    if kind in _KINDS:
        return f"{dotted}: must be {_KINDS[kind]}"
    if kind == "string_pattern_mismatch":
        return f"{dotted}: {error['input'][:_SHOWN]!r} is not {_MEANT[error['ctx']['pattern']]}"
    if kind != "extra_forbidden":
        text = error["msg"].removeprefix("Value error, ").replace("Input should be", "must be")
        return f"{dotted}: {text[:1].lower()}{text[1:]}"
    table: type[BaseModel] = Settings
    for part in path[:-1]:
        sub = {f.alias: f.annotation for f in table.model_fields.values()}.get(part)
        if isinstance(sub, type) and issubclass(sub, BaseModel):
            table = sub
    known = [f.alias or name for name, f in table.model_fields.items()]
    return f"unknown key {dotted!r}{nearest(path[-1], known)}"


def schema() -> dict[str, Any]:
    """Return the JSON Schema of `[tool.farm]`."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **Settings.model_json_schema(by_alias=True),
    }
