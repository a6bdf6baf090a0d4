"""Derives from a wheel's file list what an installation of it can import and run."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

_LIBRARY = re.compile(
    r"(?P<name>\w+)(?:\.(?P<soabi>abi3t?|(?:cpython|pypy|graalpy)\d*[\w-]*))?\.so", re.ASCII
)
"""A file name that an interpreter's import system takes for an extension module (PEP 3149)."""
_SOURCE = re.compile(r"(?P<name>\w+)\.pyc?")
_ROOTS = ("purelib", "platlib")
_DATA = ("NAME-VERSION.data", "platlib")
"""What stands before the path of a file that goes to another root than the wheel's own."""
_SKIPPED = ("__init__", "__main__")
"""At the top of a wheel these are no modules: there is no package that they belong to."""


@dataclass(frozen=True, kw_only=True, order=True)
class Extension:
    """One extension module: a shared library that `import` loads."""

    module: str
    """Its dotted name, such as `rpds.rpds`."""
    file: str
    """Its path in the archive."""
    soabi: str = ""
    """What stands before `.so`: `cpython-312-x86_64-linux-gnu`, `abi3`, or nothing."""


@dataclass(frozen=True, kw_only=True)
class _File:
    name: str
    """Its path in the archive."""
    directory: tuple[str, ...]
    """Where an installation puts it, below site-packages."""
    base: str


@dataclass(frozen=True, kw_only=True)
class Contents:
    """The files of one wheel."""

    files: tuple[str, ...]
    stem: str
    """`NAME-VERSION`: what the `.dist-info` and `.data` directories begin with."""

    def modules(self) -> tuple[str, ...]:
        """Return the names to import, as `Wheel.modules` describes them, sorted.

        Stubs (`.pyi`), data, library directories (`NAME.libs`) and whatever else has a path
        that is no Python name are left out.
        """
        sources = [(f, m) for f in self._importable() if (m := self._module(f))]
        packages = {f.directory for f, module in sources if module == "__init__"}
        found: set[str] = set()
        for file, module in sources:
            if not file.directory:
                found |= {module} - set(_SKIPPED)
                continue
            above = (file.directory[:depth] for depth in range(1, len(file.directory) + 1))
            package = next((d for d in above if d in packages), file.directory[:1])
            found.add(".".join(package))
        namespaces = {n for n in found if any(other.startswith(f"{n}.") for other in found)}
        return tuple(sorted(found - namespaces))

    def extensions(self, plain: frozenset[str]) -> tuple[Extension, ...]:
        """Return the extension modules; of those called `x.so`, the ones in `plain` only."""
        found = []
        for file in self._importable():
            match = _LIBRARY.fullmatch(file.base)
            if match is None or not (match["soabi"] or file.name in plain):
                continue
            module = _dotted(file.directory, match["name"])
            found.append(Extension(module=module, file=file.name, soabi=match["soabi"] or ""))
        return tuple(sorted(found))

    def plain_libraries(self) -> Iterator[tuple[str, str]]:
        """Yield (path, last part of the module name) of the files called `x.so`."""
        for file in self._importable():
            match = _LIBRARY.fullmatch(file.base)
            if match and not match["soabi"]:
                yield file.name, match["name"]

    def scripts(self) -> tuple[str, ...]:
        """Return the names of the programs in `.data/scripts`, sorted."""
        above = f"{self.stem}.data/scripts/"
        return tuple(sorted(f.removeprefix(above) for f in self.files if f.startswith(above)))

    def _module(self, file: _File) -> str:
        """Return the last part of the name that `file` is imported by, or an empty string.

        Libraries without an ABI in their name are not counted: most are no modules.
        """
        match = _SOURCE.fullmatch(file.base)
        if match is None:
            match = _LIBRARY.fullmatch(file.base)
            if match is None or not match["soabi"]:
                return ""
        return match["name"] if match["name"].isidentifier() else ""

    def _importable(self) -> Iterator[_File]:
        """Yield the files that site-packages gets, in directories that can be packages."""
        for name in self.files:
            parts = tuple(name.split("/"))
            if parts[0] == f"{self.stem}.data":
                if len(parts) <= len(_DATA) or parts[1] not in _ROOTS:
                    continue
                parts = parts[len(_DATA) :]
            directory = parts[:-1]
            if "__pycache__" not in directory and all(p.isidentifier() for p in directory):
                yield _File(name=name, directory=directory, base=parts[-1])


def _dotted(directory: tuple[str, ...], name: str) -> str:
    parts = directory if name == "__init__" and directory else (*directory, name)
    return ".".join(parts)
