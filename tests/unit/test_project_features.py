from __future__ import annotations

from pathlib import Path

import pytest
from made_projects import LOCK, SIMPLE, locked, write

from farm.model.targets import Arch
from farm.project.cfg import differs, holds
from farm.project.inspect import inspect

PACKAGE = """\
[package]
name = "sample"
version = "1.2.3"
[lib]
crate-type = ["cdylib"]
"""
OPTIONAL = PACKAGE + '[dependencies]\npyo3 = { version = "0.29", optional = true }\n'
PLAIN = PACKAGE + '[dependencies]\npyo3 = { version = "0.29", default-features = false }\n'


@pytest.mark.parametrize(
    ("cargo", "expected"),
    [
        (PLAIN, set()),
        (PLAIN + '[features]\ndefault = ["pyo3/abi3"]\n', {"abi3"}),
        (PLAIN + '[features]\ndefault = ["a"]\na = ["b"]\nb = ["pyo3/abi3-py39"]\n', {"abi3-py39"}),
        (PLAIN + '[features]\na = ["pyo3/abi3"]\n', set()),
        (PLAIN + '[features]\ndefault = ["b", "a"]\na = ["b"]\nb = ["a"]\n', set()),
        (OPTIONAL + '[features]\ndefault = ["dep:pyo3", "pyo3?/abi3"]\n', {"abi3", "default"}),
        (OPTIONAL + '[features]\ndefault = ["pyo3/abi3"]\n', {"abi3", "default"}),
        (OPTIONAL + '[features]\ndefault = ["pyo3"]\n', {"default"}),
        (
            PACKAGE + '[target."cfg(unix)".dependencies]\n'
            'pyo3 = { version = "0.29", features = ["abi3"] }\n'
            '[target."cfg(windows)".dependencies.pyo3]\nversion = "0.29"\n'
            'features = ["generate-import-lib"]\n',
            {"abi3", "default"},
        ),
        (
            PACKAGE + '[dev-dependencies]\npyo3 = { version = "0.29", features = ["x"] }\n',
            {"x", "default"},
        ),
        (
            PACKAGE + '[dependencies.pyo3]\nversion = "0.29"\ndefault_features = false\n',
            set(),
        ),
    ],
)
def test_features_are_followed_as_cargo_does(
    tmp_path: Path, cargo: str, expected: set[str]
) -> None:
    write(tmp_path, SIMPLE | {"Cargo.toml": cargo})
    assert inspect(tmp_path).bindings.features == expected


def test_an_optional_dependency_that_is_off_is_not_reached(tmp_path: Path) -> None:
    cargo = OPTIONAL + '[features]\na = ["pyo3?/abi3"]\ndefault = ["a"]\n'
    write(tmp_path, SIMPLE | {"Cargo.toml": cargo})
    assert inspect(tmp_path).bindings.pyo3 is None
    assert inspect(tmp_path, features=["pyo3"]).bindings.pyo3 is not None


def test_asked_features_join_those_of_maturin(tmp_path: Path) -> None:
    cargo = PLAIN + '[features]\ndefault = ["d"]\nd = ["pyo3/d"]\na = ["pyo3/a"]\nb = ["pyo3/b"]\n'
    write(tmp_path, SIMPLE | {"Cargo.toml": cargo})
    with (tmp_path / "pyproject.toml").open("a") as file:
        file.write('[tool.maturin]\nfeatures = ["a"]\n')
    assert inspect(tmp_path).bindings.features == {"a", "d"}
    assert inspect(tmp_path, features=["b,pyo3/c"]).bindings.features == {"a", "b", "c", "d"}
    assert inspect(tmp_path, default_features=False).bindings.features == {"a"}


def test_all_features_turn_on_all(tmp_path: Path) -> None:
    write(tmp_path, SIMPLE | {"Cargo.toml": OPTIONAL + '[features]\na = ["pyo3?/a"]\n'})
    with (tmp_path / "pyproject.toml").open("a") as file:
        file.write("[tool.maturin]\nall-features = true\n")
    assert inspect(tmp_path).bindings.features == {"a", "default"}


def test_a_path_dependency_turns_features_on(tmp_path: Path) -> None:
    lock = "version = 4\n" + "".join(
        [
            locked("sample", "1.2.3", "core", path=True),
            locked("core", "1.0.0", "pyo3", path=True),
            locked("pyo3", "0.28.1"),
        ]
    )
    write(
        tmp_path,
        SIMPLE
        | {
            "Cargo.lock": lock,
            "Cargo.toml": PACKAGE + '[dependencies]\ncore = { path = "core", features = ["py"] }\n',
            "core/Cargo.toml": '[package]\nname = "core"\nversion = "1.0.0"\n[dependencies]\n'
            'pyo3 = { version = "0.28", optional = true }\n'
            '[features]\npy = ["dep:pyo3", "pyo3/abi3-py310"]\n',
        },
    )
    found = inspect(tmp_path)
    assert str(found.bindings.pyo3) == "0.28.1"
    assert found.bindings.features == {"abi3-py310", "default"}
    assert found.directories == (tmp_path, tmp_path / "core")


def test_a_sibling_that_is_not_reached_turns_nothing_on(tmp_path: Path) -> None:
    """Cargo's own metadata would unify over the workspace; a build of one crate does not."""
    write(
        tmp_path,
        SIMPLE
        | {
            "Cargo.lock": LOCK,
            "Cargo.toml": PLAIN + '[workspace]\nmembers = ["other"]\n',
            "other/Cargo.toml": '[package]\nname = "other"\nversion = "1.0.0"\n'
            '[dependencies]\npyo3 = { version = "0.29", features = ["abi3"] }\n',
        },
    )
    assert inspect(tmp_path).bindings.features == set()


@pytest.mark.parametrize(
    ("condition", "x86_64", "aarch64"),
    [
        ("", True, True),
        ("cfg(unix)", True, True),
        ("cfg(windows)", False, False),
        ("cfg(not(windows))", True, True),
        ("x86_64-unknown-linux-gnu", True, False),
        ("x86_64-pc-windows-msvc", False, False),
        ('cfg(target_arch = "aarch64")', False, True),
        ('cfg(all(target_os = "linux", not(target_env = "musl")))', True, True),
        ('cfg(any(target_arch="x86", target_arch="x86_64",))', True, False),
        ('cfg(all(any(target_arch = "aarch64"), target_pointer_width = "64"))', False, True),
        ('cfg(target_family = "wasm")', False, False),
        ("cfg(all())", True, True),
        ("cfg(any())", False, False),
        ("cfg(tokio_unstable)", False, False),
        ("cfg(", True, True),
        ("cfg(all(unix", True, True),
    ],
)
def test_platform_conditions(condition: str, x86_64: bool, aarch64: bool) -> None:  # noqa: FBT001
    assert holds(condition, Arch.X86_64) is x86_64
    assert holds(condition, Arch.AARCH64) is aarch64


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ('cfg(all(feature = "simd", target_arch = "x86_64"))', True),
        ('cfg(any(feature = "simd", target_arch = "x86_64"))', True),
        ('cfg(any(target_arch = "aarch64", target_arch = "x86_64"))', False),
        ('cfg(target_arch = "wasm32")', False),
        ('cfg(feature = "simd")', False),
    ],
)
def test_conditions_that_tell_the_architectures_apart(condition: str, expected: bool) -> None:  # noqa: FBT001
    assert differs(condition) is expected
