"""Architectures, interpreters, modes and targets: what one wheel is for."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

from farm.model.errors import UsageError, nearest


class Arch(StrEnum):
    """A machine architecture, spelled as in a wheel's platform tag."""

    X86_64 = "x86_64"
    AARCH64 = "aarch64"

    @property
    def platform(self) -> str:
        """The architecture as the engine spells it: an OCI platform."""
        return {Arch.X86_64: "linux/amd64", Arch.AARCH64: "linux/arm64"}[self]

    @property
    def debian(self) -> str:
        """The architecture as Debian spells it."""
        return {Arch.X86_64: "amd64", Arch.AARCH64: "arm64"}[self]

    @property
    def triple(self) -> str:
        """The Rust target triple of the architecture's glibc platform."""
        return f"{self.value}-unknown-linux-gnu"

    @property
    def multiarch(self) -> str:
        """Debian's multiarch name, which is the GNU triple of the platform."""
        return f"{self.value}-linux-gnu"

    @property
    def elf_machine(self) -> str:
        """`e_machine` of the architecture's ELF files, as pyelftools names it."""
        return {Arch.X86_64: "EM_X86_64", Arch.AARCH64: "EM_AARCH64"}[self]

    @classmethod
    def parse(cls, text: str) -> Arch:
        """Return the architecture called `text`; `amd64` and `arm64` are aliases.

        Raises UsageError, offering the nearest name, when there is none.
        """
        names = {a.value: a for a in cls} | {a.debian: a for a in cls}
        try:
            return names[text.lower()]
        except KeyError:
            raise UsageError(
                f"unknown architecture {text!r}{nearest(text, [*names, 'native', 'all'])}",
                f"Known: {', '.join(names)}, native, all.",
            ) from None


class Mode(StrEnum):
    """How a job is compiled; see docs/hybrid.md."""

    NATIVE = "native"
    HYBRID = "hybrid"
    EMULATED = "emulated"


@dataclass(frozen=True, kw_only=True, order=True)
class Interpreter:
    """One CPython of the official `/opt/python` layout."""

    minor: int
    threaded: bool = False
    """True for the free-threaded build, whose ABI flag is `t`."""

    @property
    def python_tag(self) -> str:
        """The wheel's Python tag (PEP 425), such as `cp312`."""
        return f"cp3{self.minor}"

    @property
    def abi_tag(self) -> str:
        """The wheel's ABI tag (PEP 425), such as `cp312` or `cp314t`."""
        return self.python_tag + ("t" if self.threaded else "")

    @property
    def version(self) -> str:
        """The language version, as people write it: `3.12`, `3.14t`."""
        return f"3.{self.minor}" + ("t" if self.threaded else "")

    @property
    def prefix(self) -> str:
        """Where the interpreter lives in every image."""
        return f"/opt/python/{self.python_tag}-{self.abi_tag}"

    @property
    def path(self) -> str:
        """The explicit interpreter path that a job uses."""
        return f"{self.prefix}/bin/python"

    @classmethod
    def parse(cls, text: str) -> Interpreter:
        """Return the interpreter written as `3.12`, `cp312`, `3.14t` or `cp314t`.

        Raises UsageError when `text` is none of these.
        """
        found = re.fullmatch(r"(?:3\.|cp3)(\d{1,2})(t?)", text.strip().lower())
        if found is None:
            raise UsageError(
                f"{text!r} is no Python that the farm knows",
                "Write it as 3.12, cp312 or 3.14t, or say all.",
            )
        return cls(minor=int(found[1]), threaded=bool(found[2]))


class Abi(StrEnum):
    """What a project's wheels are tied to."""

    VERSION = "version"
    """One interpreter: `cp312-cp312`."""
    ABI3 = "abi3"
    """The stable ABI, from a lowest interpreter on: `cp39-abi3`."""
    NONE = "none"
    """No Python ABI (a program, or a cffi library): `py3-none`."""


POLICY = "manylinux_2_28"
"""The platform policy (PEP 600) of every wheel of the Debian base."""


@dataclass(frozen=True, kw_only=True, order=True)
class Target:
    """One (interpreter, architecture, platform policy): what one wheel is for."""

    interpreter: Interpreter
    """The interpreter that the wheel is built on; for ABI3 the lowest one it claims."""
    arch: Arch
    abi: Abi = Abi.VERSION
    policy: str = POLICY

    @property
    def platform_tag(self) -> str:
        """The wheel's platform tag, such as `manylinux_2_28_aarch64`."""
        return f"{self.policy}_{self.arch}"

    @property
    def python_tag(self) -> str:
        """The wheel's Python tag."""
        return "py3" if self.abi is Abi.NONE else self.interpreter.python_tag

    @property
    def abi_tag(self) -> str:
        """The wheel's ABI tag."""
        match self.abi:
            case Abi.VERSION:
                return self.interpreter.abi_tag
            case Abi.ABI3:
                return "abi3"
            case Abi.NONE:
                return "none"

    @property
    def id(self) -> str:
        """The job's name, for people: `cp312-manylinux_2_28_aarch64`, `cp39-abi3-…`."""
        if self.abi is Abi.VERSION:
            return f"{self.abi_tag}-{self.platform_tag}"
        return f"{self.python_tag}-{self.abi_tag}-{self.platform_tag}"
