from __future__ import annotations

import io
import os
import socket
import tarfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_projects import CARGO, LOCK, PYPROJECT, SIMPLE, locked, write

from farm.model.errors import UsageError
from farm.project.inspect import inspect
from farm.project.source import EPOCH, Source, SourceFile, collect, source_date_epoch

NAMES = {"Cargo.lock", "Cargo.toml", "pyproject.toml", "src/lib.rs"}


def paths(source: Source) -> set[str]:
    return {file.path for file in source.files}


def collected(root: Path, *exclude: str, at: str = ".") -> Source:
    return collect(inspect(root / at), exclude)


def archive(source: Source, mtime: int = 1_700_000_000) -> bytes:
    stream = io.BytesIO()
    source.write_tar(stream, mtime=mtime)
    return stream.getvalue()


def test_without_git_the_projects_directory_goes_in(tmp_path: Path) -> None:
    source = collected(write(tmp_path, SIMPLE | {"py/a b.py": "x", ".cargo/config.toml": ""}))
    assert paths(source) == NAMES | {"py/a b.py", ".cargo/config.toml"}
    assert (source.root, source.project, source.top) == (tmp_path, ".", None)
    assert source.total_bytes == sum(f.stat().st_size for f in tmp_path.rglob("*") if f.is_file())
    assert source_date_epoch(source) == EPOCH


def test_what_builds_and_tools_make_stays_out(tmp_path: Path) -> None:
    made = [
        "target/debug/x",
        "dist/a.whl",
        ".farm/runs/1/log",
        ".venv/pyvenv.cfg",
        ".venv/bin/x",
        "env/pyvenv.cfg",
        "py/__pycache__/a.pyc",
        "py/a.cpython-311-x86_64-linux-gnu.so",
        "py/a.abi3.so",
        ".git/config",
        "cache/CACHEDIR.TAG",
        "cache/x",
        ".mypy_cache/x",
        "member/target/x",
        "member/Cargo.toml",
    ]
    kept = ["src/target/mod.rs", "py/libvendored.so", "py/dist/__init__.py"]
    source = collected(write(tmp_path, SIMPLE | dict.fromkeys((*made, *kept), "")))
    assert paths(source) == NAMES | {*kept, "member/Cargo.toml"}


def test_path_dependencies_outside_move_the_root_up(tmp_path: Path) -> None:
    write(tmp_path / "group/py", SIMPLE)
    cargo = CARGO + 'one = { path = "../one" }\n'
    lock = LOCK + locked("one", "1.0.0", path=True)
    crate = '[package]\nname = "{}"\nversion = "1.0.0"\n'
    write(
        tmp_path,
        {
            "group/py/Cargo.toml": cargo,
            "group/py/Cargo.lock": lock,
            "group/one/Cargo.toml": crate.format("one")
            + '[build-dependencies]\ntwo = { path = "../../two" }\n',
            "group/one/src/lib.rs": "",
            "group/unrelated/big": "x",
            "two/Cargo.toml": crate.format("two"),
            "two/target/x": "",
        },
    )
    source = collected(tmp_path, at="group/py")
    assert (source.root, source.project) == (tmp_path, "group/py")
    assert paths(source) == {f"group/py/{name}" for name in NAMES} | {
        "group/one/Cargo.toml",
        "group/one/src/lib.rs",
        "two/Cargo.toml",
    }


def test_a_workspace_member_takes_its_root_and_siblings_along(tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "Cargo.toml": '[workspace]\nmembers = ["py", "crates/*"]\n'
            '[patch.crates-io]\nfix = { path = "fixes/fix" }\n',
            "Cargo.lock": LOCK,
            "LICENSE": "",
            "rust-toolchain.toml": "",
            ".cargo/config.toml": "",
            "unrelated/big": "",
            "py/Cargo.toml": CARGO,
            "py/pyproject.toml": PYPROJECT.replace(
                "[project]", '[project]\nreadme = "../docs/READ.md"'
            ),
            "docs/READ.md": "",
            "docs/other": "",
            "crates/a/Cargo.toml": '[package]\nname = "a"\nversion = "1.0.0"\n',
            "fixes/fix/Cargo.toml": '[package]\nname = "fix"\nversion = "1.0.0"\n',
        },
    )
    source = collected(tmp_path, at="py")
    assert (source.root, source.project) == (tmp_path, "py")
    assert paths(source) == {
        "Cargo.toml",
        "Cargo.lock",
        "LICENSE",
        "rust-toolchain.toml",
        ".cargo/config.toml",
        "py/Cargo.toml",
        "py/pyproject.toml",
        "docs/READ.md",
        "crates/a/Cargo.toml",
        "fixes/fix/Cargo.toml",
    }


def test_vendored_crates_go_in_whole(tmp_path: Path) -> None:
    config = '[source.crates-io]\nreplace-with = "v"\n[source.v]\ndirectory = "vendor"\n'
    vendored = ["vendor/a/.cargo-checksum.json", "vendor/a/x.pyd", "vendor/a/node_modules/y"]
    write(tmp_path, SIMPLE | dict.fromkeys(vendored, "") | {".cargo/config.toml": config})
    assert paths(collected(tmp_path)) == NAMES | {*vendored, ".cargo/config.toml"}


def test_a_readme_that_is_a_directory_around_the_project_brings_nothing_in(
    tmp_path: Path,
) -> None:
    write(tmp_path, {"other/file": ""})
    text = PYPROJECT.replace("[project]", '[project]\nreadme = ".."')
    source = collected(write(tmp_path / "py", SIMPLE | {"pyproject.toml": text}))
    assert (source.root, paths(source)) == (tmp_path / "py", NAMES)


def test_a_path_that_the_disk_refuses_is_told(tmp_path: Path) -> None:
    text = PYPROJECT.replace("[project]", f'[project]\nreadme = "{"a" * 300}"')
    with pytest.raises(UsageError, match="can't be read: File name too long"):
        collected(write(tmp_path, SIMPLE | {"pyproject.toml": text}))


def test_exclude_takes_patterns_and_never_a_manifest(tmp_path: Path) -> None:
    write(
        tmp_path,
        SIMPLE | {"docs/a.md": "", "a.md": "", "keep.md": "", "data/big.bin": "", "x/data/b": ""},
    )
    source = collected(tmp_path, "*.md", "!keep.md", "/data", "*.toml", "Cargo.lock")
    assert paths(source) == NAMES | {"keep.md", "x/data/b"}


def test_exclude_is_below_the_projects_directory_as_well(tmp_path: Path) -> None:
    write(tmp_path / "py", SIMPLE | {"tests/data/big": ""})
    cargo = CARGO + 'a = { path = "../a" }\n'
    write(tmp_path / "py", {"Cargo.toml": cargo, "Cargo.lock": LOCK + locked("a", "1.0.0")})
    write(tmp_path, {"a/Cargo.toml": '[package]\nname = "a"\nversion = "1.0.0"\n', "a/x/y": ""})
    assert paths(collected(tmp_path, "tests/data", "a/x", at="py")) == {
        "a/Cargo.toml",
        *(f"py/{name}" for name in NAMES),
    }


def test_the_archive_is_plain_and_the_same_each_time(tmp_path: Path) -> None:
    write(tmp_path, SIMPLE | {"run.sh": "#!", "ä/-x\ny": "odd"})
    (tmp_path / "run.sh").chmod(0o700)
    (tmp_path / "link").symlink_to("src/lib.rs")
    source = collected(tmp_path)
    first = archive(source)
    os.utime(tmp_path / "run.sh", (1, 1))
    assert archive(collected(tmp_path)) == first
    with tarfile.open(fileobj=io.BytesIO(first)) as tar:
        members = {m.name: m for m in tar.getmembers()}
        odd = tar.extractfile("ä/-x\ny")
        assert odd is not None
        assert odd.read() == b"odd"
    assert {(m.uid, m.gid, m.uname, m.mtime) for m in members.values()} == {
        (0, 0, "", 1_700_000_000)
    }
    assert {n for n, m in members.items() if m.isdir()} == {"src", "ä"}
    assert (members["run.sh"].mode, members["Cargo.toml"].mode) == (0o755, 0o644)
    assert (members["link"].issym(), members["link"].linkname) == (True, "src/lib.rs")


def test_the_digest_is_of_paths_modes_and_contents_and_nothing_else(tmp_path: Path) -> None:
    digests = [collected(write(tmp_path / place, SIMPLE)).digest for place in "ab"]
    assert digests[0] == digests[1]
    os.utime(tmp_path / "a/Cargo.toml", (1, 1))
    assert collected(tmp_path / "a").digest == digests[0]
    (tmp_path / "a/src/lib.rs").chmod(0o755)
    with (tmp_path / "b/src/lib.rs").open("w") as file:
        file.write("//")
    changed = {collected(tmp_path / place).digest for place in "ab"}
    assert len({digests[0], *changed}) == 3


def test_links_stay_links_unless_they_lead_out(tmp_path: Path) -> None:
    root = write(tmp_path / "project", SIMPLE | {"data/a": ""})
    write(tmp_path, {"secret": ""})
    (root / "relative").symlink_to("data/a")
    (root / "data/up").symlink_to("../src")
    (root / "absolute").symlink_to(root / "data/a")
    (root / "dangling").symlink_to("nowhere")
    (root / "out").symlink_to("../secret")
    (root / "far").symlink_to("/etc/passwd")
    (root / "data/hop").symlink_to("../../project/data/a")
    source = collected(root)
    assert {f.path: f.link for f in source.files if f.link is not None} == {
        "relative": "data/a",
        "data/up": "../src",
        "absolute": "data/a",
        "dangling": "nowhere",
    }
    assert sorted(w.split()[4] for w in source.warnings) == ["data/hop", "far", "out"]


def test_what_is_no_file_is_skipped(tmp_path: Path) -> None:
    write(tmp_path, SIMPLE)
    os.mkfifo(tmp_path / "pipe")
    with socket.socket(socket.AF_UNIX) as end:
        end.bind(str(tmp_path / "socket"))
    assert paths(collected(tmp_path)) == NAMES


def test_a_name_that_is_no_text_goes_in(tmp_path: Path) -> None:
    write(tmp_path, SIMPLE)
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff\xfe")).write_text("x")
    source = collected(tmp_path)
    assert source.digest
    with tarfile.open(fileobj=io.BytesIO(archive(source)), errors="surrogateescape") as tar:
        assert b"\xff\xfe" in [os.fsencode(name) for name in tar.getnames()]


def test_a_file_that_changes_while_it_is_read_is_told(tmp_path: Path) -> None:
    write(tmp_path, SIMPLE | {"a": "long enough"})
    source = collected(tmp_path)
    (tmp_path / "a").write_text("short")
    with pytest.raises(UsageError, match=f"{tmp_path}/a changed while it was read"):
        archive(source)
    (tmp_path / "a").write_text("much longer than before")
    with pytest.raises(UsageError, match="changed while it was read"):
        archive(source)
    source = collected(tmp_path)
    (tmp_path / "a").unlink()
    with pytest.raises(UsageError, match="can't be read: No such file"):
        assert source.digest


def test_what_is_sent_is_what_was_hashed(tmp_path: Path) -> None:
    """A wheel would be kept under the name of another source."""
    source = collected(write(tmp_path, SIMPLE | {"a": "before"}))
    assert source.digest
    (tmp_path / "a").write_text("behind")
    with pytest.raises(UsageError, match=f"{tmp_path}/a changed while it was read"):
        archive(source)


def test_many_files_are_told_with_the_way_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("farm.project.source._MANY_FILES", 3)
    assert "source.exclude" in collected(write(tmp_path, SIMPLE)).warnings[0]


def test_a_path_dependency_with_nothing_in_common_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, SIMPLE)
    monkeypatch.setattr("os.path.commonpath", lambda _: "/")
    with pytest.raises(UsageError, match="nothing nearer"):
        collected(tmp_path)


@given(st.lists(st.text("ab/.é -\n\\", min_size=1), unique=True, max_size=8))
def test_the_digest_tells_any_two_sets_of_names_apart(names: list[str]) -> None:
    def source(names: list[str]) -> Source:
        files = tuple(
            SourceFile(path=n, origin=Path("/"), mode=0o777, size=0, link="x") for n in names
        )
        return Source(root=Path("/"), files=files, project=".", top=None)

    whole = source(names).digest
    assert all(source(names[:i] + names[i + 1 :]).digest != whole for i in range(len(names)))
