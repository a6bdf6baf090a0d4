from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_projects import write

from farm.model.errors import UsageError
from farm.project.cargo_config import _key, _value, compiler_flags, fetch_config, local_directories


def arguments(root: Path, directory: Path | None = None) -> dict[str, str]:
    found = fetch_config(root, directory or root, "/src").arguments
    assert set(found[::2]) <= {"--config"}
    return dict(argument.split("=", 1) for argument in found[1::2])


def test_where_crates_come_from_passes(tmp_path: Path) -> None:
    text = """\
[source.crates-io]
replace-with = "here"
[source.here]
directory = "vendor/all"
[source."https://example.org/index"]
registry = "sparse+https://example.org/index/"
[registries.mine]
index = "https://example.org/git"
[patch.crates-io]
a = { path = "../a", features = ["x", "y"] }
b = "1.0"
[net]
retry = 5
[http]
multiplexing = false
"""
    write(tmp_path, {"project/.cargo/config.toml": text, "a/Cargo.toml": ""})
    assert arguments(tmp_path, tmp_path / "project") == {
        "source.crates-io.replace-with": '"here"',
        "source.here.directory": '"/src/project/vendor/all"',
        'source."https://example.org/index".registry': '"sparse+https://example.org/index/"',
        "registries.mine.index": '"https://example.org/git"',
        "patch.crates-io.a.path": '"/src/a"',
        "patch.crates-io.a.features": '["x", "y"]',
        "patch.crates-io.b.version": '"1.0"',
        "net.retry": "5",
        "http.multiplexing": "false",
    }


def test_what_can_name_a_program_or_a_secret_never_passes(tmp_path: Path) -> None:
    text = """\
include = "other.toml"
paths = ["/elsewhere"]
[alias]
fetch = "run"
[build]
rustc = "/bin/evil"
rustc-wrapper = "evil"
rustc-workspace-wrapper = "evil"
[credential-alias]
a = ["evil"]
[env]
PATH = "/evil"
[target.x86_64-unknown-linux-gnu]
linker = "evil"
runner = "evil"
rustflags = ["-Clinker=evil"]
[registry]
global-credential-providers = ["evil"]
token = "secret"
[registries.mine]
credential-provider = ["evil"]
token = "secret"
index = "https://user:secret@example.org/git"
[registries.other]
index = "ssh://git@example.org/git"
[http]
cainfo = "/evil"
proxy = "http://user:secret@example.org"
[net]
git-fetch-with-cli = true
offline = true
"""
    write(tmp_path, {".cargo/config.toml": text})
    found = fetch_config(tmp_path, tmp_path, "/src")
    assert found.arguments == ("--config", 'registries.other.index="ssh://git@example.org/git"')
    assert "secret" not in str(found)
    assert len(found.left_out) == 5


def test_the_nearer_file_wins_and_none_above_the_root_counts(tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            ".cargo/config.toml": "[net]\nretry = 1\n[http]\ntimeout = 1\n",
            "a/.cargo/config.toml": "[net]\nretry = 2\n[http]\nlow-speed-limit = 2\n",
            "a/b/.cargo/config": "[net]\nretry = 3\n",
            "a/b/.cargo/config.toml": "[net]\nretry = 4\n",
        },
    )
    assert arguments(tmp_path / "a", tmp_path / "a/b") == {
        "net.retry": "3",
        "http.low-speed-limit": "2",
    }


def test_a_directory_outside_of_the_source_is_told(tmp_path: Path) -> None:
    text = '[source.here]\ndirectory = "../vendor"\n'
    write(tmp_path, {"project/.cargo/config.toml": text})
    found = fetch_config(tmp_path / "project", tmp_path / "project", "/src")
    assert found.arguments == ()
    assert "leads out of" in found.left_out[0]


def test_a_broken_file_is_told(tmp_path: Path) -> None:
    write(tmp_path, {".cargo/config.toml": "[source\n"})
    with pytest.raises(UsageError, match=r"config\.toml is not valid TOML"):
        arguments(tmp_path)
    write(tmp_path, {".cargo/config.toml": "[source.a]\ndirectory = 3\n"})
    with pytest.raises(UsageError, match="a path is no string"):
        arguments(tmp_path)


def test_vendored_directories_are_found(tmp_path: Path) -> None:
    text = '[source.a]\ndirectory = "vendor"\n[source.b]\nlocal-registry = "none"\n'
    write(tmp_path, {".cargo/config.toml": text, "vendor/a/x": ""})
    assert local_directories(tmp_path, tmp_path) == (tmp_path / "vendor",)


def test_compiler_flags_are_found_wherever_they_are_set(tmp_path: Path) -> None:
    text = '[build]\nrustflags = "-C target-cpu=native"\n[target."cfg(unix)"]\nrustflags = ["-g"]\n'
    write(tmp_path, {".cargo/config.toml": text})
    assert [(f.key, f.flags) for f in compiler_flags(tmp_path, tmp_path)] == [
        ("build.rustflags", ("-C", "target-cpu=native")),
        ('target."cfg(unix)".rustflags', ("-g",)),
    ]


@given(
    st.lists(st.text(st.characters(exclude_categories=["Cs"])), min_size=1), st.text('\x7fé\n"\\')
)
def test_any_key_and_value_survive_the_command_line(parts: list[str], value: str) -> None:
    line = f"{'.'.join(map(_key, parts))} = {_value([value, True, 3, 1.5])}"
    found = tomllib.loads(line)
    for part in parts:
        found = found[part]
    assert found == [value, True, 3, 1.5]
