from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from farm.model.targets import Arch
from farm.project.cargo_config import Flags
from farm.project.hybrid import BuildScript, Harm, build_scripts, findings
from farm.project.rust_text import read_rust

NORMAL, BUILD, DEV = None, "build", "dev"


def package(name: str, *, script: bool = True, macro: bool = False) -> dict[str, Any]:
    targets = [{"kind": ["proc-macro" if macro else "lib"], "src_path": "lib.rs"}]
    if script:
        targets.append({"kind": ["custom-build"], "src_path": f"/{name}/build.rs"})
    return {"id": name, "name": name, "version": "1.0.0", "targets": targets}


def node(name: str, *deps: tuple[str, str | None, str | None]) -> dict[str, Any]:
    return {
        "id": name,
        "features": [],
        "deps": [{"pkg": p, "dep_kinds": [{"kind": k, "target": t}]} for p, k, t in deps],
    }


def metadata(packages: list[dict[str, Any]], nodes: list[dict[str, Any]]) -> Mapping[str, Any]:
    return {"packages": packages, "resolve": {"root": "app", "nodes": nodes}}


def script(
    *tools: str, crate: str = "some-sys", features: frozenset[str] = frozenset()
) -> BuildScript:
    return BuildScript(crate=crate, version="1.0.0", path="/b.rs", features=features, tools=tools)


def harms(text: str) -> list[Harm]:
    return [f.harm for f in findings([script()], lambda _: text)]


def test_only_crates_compiled_for_the_target_count() -> None:
    names = ("app", "lib", "build", "below-build", "dev", "win", "arm", "below-macro")
    graph = metadata(
        [*map(package, names), package("macro", macro=True)],
        [
            node(
                "app",
                ("lib", NORMAL, None),
                ("build", BUILD, None),
                ("dev", DEV, None),
                ("macro", NORMAL, None),
            ),
            node(
                "lib",
                ("win", NORMAL, "cfg(windows)"),
                ("arm", NORMAL, 'cfg(target_arch="aarch64")'),
            ),
            node("build", ("below-build", NORMAL, None)),
            node("macro", ("below-macro", NORMAL, None)),
            *map(node, ("dev", "win", "arm", "below-build", "below-macro")),
        ],
    )
    found = build_scripts(graph, Arch.AARCH64)
    assert [s.crate for s in found] == ["app", "arm", "lib"]
    assert found[0].tools == ("build",)
    assert [s.crate for s in build_scripts(graph, Arch.X86_64)] == ["app", "lib"]


@pytest.mark.parametrize(
    "text",
    [
        'fn main() { if cfg!(target_arch = "x86_64") { x() } }',
        '#[cfg(target_arch="aarch64")] fn f() {}',
        '#[cfg(all(target_arch = "x86_64", not(target_os = "macos")))]\nfn f() {}',
        '#[cfg_attr(target_arch = "x86_64", allow(dead_code))] fn f() {}',
        '#[cfg(all(feature = "simd", target_arch = "x86_64"))] fn f() {}',
        'if cfg!(target_feature = "avx2") {}',
        "let arch = std::env::consts::ARCH;",
        "use std::env::consts; f(consts :: ARCH)",
        'if is_x86_feature_detected!("avx2") {}',
        'cc::Build::new().flag("-march=native")',
    ],
)
def test_what_sees_the_machine_that_builds_is_found(text: str) -> None:
    assert harms(text) == [Harm.WRONG]


@pytest.mark.parametrize(
    "text",
    [
        '// if cfg!(target_arch = "x86_64")',
        '/* cfg!(target_arch = "x86_64")\n consts::ARCH */',
        'let arch = env::var("CARGO_CFG_TARGET_ARCH").unwrap();',
        'println!("cargo:rustc-check-cfg=cfg(target_arch = \\"x86_64\\")");',
        'let s = r#"cfg!(target_arch = "x86_64")"#;',
        '#[cfg(target_arch = "wasm32")] fn f() {}',
        '#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))] fn f() {}',
        '#[cfg(target_os = "macos")] fn f() {}',
        'if cfg!(target_feature = "crt-static") {}',
        "let quote = '\"'; // consts::ARCH",
        "fn f<'a>(x: &'a str) {} // consts::ARCH",
        'let url = "https://example.org"; // consts::ARCH',
    ],
)
def test_what_is_harmless_is_not(text: str) -> None:
    assert harms(text) == []


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (script("bindgen"), 1),
        (script("cmake", "pkg-config", "cc"), 2),
        (script("autotools"), 1),
        (script("openssl-src", "pkg-config", features=frozenset({"vendored"})), 1),
        (script("pkg-config", crate="zstd-sys"), 0),
        (script("pkg-config", features=frozenset({"bundled"})), 0),
        (script("cmake", crate="aws-lc-sys"), 0),
        (script("cmake", crate="libz-sys"), 0),
        (script("cmake", crate="libz-sys", features=frozenset({"zlib-ng"})), 1),
    ],
)
def test_tools_that_need_help_are_found(given: BuildScript, expected: int) -> None:
    found = findings([given], lambda _: None)
    assert [f.harm for f in found] == [Harm.FAILS] * expected


def test_a_line_names_crate_version_file_meaning_and_remedy() -> None:
    (found,) = findings([script("bindgen")], lambda _: None)
    assert found.line.startswith("some-sys 1.0.0 (/b.rs): reads C headers with libclang")
    assert found.line.endswith(found.remedy)
    assert "bindings that the crate ships" in found.remedy


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (("-Cprofile-use=x.profdata",), "profile-guided"),
        (("-Ctarget-cpu=neoverse-n1", "-g"), ""),
    ],
)
def test_flags_of_the_configuration_are_judged(flags: tuple[str, ...], words: str) -> None:
    given = Flags(file=Path("c.toml"), key="build.rustflags", flags=flags)
    found = findings([], lambda _: None, flags=[given])
    assert [words in f.meaning and "build.rustflags in c.toml" in f.line for f in found] == (
        [True] if words else []
    )


def test_profile_guided_optimisation_is_told() -> None:
    assert len(findings([], lambda _: None, pgo=True)) == 1


@given(st.text(alphabet="\"'/*\\\n#rbx(=) cfg!_"))
def test_any_text_is_read_and_keeps_its_length(text: str) -> None:
    found = read_rust(text)
    assert len(found.code) == len(found.bare) == len(text)
    list(found.conditions())
