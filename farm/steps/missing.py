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

    @property
    def git(self) -> bool:
        """It is git itself."""
        return self.package == PROGRAMS["git"]

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
_PROGRAMS = "git|python3?|perl|cmake|nasm|protoc|flatc|capnp|npm|npx|yarn|clang|bison|flex|swig"
"""Programs whose names are no words of their own."""
_STARTED = r"\b(?:[Ee]xecut|[Rr]un|[Ss]pawn|[Ii]nvok|[Ss]tart|[Ll]aunch|[Cc]all|[Ff]ind)\w{0,3}\b"
_ENOENT = r"(?:.*\(os error 2\)|.*code: 2, kind: NotFound)"
_NOT_THERE = r"(?:kind: NotFound|\(os error 2\)|\bnot found\b)"
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
        # Crates that look for one thing: openssl-sys, clang-sys, cmake and autotools,
        # prost-build, protobuf-parse, aws-lc-sys, openssl-src, cc.
        (r"(Could not find directory of OpenSSL installation)", _openssl),
        (
            r"(Unable to find libclang|couldn't find any valid shared libraries.*libclang)",
            _libclang,
        ),
        (rf"[Ii]s `({_NAME})` not installed\?", _program),
        (
            r"Could not find `(protoc)`|failed to invoke (protoc) |(protoc) binary not found",
            _program,
        ),
        (rf"^Missing dependency: ({_NAME})$", _program),
        (rf"Command '({_NAME})' not found\. Is ", _program),
        (r'failed to find tool "([^"]{1,200})"', _program),
        # Build scripts that run a program: nasm-rs, and many by hand.
        (rf"^(?=.*{_STARTED}).*(?<![\w./-])({_PROGRAMS})(?![\w./-]){_ENOENT}", _program),
        (rf"^({_PROGRAMS}): {_ENOENT}", _program),
        (
            rf"{_STARTED}(?: command)?:? [`'\"]({_NAME})(?: [^`'\"]*)?[`'\"].*{_NOT_THERE}",
            _program,
        ),
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
            return made(next(filter(None, found.groups())))
    return None
