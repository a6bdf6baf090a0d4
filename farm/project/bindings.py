"""How a project's wheel is bound to Python, decided as maturin decides it.

Source: `find_bridge`, `has_stable_abi` and `resolve_conditional` of maturin 1.16
(src/bridge/detection.rs, src/pyproject_toml.rs). maturin asks cargo for the resolved graph; here
it is resolved from the manifests and Cargo.lock, so that nothing need be started.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from packaging.specifiers import SpecifierSet
from packaging.version import Version

from farm.model.errors import UsageError, nearest
from farm.model.targets import Abi, Interpreter
from farm.project.crates import Crate
from farm.project.features import Resolved

ABI3T_LOWEST = 15
"""The first CPython with the free-threaded stable ABI (PEP 803)."""


class Kind(StrEnum):
    """What maturin calls the bindings."""

    PYO3 = "pyo3"
    PYO3_FFI = "pyo3-ffi"
    CFFI = "cffi"
    UNIFFI = "uniffi"
    BIN = "bin"


_PYO3 = (Kind.PYO3, Kind.PYO3_FFI)


@dataclass(frozen=True, kw_only=True)
class Conditional:
    """A feature of `[tool.maturin]` that only some interpreters turn on."""

    feature: str
    python: SpecifierSet

    def holds(self, interpreter: Interpreter) -> bool:
        """Tell whether `interpreter` turns the feature on."""
        return self.python.contains(f"3.{interpreter.minor}", prereleases=True)


@dataclass(frozen=True, kw_only=True)
class Bindings:
    """How the wheel is bound to Python."""

    kind: Kind
    pyo3: Version | None
    """PyO3's version; None where the crate does not use it."""
    features: frozenset[str] = frozenset()
    """Features that are on in pyo3 or pyo3-ffi for every interpreter."""
    conditional: tuple[Conditional, ...] = ()
    """Features of pyo3 or pyo3-ffi that depend on the interpreter."""

    def abi3(self, interpreter: Interpreter) -> int | Literal[False] | None:
        """Return the lowest minor version that a build on `interpreter` claims through abi3.

        None is plain `abi3`, which claims the interpreter it is built on; False is no abi3.
        Raises UsageError when a feature names no version.
        """
        if interpreter.threaded or self.kind not in _PYO3:
            return False
        return _lowest(self._active(interpreter), "abi3")

    def abi3t(self, interpreter: Interpreter) -> bool:
        """Tell whether maturin takes the free-threaded stable ABI on `interpreter`."""
        if self.kind not in _PYO3:
            return False
        lowest = _lowest(self._active(interpreter), "abi3t")
        return lowest is not False and interpreter.minor >= max(lowest or 0, ABI3T_LOWEST)

    def _active(self, interpreter: Interpreter) -> frozenset[str]:
        return self.features | {c.feature for c in self.conditional if c.holds(interpreter)}

    @property
    def abi(self) -> Abi:
        """What wheels are tied to where no interpreter says otherwise."""
        if self.pyo3 is None:
            return Abi.NONE
        stable = self.kind in _PYO3 and _lowest(self.features, "abi3") is not False
        return Abi.ABI3 if stable else Abi.VERSION


def _lowest(features: frozenset[str], kind: str) -> int | Literal[False] | None:
    """Return the lowest version that features name, None for the plain one, False for neither."""
    versions = [_version(f, kind) for f in features if f.startswith(f"{kind}-py")]
    if versions:
        return min(versions)
    return None if kind in features else False


def _version(feature: str, kind: str) -> int:
    found = re.fullmatch(rf"{kind}-py3([0-9]{{1,3}})", feature)
    if found is None:
        raise UsageError(f"the PyO3 feature {feature!r} names no Python", "Write abi3-py39.")
    return int(found[1])


def detect(
    crate: Crate,
    resolved: Resolved,
    *,
    asked: str | None,
    conditional: tuple[Conditional, ...],
) -> Bindings:
    """Return the bindings of `crate`; `asked` is `bindings` of `[tool.maturin]`.

    Raises UsageError when `asked` is unknown, when it wants a PyO3 that is not there, when the
    kind can't be told, or when several versions of PyO3 are reached.
    """
    version = _pyo3_version(resolved)
    kind = _kind(crate, resolved, _known(asked) if asked else None)
    if kind in _PYO3 and version is None:
        raise UsageError(
            f"bindings = {asked!r}, but {crate.manifest} does not depend on PyO3",
            "Correct bindings in [tool.maturin], or add the dependency.",
        )
    features = frozenset().union(*(resolved.features.get(k, frozenset()) for k in _PYO3))
    return Bindings(
        kind=kind,
        pyo3=version if kind in (*_PYO3, Kind.BIN) else None,
        features=features,
        conditional=_of_pyo3(conditional),
    )


def _of_pyo3(conditional: tuple[Conditional, ...]) -> tuple[Conditional, ...]:
    found = []
    for each in conditional:
        name, _, feature = each.feature.partition("/")
        if name in _PYO3:
            found.append(Conditional(feature=feature, python=each.python))
    return tuple(found)


def _known(asked: str) -> Kind:
    try:
        return Kind(asked)
    except ValueError:
        raise UsageError(
            f"unknown bindings {asked!r} in [tool.maturin]{nearest(asked, map(str, Kind))}",
            f"Known: {', '.join(Kind)}.",
        ) from None


def _pyo3_version(resolved: Resolved) -> Version | None:
    for name in _PYO3:
        versions = resolved.versions.get(name, ())
        if len(versions) > 1:
            raise UsageError(
                f"several versions of {name} in one library: {', '.join(map(str, versions))}",
                f"Make every dependency agree on one; `cargo tree -i {name}` shows who asks.",
            )
        if versions:
            return versions[0]
    return None


def _kind(crate: Crate, resolved: Resolved, asked: Kind | None) -> Kind:
    if asked in (Kind.CFFI, Kind.UNIFFI, Kind.BIN):
        return asked
    library, program = _is_cdylib(crate), _has_program(crate)
    for name in _PYO3:
        if name in resolved.versions:
            return Kind.BIN if asked is None and program and not library else name
    if asked is not None:
        return asked
    if "uniffi" in resolved.versions:
        return Kind.UNIFFI
    if library:
        return Kind.CFFI
    if program:
        return Kind.BIN
    raise UsageError(
        f"{crate.manifest} makes neither a library for Python nor a program",
        'Add `crate-type = ["cdylib"]` to [lib], or set bindings in [tool.maturin].',
    )


def _is_cdylib(crate: Crate) -> bool:
    return "cdylib" in crate.table.table("lib").texts("crate-type", "crate_type")


def _has_program(crate: Crate) -> bool:
    """Tell whether cargo finds a program: `[[bin]]`, `src/main.rs` or `src/bin/`."""
    if crate.table.tables("bin"):
        return True
    if crate.table.table("package").flag("autobins") is False:
        return False
    source = crate.directory / "src"
    found = [source / "main.rs", *source.glob("bin/*.rs"), *source.glob("bin/*/main.rs")]
    return any(path.is_file() for path in found)
