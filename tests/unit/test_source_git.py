from __future__ import annotations

import os
import string
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_projects import CARGO, LOCK, SIMPLE, commit, git, locked, write

from farm.model.errors import UsageError
from farm.project import git as door
from farm.project.inspect import inspect
from farm.project.source import EPOCH, Source, collect, last_commit, source_date_epoch

WITH_O = SIMPLE | {"Cargo.lock": LOCK + locked("o", "1.0.0", path=True)}
NAMES = {"Cargo.lock", "Cargo.toml", "pyproject.toml", "src/lib.rs"}
COMMITTED = 1714979289
"""2024-05-06T07:08:09Z."""


def paths(source: Source) -> set[str]:
    return {file.path for file in source.files}


def collected(root: Path) -> Source:
    return collect(inspect(root))


def test_tracked_and_untracked_files_go_in_and_ignored_ones_not(tmp_path: Path) -> None:
    write(tmp_path, SIMPLE | {".gitignore": "*.log\n", "tracked": ""})
    commit(tmp_path)
    write(tmp_path, {"new": "", "noise.log": "", "tracked": "changed"})
    source = collected(tmp_path)
    assert paths(source) == NAMES | {".gitignore", "tracked", "new"}
    assert source.top == tmp_path
    assert source_date_epoch(source) == COMMITTED
    assert last_commit(source) == git(tmp_path, "rev-parse", "HEAD").strip()


def test_the_whole_work_tree_goes_in_for_a_project_below_its_top(tmp_path: Path) -> None:
    write(tmp_path / "bindings/python", SIMPLE)
    write(tmp_path, {"core/src/lib.rs": ""})
    commit(tmp_path)
    source = collected(tmp_path / "bindings/python")
    assert (source.root, source.project) == (tmp_path, "bindings/python")
    assert "core/src/lib.rs" in paths(source)


def test_a_tracked_file_that_is_gone_is_skipped(tmp_path: Path) -> None:
    write(tmp_path, SIMPLE | {"gone": "", "dir/gone": ""})
    commit(tmp_path)
    (tmp_path / "gone").unlink()
    (tmp_path / "dir/gone").unlink()
    (tmp_path / "dir").rmdir()
    write(tmp_path, {"dir": "a file now"})
    assert paths(collected(tmp_path)) == NAMES | {"dir"}


def test_a_directory_that_became_a_link_is_the_link(tmp_path: Path) -> None:
    write(tmp_path, SIMPLE | {"dir/a": "", "real/a": ""})
    commit(tmp_path)
    (tmp_path / "dir/a").unlink()
    (tmp_path / "dir").rmdir()
    (tmp_path / "dir").symlink_to("real")
    assert paths(collected(tmp_path)) == NAMES | {"dir", "real/a"}


def test_untracked_builds_and_environments_stay_out_though_not_ignored(tmp_path: Path) -> None:
    write(tmp_path, SIMPLE | {"py/tracked.abi3.so": "", "src/target/mod.rs": "", "dist/x": ""})
    commit(tmp_path)
    write(
        tmp_path,
        dict.fromkeys(
            [
                "py/x.cpython-313-x86_64-linux-gnu.so",
                "target/release/x",
                ".venv/pyvenv.cfg",
                ".venv/lib/x",
                ".farm/y",
                "py/__pycache__/x.py",
            ],
            "",
        ),
    )
    assert paths(collected(tmp_path)) == NAMES | {"py/tracked.abi3.so", "src/target/mod.rs"}


def test_a_lock_that_git_ignores_goes_in_with_a_warning(tmp_path: Path) -> None:
    write(tmp_path, SIMPLE | {".gitignore": "Cargo.lock\n"})
    commit(tmp_path)
    source = collected(tmp_path)
    assert "Cargo.lock" in paths(source)
    assert source.warnings == ("git ignores Cargo.lock; it goes in all the same: commit it",)


def test_submodules_and_nested_repositories_go_in(tmp_path: Path) -> None:
    write(tmp_path / "inner", {"a": "", ".gitignore": "*.log\n"})
    commit(tmp_path / "inner")
    write(tmp_path / "middle", {"b": ""})
    commit(tmp_path / "middle")
    git(tmp_path / "middle", "submodule", "add", "-q", "../inner", "deep")
    commit(tmp_path / "middle")
    root = write(tmp_path / "project", SIMPLE)
    commit(root)
    git(root, "submodule", "add", "-q", "../middle", "third party")
    git(root, "submodule", "add", "-q", "../inner", "absent")
    commit(root)
    git(root, "submodule", "update", "-q", "--init", "--recursive")
    git(root, "submodule", "deinit", "-q", "-f", "absent")
    write(root, {"third party/deep/new": "", "third party/deep/x.log": ""})
    write(root / "nested", {"c": ""})
    commit(root / "nested")
    assert paths(collected(root)) == NAMES | {
        ".gitmodules",
        "third party/.gitmodules",
        "third party/b",
        "third party/deep/a",
        "third party/deep/.gitignore",
        "third party/deep/new",
        "nested/c",
    }


def test_a_project_in_a_directory_that_git_ignores_is_walked(tmp_path: Path) -> None:
    write(tmp_path, {".gitignore": "unpacked/\n", "other": ""})
    commit(tmp_path)
    write(tmp_path / "unpacked/sample-1.2.3", SIMPLE)
    source = collected(tmp_path / "unpacked/sample-1.2.3")
    assert (source.root, source.top) == (tmp_path / "unpacked/sample-1.2.3", None)
    assert paths(source) == NAMES
    assert (source_date_epoch(source), last_commit(source)) == (EPOCH, "")


def test_a_path_dependency_beside_the_repository_is_walked(tmp_path: Path) -> None:
    write(tmp_path / "mine", WITH_O | {"Cargo.toml": CARGO + 'o = { path = "../other" }\n'})
    commit(tmp_path / "mine")
    write(
        tmp_path / "other",
        {"Cargo.toml": '[package]\nname = "o"\nversion = "1.0.0"\n', "src/lib.rs": ""},
    )
    source = collected(tmp_path / "mine")
    assert (source.root, source.project) == (tmp_path, "mine")
    assert paths(source) >= {"other/Cargo.toml", "other/src/lib.rs", "mine/Cargo.toml"}


def test_a_crate_that_git_ignores_is_walked(tmp_path: Path) -> None:
    write(tmp_path, WITH_O | {"Cargo.toml": CARGO + 'o = { path = "gen" }\n'})
    write(tmp_path, {".gitignore": "gen/\n", "gen/src/lib.rs": ""})
    write(tmp_path, {"gen/Cargo.toml": '[package]\nname = "o"\nversion = "1.0.0"\n'})
    commit(tmp_path)
    assert paths(collected(tmp_path)) >= {"gen/Cargo.toml", "gen/src/lib.rs"}


def test_a_linked_crate_goes_in_once_at_its_place(tmp_path: Path) -> None:
    write(tmp_path, WITH_O | {"Cargo.toml": CARGO + 'o = { path = "here" }\n'})
    write(tmp_path, {"there/Cargo.toml": '[package]\nname = "o"\nversion = "1.0.0"\n'})
    (tmp_path / "here").symlink_to("there")
    commit(tmp_path)
    assert paths(collected(tmp_path)) == NAMES | {"here", "there/Cargo.toml"}


def test_work_trees_and_shallow_clones_are_repositories_too(tmp_path: Path) -> None:
    main = write(tmp_path / "main", SIMPLE)
    commit(main)
    commit(main)
    git(main, "worktree", "add", "-q", "../tree")
    git(tmp_path, "clone", "-q", "--depth", "1", f"file://{main}", "shallow")
    for name in ("tree", "shallow"):
        source = collected(tmp_path / name)
        assert (paths(source), source.top) == (NAMES, tmp_path / name)
        assert source_date_epoch(source) == COMMITTED


def test_a_repository_without_commits_has_no_time_and_no_commit(tmp_path: Path) -> None:
    write(tmp_path, SIMPLE)
    git(tmp_path, "init", "-q")
    source = collected(tmp_path)
    assert (paths(source), source.top) == (NAMES, tmp_path)
    assert (source_date_epoch(source), last_commit(source)) == (EPOCH, "")


def test_a_commit_before_1980_counts_as_1980(tmp_path: Path) -> None:
    write(tmp_path, SIMPLE)
    git(tmp_path, "init", "-q")
    git(tmp_path, "commit", "-q", "--allow-empty", "-m", "x", date="1975-01-01T00:00:00Z")
    assert source_date_epoch(collected(tmp_path)) == EPOCH


def test_a_bare_repository_around_is_no_work_tree(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q", "--bare", "bare.git")
    write(tmp_path / "bare.git/project", SIMPLE)
    assert collected(tmp_path / "bare.git/project").top is None


def test_without_git_on_the_path_the_directory_is_walked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, SIMPLE)
    commit(tmp_path)
    monkeypatch.setenv("PATH", "")
    assert collected(tmp_path).top is None


def test_a_repository_of_someone_else_is_told_with_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, SIMPLE)
    commit(tmp_path)
    name = "GIT_TEST_ASSUME_DIFFERENT_OWNER"
    monkeypatch.setenv(name, "1")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    monkeypatch.setattr(door, "_KEPT", door._KEPT | {name})
    with pytest.raises(UsageError, match="someone else owns it") as caught:
        collected(tmp_path)
    assert f"safe.directory {tmp_path}" in caught.value.remedy


def test_a_broken_repository_is_told(tmp_path: Path) -> None:
    write(tmp_path, SIMPLE)
    commit(tmp_path)
    (tmp_path / ".git/index").write_bytes(b"DIRCnonsense")
    with pytest.raises(UsageError, match="git can't list the files"):
        collected(tmp_path)


def test_a_hook_that_runs_the_farm_does_not_point_it_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "a", SIMPLE)
    commit(tmp_path / "a")
    write(tmp_path / "b", {"x": ""})
    commit(tmp_path / "b")
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "b/.git"))
    monkeypatch.setenv("GIT_WORK_TREE", str(tmp_path / "b"))
    assert paths(collected(tmp_path / "a")) == NAMES


def test_settings_of_the_repository_start_no_program(tmp_path: Path) -> None:
    write(tmp_path, SIMPLE)
    commit(tmp_path)
    program = tmp_path / "evil.sh"
    program.write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\n")
    program.chmod(0o755)
    git(tmp_path, "config", "core.fsmonitor", str(program))
    collected(tmp_path)
    assert not (tmp_path / "ran").exists()


@settings(max_examples=15, deadline=None)
@given(
    st.sets(
        st.text(string.ascii_lowercase + " -\n\t\"'\\é漢*?[]!#~$", min_size=1, max_size=8),
        min_size=1,
        max_size=6,
    )
)
def test_any_name_goes_in_as_it_is(
    tmp_path_factory: pytest.TempPathFactory, names: set[str]
) -> None:
    root = write(tmp_path_factory.mktemp("any"), SIMPLE)
    tracked = {f"odd/{name}" for name in names}
    for name in tracked:
        (root / "odd").mkdir(exist_ok=True)
        (root / name).write_text(name)
    commit(root)
    fresh = {f"new/{name}" for name in names}
    (root / "new").mkdir()
    for name in fresh:
        (root / name).write_text(name)
    assert paths(collected(root)) == NAMES | tracked | fresh


def test_a_name_that_is_no_text_goes_in(tmp_path: Path) -> None:
    write(tmp_path, SIMPLE)
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff")).write_text("x")
    commit(tmp_path)
    assert b"\xff" in {os.fsencode(path) for path in paths(collected(tmp_path))}
