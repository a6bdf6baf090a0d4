"""What a project asks of the processor, of Rust and of maturin that its wheels can't have."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
from made_projects import CARGO, PYPROJECT, SIMPLE, write

from farm.model.errors import UsageError
from farm.model.targets import Arch, Interpreter
from farm.runs.planner import Selectors, make_plan, read_request

ARCHES = (Arch.X86_64, Arch.AARCH64)
CONFIG = ".cargo/config.toml"


def warned(root: Path, files: Mapping[str, str], arches: tuple[Arch, ...] = ARCHES) -> str:
    """Return the warnings of the plan of a project, a line each."""
    request = read_request(write(root, {**SIMPLE, **files}), Selectors())
    available = (Interpreter(minor=13),)
    plan = make_plan(
        request,
        arches=arches,
        engine_arch=Arch.X86_64,
        available=available,
        natively=available,
    )
    return "\n".join(plan.warnings)


def farm(settings: str) -> dict[str, str]:
    return {"pyproject.toml": f"{PYPROJECT}\n[tool.farm]\n{settings}\n"}


NATIVE = {
    "build.rustflags": {CONFIG: '[build]\nrustflags = ["-C", "target-cpu=native"]'},
    "build.rustflags as text": {CONFIG: '[build]\nrustflags = "-Ctarget-cpu=native"'},
    "a triple's": {
        CONFIG: '[target.x86_64-unknown-linux-gnu]\nrustflags = ["-Ctarget-cpu=native"]'
    },
    "a condition's": {CONFIG: "[target.'cfg(unix)']\nrustflags = [\"-Ctarget-cpu=native\"]"},
    "the older name": {".cargo/config": '[build]\nrustflags = ["-C", "target-cpu=native"]'},
    "a profile's in the configuration": {
        CONFIG: '[profile.release]\nrustflags = ["-Ctarget-cpu=native"]'
    },
    "C's, by [env]": {CONFIG: '[env]\nCFLAGS = "-O3 -march=native"'},
    "C's, by [env] as a table": {CONFIG: '[env]\nCXXFLAGS = { value = "-mcpu=native" }'},
    "a profile's": {
        "Cargo.toml": f'{CARGO}\n[profile.release]\nrustflags = ["-Ctarget-cpu=native"]\n'
    },
    "rustc-args": {
        "pyproject.toml": f'{PYPROJECT}\n[tool.maturin]\nrustc-args = ["-Ctarget-cpu=native"]\n'
    },
    "maturin's config": {
        "pyproject.toml": f"{PYPROJECT}\n[tool.maturin]\n"
        "config = ['build.rustflags=[\"-Ctarget-cpu=native\"]']\n"
    },
    "RUSTFLAGS": farm('environment = { RUSTFLAGS = "-C target-cpu=native" }'),
    "CARGO_ENCODED_RUSTFLAGS": farm(
        'environment = { CARGO_ENCODED_RUSTFLAGS = "-C\\u001ftarget-cpu=native" }'
    ),
    "a triple's variable": farm(
        'environment = { CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_RUSTFLAGS = "-Ctarget-cpu=native" }'
    ),
    "C's variable": farm('environment = { CFLAGS_x86_64_unknown_linux_gnu = "-march=native" }'),
    "cargo-args": farm("cargo-args = ['--config', 'build.rustflags=[\"-Ctarget-cpu=native\"]']"),
    "rustc's own": farm('cargo-args = ["--", "-C", "target-cpu=native"]'),
}


@pytest.mark.parametrize("place", NATIVE)
@pytest.mark.parametrize("arch", ARCHES)
def test_native_is_refused_for_every_architecture_wherever_it_stands(
    place: str, arch: Arch, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match=r"=native: native is the processor") as caught:
        warned(tmp_path, NATIVE[place], (arch,))
    assert "native-cpu = true" in caught.value.remedy
    assert str(tmp_path) in caught.value.message


def test_who_insists_on_native_is_warned(tmp_path: Path) -> None:
    files = {**NATIVE["build.rustflags"], **farm("native-cpu = true")}
    assert "wheels run only where this very processor is" in warned(tmp_path, files)


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        ("-Ctarget-cpu=haswell", ["x86_64 need haswell", "aarch64 need haswell"]),
        ("-Ctarget-feature=+avx2,-sse3", ["x86_64 need +avx2", "aarch64 need +avx2"]),
        ("-Ctarget-feature=+sse2,+crt-static", ["aarch64 need +sse2"]),
        ("-Ctarget-cpu=x86-64", ["aarch64 need x86-64"]),
        ("-Ctarget-cpu=generic -Cdebuginfo=1", []),
        ("-march=native-looking", ["x86_64 need native-looking", "aarch64 need native-looking"]),
    ],
)
def test_what_is_above_the_baseline_is_a_warning(
    flags: str, told: list[str], tmp_path: Path
) -> None:
    text = warned(tmp_path, {CONFIG: f'[build]\nrustflags = "{flags}"'})
    assert [line.partition("wheels for ")[2] for line in text.splitlines()] == told


def test_flags_of_a_triple_are_for_its_wheels_only(tmp_path: Path) -> None:
    config = '[target.aarch64-unknown-linux-gnu]\nrustflags = ["-Ctarget-cpu=neoverse-n1"]'
    text = warned(tmp_path, {CONFIG: config})
    assert text.endswith("wheels for aarch64 need neoverse-n1")
    assert "x86_64" not in text


def test_tuning_and_words_in_comments_are_no_fault(tmp_path: Path) -> None:
    files = {
        CONFIG: '[env]\nCFLAGS = "-mtune=native"',
        "build.rs": "// target-cpu=native\nfn main() {}",
    }
    assert warned(tmp_path, files) == ""


def test_a_build_script_that_says_native_is_a_warning(tmp_path: Path) -> None:
    script = 'fn main() { println!("cargo:rustc-flags=-Ctarget-cpu=native"); }'
    assert "build.rs: it may compile for the very processor" in warned(
        tmp_path, {"build.rs": script}
    )


@pytest.mark.parametrize(
    ("key", "told"),
    [
        (
            "module_name",
            "knows no key 'module_name' in [tool.maturin]; did you mean 'module-name'?",
        ),
        ("python-sources", "; did you mean 'python-source'?"),
        ("x", "knows no key 'x' in [tool.maturin]"),
    ],
)
def test_a_key_that_maturin_passes_over_is_told(key: str, told: str, tmp_path: Path) -> None:
    files = {"pyproject.toml": f'{PYPROJECT}\n[tool.maturin]\n{key} = "sample"\n'}
    assert told in warned(tmp_path, files)


@pytest.mark.parametrize(
    ("file", "text", "told"),
    [
        (
            "rust-toolchain.toml",
            '[toolchain]\nchannel = "1.80"',
            "asks for Rust 1.80, which is",
        ),
        ("rust-toolchain", "nightly-2026-01-01\n", "asks for Rust nightly-2026-01-01"),
        ("rust-toolchain", '[toolchain]\nchannel = "beta"', "asks for Rust beta"),
        ("rust-toolchain.toml", '[toolchain]\nchannel = "stable"', ""),
        ("rust-toolchain.toml", '[toolchain]\ncomponents = ["clippy"]', ""),
        ("rust-toolchain", "", ""),
    ],
)
def test_a_toolchain_file_that_is_not_looked_at_is_told(
    file: str, text: str, told: str, tmp_path: Path
) -> None:
    said = warned(tmp_path, {file: text})
    assert told in said if told else said == ""


def test_a_toolchain_older_than_the_projects_own_minimum_is_told(tmp_path: Path) -> None:
    files = {
        "Cargo.toml": CARGO.replace('edition = "2021"', 'edition = "2021"\nrust-version = "1.88"'),
        "rust-toolchain.toml": '[toolchain]\nchannel = "1.80.1"',
    }
    assert "asks for Rust 1.80.1, and rust-version in Cargo.toml for 1.88" in warned(
        tmp_path, files
    )


def test_what_only_a_nightly_compiler_takes_is_told_before_the_build(tmp_path: Path) -> None:
    files = {"src/lib.rs": "#![feature(portable_simd)]\n"}
    assert "lib.rs has #![feature], which only a nightly compiler takes" in warned(tmp_path, files)
    insisting = {**files, **farm('environment = { RUSTC_BOOTSTRAP = "1" }')}
    assert warned(tmp_path / "b", insisting) == ""
    commented = {"src/lib.rs": "// #![feature(x)]\n#![cfg_attr(nightly, feature(x))]\n"}
    assert warned(tmp_path / "c", commented) == ""
