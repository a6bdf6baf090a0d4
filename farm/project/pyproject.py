"""A project's pyproject.toml: who it is, what builds it, what `[tool.maturin]` says.

Sources: PEP 517, 518 and 621; `ToolMaturin` of maturin 1.16 (src/pyproject_toml.rs).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.utils import canonicalize_name

from farm.model.errors import UsageError, nearest
from farm.project.bindings import Conditional
from farm.project.disk import readable
from farm.project.toml import Table, read_toml

PYPROJECT = "pyproject.toml"
_LONGEST = 4000
"""Characters of a requirement or range: a number in it has to be one that Python reads."""
_DEFAULT_BACKEND = "setuptools.build_meta:__legacy__"


_KEYS = frozenset(
    {
        *("all-features", "auditwheel", "bindings", "compatibility", "config", "data"),
        *("editable-profile", "exclude", "features", "frozen", "include", "locked"),
        *("manifest-path", "manylinux", "module-name", "no-default-features", "pgo-command"),
        *("profile", "python-packages", "python-source", "rustc-args", "sbom", "sdist-generator"),
        *("sdist-include", "skip-auditwheel", "strip", "target", "targets", "unstable-flags"),
        "use-base-python",
    }
)
"""Keys of `[tool.maturin]`: maturin.schema.json of maturin 1.16, and those of earlier versions."""


@dataclass(frozen=True, kw_only=True)
class Maturin:
    """The keys of `[tool.maturin]` that the farm looks at; maturin reads them all by itself."""

    manifest_path: str | None
    bindings: str | None
    features: tuple[str, ...]
    """The plain ones. maturin forgets them when `--features` is given on its command line."""
    conditional: tuple[Conditional, ...]
    all_features: bool
    no_default_features: bool
    profile: str | None
    module_name: str | None
    python_source: str | None
    python_packages: tuple[str, ...]
    data: str | None
    include: tuple[str, ...]
    """The patterns of files for the wheel; not those for the sdist only, or from OUT_DIR."""
    exclude: tuple[str, ...]
    """The patterns of files that the wheel is not to hold."""
    strip: bool
    pgo: bool
    """True when a command for profile-guided optimisation is set."""
    rustflags: tuple[str, ...]
    """`rustc-args`."""
    config: tuple[str, ...]
    """`config`, as of cargo's `--config`."""


@dataclass(frozen=True, kw_only=True)
class PyProject:
    """One pyproject.toml of a maturin project."""

    file: Path
    name: str | None
    version: str | None
    requires_python: SpecifierSet | None
    maturin_range: SpecifierSet
    """What `build-system.requires` says of maturin; empty where it says nothing."""
    build_requires: tuple[Requirement, ...]
    """The rest of `build-system.requires`: cffi and the like."""
    maturin: Maturin
    farm: Mapping[str, Any]
    """`[tool.farm]` as it was parsed."""
    groups: Mapping[str, Any]
    """`[dependency-groups]` (PEP 735) as it was parsed."""
    license_files: tuple[str, ...] | None
    """The patterns of `project.license-files`; None where maturin looks for the usual names."""
    elsewhere: tuple[str, ...]
    """Paths, perhaps outside of the project's directory, that the build reads."""
    warnings: tuple[str, ...]


@readable()
def read_pyproject(directory: Path) -> PyProject:
    """Return the pyproject.toml of the project in `directory`.

    Raises UsageError when there is no such directory or file, when it is broken, or when
    something other than maturin builds it.
    """
    if not directory.is_dir():
        what = "is no directory" if directory.exists() else "does not exist"
        raise UsageError(f"{directory} {what}", "Name the directory that holds pyproject.toml.")
    table = read_toml(
        directory / PYPROJECT, "Name the directory of a maturin project, or change to it."
    )
    warnings = _check_backend(table)
    project, maturin = table.table("project"), table.table("tool").table("maturin")
    requires = _requirements(table.table("build-system"))
    return PyProject(
        file=table.file,
        name=project.text("name"),
        version=None if "version" in project.texts("dynamic") else project.text("version"),
        requires_python=_specifiers(project, "requires-python"),
        maturin_range=_range(requires),
        build_requires=tuple(r for r in requires if not _is_maturin(r)),
        maturin=_maturin(maturin),
        farm=table.table("tool").table("farm").data,
        groups=table.table("dependency-groups").data,
        license_files=_license_files(table),
        elsewhere=_elsewhere(project, maturin),
        warnings=(*warnings, *_unknown(maturin)),
    )


def check_maturin(project: PyProject, version: str) -> None:
    """Raise UsageError when the farm's maturin `version` is outside of the project's range."""
    if not project.maturin_range.contains(version, prereleases=True):
        raise UsageError(
            f"{project.file} wants maturin{project.maturin_range}, and the farm has {version}",
            "Widen maturin's range in build-system.requires.",
        )


def _check_backend(table: Table) -> tuple[str, ...]:
    system = table.table("build-system")
    backend = system.text("build-backend") or _DEFAULT_BACKEND
    if backend == "maturin":
        return ()
    if "backend-path" in system and "maturin" in table.table("tool"):
        return (f"the build backend {backend!r} inside the project is not run; maturin is",)
    name = table.table("project").text("name") or table.file.parent.name
    raise UsageError(
        f"{name} uses {backend.partition('.')[0]}; the farm builds maturin projects",
        f"Set build-backend = 'maturin' in {table.file} if it is one.",
    )


def _requirements(system: Table) -> tuple[Requirement, ...]:
    found = []
    for text in system.texts("requires"):
        if len(text) > _LONGEST:
            raise system.fault("requires", f"of less than {_LONGEST} characters each")
        try:
            found.append(Requirement(text))
        except (InvalidRequirement, RecursionError) as error:
            raise UsageError(
                f"{system.file}: build-system.requires holds {text!r}: {error}",
                "Write it as PEP 508 says: maturin>=1.5,<2.",
            ) from None
    return tuple(found)


def _is_maturin(requirement: Requirement) -> bool:
    return canonicalize_name(requirement.name) == "maturin"


def _range(requirements: tuple[Requirement, ...]) -> SpecifierSet:
    found = SpecifierSet()
    for requirement in requirements:
        # One for other interpreters or systems only does not bind here; one by URL can't be judged.
        applies = requirement.marker is None or requirement.marker.evaluate()
        if _is_maturin(requirement) and applies:
            found &= requirement.specifier
    return found


def _specifiers(table: Table, key: str) -> SpecifierSet | None:
    text = table.text(key)
    if text is None:
        return None
    if len(text) > _LONGEST:
        raise table.fault(key, f"of less than {_LONGEST} characters")
    try:
        return SpecifierSet(text)
    except InvalidSpecifier:
        raise table.fault(key, f"a version range: {text!r}") from None


def _unknown(table: Table) -> Iterator[str]:
    """Yield a line for each key of `[tool.maturin]` that maturin passes over."""
    for key in table.data:
        if key not in _KEYS:
            known = nearest(key, sorted(_KEYS))
            yield f"{table.file}: maturin knows no key {key!r} in [tool.maturin]{known}"


def _maturin(table: Table) -> Maturin:
    plain, conditional = _features(table)
    return Maturin(
        manifest_path=table.text("manifest-path"),
        bindings=table.text("bindings"),
        features=plain,
        conditional=conditional,
        all_features=bool(table.flag("all-features")),
        no_default_features=bool(table.flag("no-default-features")),
        profile=table.text("profile"),
        module_name=table.text("module-name"),
        python_source=table.text("python-source"),
        python_packages=table.texts("python-packages"),
        data=table.text("data"),
        include=tuple(_patterns(table, "include")),
        exclude=tuple(_patterns(table, "exclude")),
        strip=bool(table.flag("strip")),
        pgo=any(key.startswith("pgo") for key in table.data),
        rustflags=table.texts("rustc-args"),
        config=table.texts("config"),
    )


def _patterns(table: Table, key: str) -> Iterator[str]:
    """Yield what is at `key` for the wheel, as `GlobPattern::targets` of maturin reads it."""
    for item in table.items(key):
        if isinstance(item, str):
            yield item
        elif isinstance(item, dict) and "from" not in item and isinstance(item.get("path"), str):
            formats = item.get("format")
            if "wheel" in (formats if isinstance(formats, list) else [formats]):
                yield item["path"]


def _license_files(table: Table) -> tuple[str, ...] | None:
    project = table.table("project")
    if "license-files" in project:
        return project.texts("license-files")
    return None if "project" in table else ()


def _features(table: Table) -> tuple[tuple[str, ...], tuple[Conditional, ...]]:
    """Split features into those always on and those for some interpreters (PyPy's are left)."""
    plain: list[str] = []
    conditional: list[Conditional] = []
    for item in table.items("features"):
        if isinstance(item, str):
            plain.append(_feature(table, item))
            continue
        if not isinstance(item, dict):
            raise table.fault("features", "an array of features")
        spec = Table(file=table.file, data=item, name=f"{table.name}.features")
        feature = spec.text("feature")
        if feature is None:
            raise spec.fault("feature", "there")
        feature = _feature(table, feature)
        implementation = (spec.text("python-implementation") or "cpython").lower()
        versions = _specifiers(spec, "python-version")
        if versions is None and "python-implementation" not in spec:
            plain.append(feature)
        elif implementation == "cpython":
            conditional.append(Conditional(feature=feature, python=versions or SpecifierSet()))
    return tuple(plain), tuple(conditional)


def _feature(table: Table, name: str) -> str:
    """Return `name`; raise UsageError for one that a command line takes for an option."""
    if name.startswith("-"):
        raise table.fault("features", f"an array of features: {name!r} is an option")
    return name


def _elsewhere(project: Table, maturin: Table) -> tuple[str, ...]:
    readme, terms = project.data.get("readme"), project.data.get("license")
    found = [readme, maturin.text("python-source"), maturin.text("data")]
    found += [part.get("file") for part in (readme, terms) if isinstance(part, dict)]
    found += maturin.table("sbom").texts("include")
    return tuple(path for path in found if isinstance(path, str) and "\0" not in path)
