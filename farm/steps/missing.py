"""Which library, header or program a build did not find, by what its tools say."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from farm.bases.debian import BUILDER_PACKAGES
from farm.bases.libraries import PROGRAMS, package_of_header, package_of_library


@dataclass(frozen=True, kw_only=True)
class Missing:
    """Something of the system that a build did not find."""

    what: str
    """For people: `the library foo`."""
    package: str
    """Debian's package of it, or an empty string."""

    def __str__(self) -> str:
        if not self.package:
            return f"{self.what} is missing, and no package of the builder image has it"
        if self.package in BUILDER_PACKAGES:
            return f"{self.what} was not found, though the builder image has {self.package}"
        return f"{self.what} is missing: the builder image has no {self.package}"


def _library(name: str) -> Missing:
    return Missing(what=f"the library {name}", package=package_of_library(name))


def _header(path: str) -> Missing:
    return Missing(what=f"the C header {path}", package=package_of_header(path))


def _program(path: str) -> Missing:
    name = path.rpartition("/")[2]
    return Missing(what=f"the program {name}", package=PROGRAMS.get(name, ""))


def _libclang(_: str) -> Missing:
    return Missing(what="the library libclang", package="libclang-dev")


def _openssl(_: str) -> Missing:
    return _library("openssl")


_NAME = r"[\w.+-]{1,100}"
_TOLD: tuple[tuple[re.Pattern[str], Callable[[str], Missing]], ...] = tuple(
    (re.compile(pattern), made)
    for pattern, made in (
        # Linkers: zig, lld, GNU ld; rustc itself.
        (rf'unable to find (?:dynamic|static) system library "({_NAME})"', _library),
        (rf"unable to find library -l({_NAME})", _library),
        (rf"cannot find -l({_NAME})", _library),
        (rf"could not find native static library `({_NAME})`", _library),
        # C compilers: clang, gcc.
        (r"fatal error: '([^']{1,200})' file not found", _header),
        (r"fatal error: (\S{1,200}\.h\w{0,2}): No such file or directory", _header),
        # pkg-config, and the crate of that name.
        (rf"Package '?({_NAME})'?(?:, required by '[^']+',| was) not found", _library),
        (rf"The system library `({_NAME})` required by crate", _library),
        (r"The (pkg-config) command could not be found", _program),
        # Crates that look for one thing: openssl-sys, clang-sys, cmake, prost-build, cc.
        (r"(Could not find directory of OpenSSL installation)", _openssl),
        (
            r"(Unable to find libclang|couldn't find any valid shared libraries.*libclang)",
            _libclang,
        ),
        (rf"[Ii]s `({_NAME})` not installed\?", _program),
        (r"Could not find `(protoc)`", _program),
        (r'failed to find tool "([^"]{1,200})"', _program),
        # Shells and make.
        (rf"(?:^|\s)\S{{1,200}}: \d+: ({_NAME}): not found$", _program),
        (rf": ({_NAME}): command not found$", _program),
        (rf"make(?:\[\d+\])?: ({_NAME}): No such file or directory$", _program),
    )
)


def missing(line: str) -> Missing | None:
    """Return what one line of a build's output says is missing, or None."""
    for pattern, made in _TOLD:
        if found := pattern.search(line):
            return made(found[1])
    return None
