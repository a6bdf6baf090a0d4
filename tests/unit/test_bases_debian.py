"""The Debian base: its data agrees with itself, and a build's environment is what it must be."""

from __future__ import annotations

import pytest

from farm.bases import debian
from farm.model.targets import Arch, Interpreter, Mode

CP311 = Interpreter(minor=11)
OTHER = {Arch.X86_64: Arch.AARCH64, Arch.AARCH64: Arch.X86_64}


def environment(arch: Arch, engine_arch: Arch, mode: Mode) -> dict[str, str]:
    return debian.build_environment(
        arch=arch, engine_arch=engine_arch, mode=mode, interpreter=CP311
    )


def test_every_interpreter_is_offered_once_and_from_a_suite_that_roots_are_made_of() -> None:
    assert len(set(debian.INTERPRETERS)) == len(debian.OFFERS)
    assert {offer.suite for offer in debian.OFFERS} <= set(debian.ROOT_SUITES)


def test_every_tool_is_pinned_for_every_architecture_in_one_version() -> None:
    versions: dict[str, set[str]] = {}
    for pin in debian.PINS:
        versions.setdefault(pin.project, set()).add(pin.version)
        assert len(pin.sha256) == 64
        assert pin.size > 0
    for project, known in versions.items():
        assert len(known) == 1, project
        for arch in Arch:
            assert len(debian.pins(arch, project)) == 1


def test_only_a_suite_that_moves_may_be_past_its_date() -> None:
    assert [suite.name for suite in debian.ROOT_SUITES if suite.moving] == ["forky"]


@pytest.mark.parametrize("engine_arch", Arch)
@pytest.mark.parametrize("host", Arch)
def test_a_toolchain_has_the_standard_library_of_every_architecture_or_its_source(
    engine_arch: Arch, host: Arch
) -> None:
    selections = debian.toolchain_selections(engine_arch, host)
    assert [s.suite.name for s in selections[:3]] == ["trixie-backports", "forky", "trixie"]
    for selection in selections:
        assert selection.arch is host
        assert "libstd-rust-dev" in selection.packages
        if selection.foreign:
            assert f"libstd-rust-dev:{OTHER[host].debian}" in selection.packages
            assert selection.foreign == (OTHER[host],)
        else:
            assert "rust-src" in selection.packages


def test_only_a_compiler_that_runs_where_images_are_made_comes_with_source_alone() -> None:
    native = debian.toolchain_selections(Arch.X86_64, Arch.X86_64)
    foreign = debian.toolchain_selections(Arch.X86_64, Arch.AARCH64)
    assert [s.suite.name for s in native if not s.foreign] == ["trixie-backports", "forky"]
    assert all(s.foreign for s in foreign)


@pytest.mark.parametrize("engine_arch", Arch)
def test_a_hybrid_build_differs_from_a_native_one_in_what_the_target_reads(
    engine_arch: Arch,
) -> None:
    native = environment(engine_arch, engine_arch, Mode.NATIVE)
    hybrid = environment(OTHER[engine_arch], engine_arch, Mode.HYBRID)
    assert hybrid == native | {"PYO3_CROSS_LIB_DIR": "/opt/python/cp311-cp311/lib/python3.11"}


@pytest.mark.parametrize("engine_arch", Arch)
def test_an_emulated_build_has_the_environment_of_an_engine_of_the_target(
    engine_arch: Arch,
) -> None:
    arch = OTHER[engine_arch]
    assert environment(arch, engine_arch, Mode.EMULATED) == environment(arch, arch, Mode.NATIVE)


def test_every_triple_has_compilers_of_its_own_and_nothing_is_called_cc() -> None:
    found = environment(Arch.X86_64, Arch.X86_64, Mode.NATIVE)
    assert not {"CC", "CXX", "AR", "CFLAGS", "RUSTFLAGS", "PYO3_CROSS_LIB_DIR"} & set(found)
    for arch in Arch:
        triple = arch.triple.replace("-", "_")
        assert found[f"CC_{triple}"] == f"/opt/toolchain/bin/cc-{arch}"
        assert found[f"CXX_{triple}"] == f"/opt/toolchain/bin/c++-{arch}"
        assert found[f"AR_{triple}"] == "/opt/toolchain/bin/ar"
        assert found[f"CARGO_TARGET_{triple.upper()}_LINKER"] == f"/opt/toolchain/bin/cc-{arch}"
        assert found[f"PKG_CONFIG_LIBDIR_{triple}"].startswith(f"/usr/lib/{arch}-linux-gnu/")
    assert found["HOST_CC"] == "/opt/toolchain/bin/cc-x86_64"
    assert found["PATH"].startswith("/opt/toolchain/bin:")
    assert found["ZIG_GLOBAL_CACHE_DIR"] == debian.ZIG_CACHE


def test_the_linker_is_told_with_the_glibc_that_it_is_held_to() -> None:
    zig = debian.pins(Arch.X86_64, "ziglang")[0].version
    assert f"zig {zig}, glibc 2.28" == debian.LINKER
