"""Cargo's platform conditions, judged for the farm's targets: `cfg(all(unix, …))`, triples."""

from __future__ import annotations

import re
from collections.abc import Iterator

from farm.model.targets import Arch

_TOKEN = re.compile(r'(?:(?P<name>[A-Za-z_][\w-]*)|(?P<text>"[^"]*")|(?P<mark>[(),=]))')
_TRUE = frozenset({"unix", "true", "target_thread_local"})
_FALSE = frozenset({"windows", "false"})
_NAMES = frozenset(
    {
        "target_abi",
        "target_arch",
        "target_endian",
        "target_env",
        "target_family",
        "target_has_atomic",
        "target_os",
        "target_pointer_width",
        "target_vendor",
    }
)
"""What `_facts` answers."""


def holds(condition: str, arch: Arch, *, otherwise: bool = False) -> bool:
    """Tell whether the platform `condition` of a dependency holds on glibc Linux of `arch`.

    `condition` is a target triple or `cfg(…)`, as in Cargo.toml and `cargo metadata`; an empty
    one holds. One that can't be read holds too: a dependency too many is the smaller harm. What
    says nothing of the platform, such as `feature = "x"`, counts as `otherwise`.
    Reference: doc.rust-lang.org/reference/conditional-compilation.html.
    """
    condition = condition.strip()
    if not condition:
        return True
    if not condition.startswith("cfg("):
        return condition == arch.triple
    tokens = list(_tokens(condition))
    try:
        return _Reader(tokens[2:-1], arch, otherwise=otherwise).expression()
    except (IndexError, RecursionError):
        return True


def holds_anywhere(condition: str) -> bool:
    """Tell whether `condition` holds on any of the farm's architectures."""
    return any(holds(condition, arch) for arch in Arch)


def differs(condition: str) -> bool:
    """Tell whether `condition`, written `cfg(…)`, may differ between the farm's architectures."""
    return any(
        len({holds(condition, arch, otherwise=otherwise) for arch in Arch}) > 1
        for otherwise in (False, True)
    )


def _tokens(text: str) -> Iterator[str]:
    for found in _TOKEN.finditer(text):
        yield found[found.lastgroup or 0]


def _facts(arch: Arch) -> frozenset[tuple[str, str]]:
    return frozenset(
        {
            ("target_os", "linux"),
            ("target_family", "unix"),
            ("target_env", "gnu"),
            ("target_vendor", "unknown"),
            ("target_endian", "little"),
            ("target_pointer_width", "64"),
            ("target_arch", arch.value),
            *(("target_has_atomic", size) for size in ("8", "16", "32", "64", "ptr")),
        }
    )


class _Reader:
    """A recursive descent over the tokens of one condition; IndexError when they run out."""

    def __init__(self, tokens: list[str], arch: Arch, *, otherwise: bool) -> None:
        self._tokens = tokens
        self._otherwise = otherwise
        self._facts = _facts(arch)
        self._at = 0

    def expression(self) -> bool:
        name = self._next()
        if self._peek() == "(":
            inner = self._arguments()
            return {"all": all, "any": any, "not": _none}.get(name, any)(inner)
        if self._peek() == "=":
            self._next()
            value = self._next().strip('"')
            return (name, value) in self._facts if name in _NAMES else self._otherwise
        return name in _TRUE or (name not in _FALSE and self._otherwise)

    def _arguments(self) -> list[bool]:
        self._next()
        found = []
        while self._peek() != ")":
            found.append(self.expression())
            if self._peek() == ",":
                self._next()
        self._next()
        return found

    def _peek(self) -> str:
        return self._tokens[self._at] if self._at < len(self._tokens) else ""

    def _next(self) -> str:
        token = self._tokens[self._at]
        self._at += 1
        return token


def _none(values: list[bool]) -> bool:
    return not any(values)
