"""What a project is, read from its files: nothing is started, no cargo is needed."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from packaging.utils import InvalidName, canonicalize_name

from farm.model.errors import UsageError
from farm.model.targets import Abi
from farm.project.bindings import Bindings, detect
from farm.project.crates import LOCK, MANIFEST, Crate, Tree, check_pinned, read_lock
from farm.project.disk import readable
from farm.project.features import Wanted, resolve
from farm.project.pyproject import PyProject, read_pyproject


@dataclass(frozen=True, kw_only=True)
class Project:
    """A maturin project on this machine's disk."""

    root: Path
    """The directory of pyproject.toml, absolute, links resolved."""
    name: str
    version: str
    pyproject: PyProject
    crate: Crate
    """The crate that maturin builds."""
    bindings: Bindings
    crates: tuple[Crate, ...]
    """All whose manifests cargo reads for the crate, the workspace root among them."""
    wanted: Wanted
    """The features of the crate that the build asks for, `[tool.maturin]`'s own among them."""
    warnings: tuple[str, ...] = ()

    @property
    def directories(self) -> tuple[Path, ...]:
        """The directories of `crates`, ascending."""
        return tuple(crate.directory for crate in self.crates)

    @property
    def manifest(self) -> Path:
        """The Cargo.toml that maturin builds."""
        return self.crate.manifest

    @property
    def lock(self) -> Path:
        """Cargo.lock, beside the workspace root's manifest."""
        return self.crate.workspace_root / LOCK

    @property
    def abi(self) -> Abi:
        """What wheels are tied to; `select.interpreters` says it for each interpreter."""
        return self.bindings.abi


@readable()
def inspect(
    directory: Path,
    *,
    features: Sequence[str] = (),
    default_features: bool = True,
    pinned: bool = True,
) -> Project:
    """Return the maturin project in `directory`.

    `features` and `default_features` are what `[tool.farm]` or the command line add to
    `[tool.maturin]`; `pinned` says that Cargo.lock has to name every crate from outside. Raises
    UsageError, with a remedy, for whatever keeps it from being built: no or a broken
    pyproject.toml or Cargo.toml, another build backend, no Cargo.lock or one that lacks a crate,
    bindings that can't be told.
    """
    root = directory.resolve()
    pyproject = read_pyproject(root)
    tree = Tree()
    crate = tree.crate(_manifest(root, pyproject))
    locked = read_lock(crate)
    if pinned:
        check_pinned(crate, locked)
    maturin = pyproject.maturin
    wanted = Wanted(
        features=tuple(dict.fromkeys((*maturin.features, *features))),
        default=default_features and not maturin.no_default_features,
        all=maturin.all_features,
    )
    name = pyproject.name or crate.name
    _require_name(pyproject.file, name)
    bindings = detect(
        crate,
        resolve(tree, crate, locked, wanted),
        asked=maturin.bindings,
        conditional=maturin.conditional,
    )
    return Project(
        root=root,
        name=name,
        version=pyproject.version or crate.inherited("version") or "0.0.0",
        pyproject=pyproject,
        crate=crate,
        bindings=bindings,
        crates=tree.crates(crate),
        wanted=wanted,
        warnings=pyproject.warnings,
    )


def _require_name(file: Path, name: str) -> None:
    """Raise UsageError for a name that no index or installer takes (PEP 508)."""
    try:
        canonicalize_name(name, validate=True)
    except InvalidName:
        raise UsageError(
            f"{file}: the project's name {name!r} is none that a package can have",
            "Use ASCII letters and digits, and '.', '-' or '_' between them.",
        ) from None


def _manifest(root: Path, pyproject: PyProject) -> Path:
    """Return the Cargo.toml to build, as `resolve_manifest_paths` of maturin 1.16 finds it."""
    named = pyproject.maturin.manifest_path
    if named is not None:
        path = Path(os.path.normpath(root / named))
        if not path.is_file():
            raise UsageError(
                f"{pyproject.file}: manifest-path names {named}, which is no file",
                "Correct manifest-path in [tool.maturin].",
            )
        return path
    nested = root / "rust" / MANIFEST
    if nested.is_file() and _python_first(root, pyproject):
        return nested
    return root / MANIFEST


def _python_first(root: Path, pyproject: PyProject) -> bool:
    """Tell whether Python lies in `src/`, and so Rust in `rust/`."""
    if pyproject.maturin.python_source is not None:
        return True
    package = (pyproject.name or "").replace("-", "_")
    return bool(package) and (root / "src" / package / "__init__.py").is_file()
