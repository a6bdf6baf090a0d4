"""What git ignores and a build needs all the same, and what is told of the rest."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from pathlib import Path

import pytest
from made_projects import CARGO, LOCK, PYPROJECT, SIMPLE, commit, locked, write
from trees import TREES, Tree

from farm.model.errors import UsageError
from farm.project import embedded, globs
from farm.project.inspect import inspect
from farm.project.source import Source, collect

HINT = "which is not sent: if the build needs it, name it in source.include in [tool.farm]"

KEEP = "which builds and tools make, and is not sent: keep it elsewhere"


def paths(source: Source) -> set[str]:
    return {file.path for file in source.files}


def made(root: Path, files: Mapping[str, str], *, maturin: str = "", cargo: str = CARGO) -> Path:
    """Return a repository of a project with `files`."""
    text = f"{PYPROJECT}[tool.maturin]\n{maturin}\n"
    write(root, SIMPLE | {"pyproject.toml": text, "Cargo.toml": cargo} | dict(files))
    commit(root)
    return root


def sent(root: Path, *include: str, exclude: tuple[str, ...] = ()) -> Source:
    return collect(inspect(root), exclude, include)


@pytest.mark.parametrize("tree", TREES.values(), ids=TREES)
def test_every_difference_from_maturins_wheel_has_a_line(tree: Tree, tmp_path: Path) -> None:
    """What is different is shown by `tests/docker/test_packed.py`."""
    source = collect(inspect(tree.write(tmp_path)))
    told = " ".join(source.warnings)
    for path in (p for p in tree.gone | tree.more if not p.endswith(".pyc")):
        assert any(str(p) in told for p in (path, Path(path).parent))


def test_nothing_is_told_of_what_maturins_exclude_keeps_out(tmp_path: Path) -> None:
    root = TREES["what exclude keeps out is no difference"].write(tmp_path)
    source = collect(inspect(root))
    (line,) = source.warnings
    assert line.startswith("git ignores sample/b.json: ")
    assert "bindings/sample/a.json" not in paths(source)


def test_what_include_names_is_sent_without_a_word(tmp_path: Path) -> None:
    root = made(
        tmp_path,
        {".gitignore": "*.txt", "sample/__init__.py": "", "sample/table.txt": "", "a.txt": ""},
        maturin='include = [{ path = "sample/table.txt", format = ["sdist", "wheel"] }]',
    )
    source = sent(root)
    assert "sample/table.txt" in paths(source)
    assert "a.txt" not in paths(source)
    assert source.warnings == ()


@pytest.mark.parametrize("place", ["target", "dist", ".farm/runs", ".venv", "sample/__pycache__"])
def test_what_tools_make_is_not_sent_though_include_names_it(place: str, tmp_path: Path) -> None:
    files = {".gitignore": "*", f"{place}/x.txt": "", ".venv/pyvenv.cfg": ""}
    root = made(tmp_path, files, maturin=f'include = ["{place}/x.txt", "**/*.txt"]')
    source = sent(root, "x.txt", "*.txt")
    assert f"{place}/x.txt" not in paths(source)
    assert any(f"{place}/x.txt: builds and tools" in line for line in source.warnings)


def test_what_cargo_manifests_name_is_sent(tmp_path: Path) -> None:
    cargo = CARGO.replace(
        'edition = "2021"\n',
        'edition = "2021"\nbuild = "made/build.rs"\nlicense-file = "TERMS"\nreadme = "made/R.md"\n'
        'include = ["/tables/*.bin", "src"]\n',
    ).replace("[lib]\n", '[lib]\npath = "made/lib.rs"\n')
    cargo += 'one = { path = "one" }\n[[bin]]\nname = "x"\npath = "made/x.rs"\n'
    named = ["made/build.rs", "TERMS", "made/R.md", "made/lib.rs", "made/x.rs", "tables/a.bin"]
    named += ["one/Cargo.toml", "one/src/lib.rs", "src/made.rs"]
    files = dict.fromkeys([*named, "made/other", "tables/b.txt", "tables/.env.bin"], "")
    files |= {
        ".gitignore": "made*\nTERMS\ntables\none",
        "Cargo.lock": LOCK + locked("one", "1.0.0"),
    }
    files["one/Cargo.toml"] = '[package]\nname = "one"\nversion = "1.0.0"\n'
    root = made(tmp_path, files, cargo=cargo)
    assert paths(sent(root)) == {*SIMPLE, ".gitignore", *named}


def test_a_file_that_is_ignored_and_that_nothing_names_is_not_sent(tmp_path: Path) -> None:
    files = {".gitignore": ".env*\nkey.pem\nnotes/", ".env": "", "key.pem": "", "notes/a": ""}
    source = sent(made(tmp_path, files, maturin='include = ["*"]\n'), "no-such")
    assert paths(source) == {*SIMPLE, ".gitignore", "key.pem"}
    assert sum(".env" in line for line in source.warnings) == 1


def test_source_include_adds_what_is_ignored_and_exclude_wins(tmp_path: Path) -> None:
    files = {
        ".gitignore": "gen\n*.bin\n.env",
        "gen/a.rs": "",
        "gen/deep/b.rs": "",
        "gen/target/Cargo.toml": "",
        "data/a.bin": "",
        "data/b.bin": "",
        ".env": "",
    }
    root = made(tmp_path, files)
    assert paths(sent(root)) == {*SIMPLE, ".gitignore"}
    source = sent(root, "/gen", "*.bin", "!b.bin", ".env", exclude=("deep",))
    new = {"gen/a.rs", "gen/target/Cargo.toml", "data/a.bin", ".env"}
    assert paths(source) == {*SIMPLE, ".gitignore", *new}


def test_source_include_that_is_no_pattern_is_told(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"source\.include in \[tool\.farm\] holds no pattern"):
        sent(made(tmp_path, {}), "!")


def test_odd_values_in_manifests_are_no_traceback(tmp_path: Path) -> None:
    maturin = """
        include = ["a\\u0000", "", "**", "[", "***/x", { path = 3 }, { path = "x" }, "a**b"]
        python-source = "p\\u0000"
        python-packages = ["", "..", "no", "a\\u0000"]
        module-name = ""
    """
    cargo = CARGO.replace("[lib]\n", '[lib]\npath = "\\u0000"\n')
    assert paths(sent(made(tmp_path, {}, maturin=maturin, cargo=cargo))) == set(SIMPLE)
    for line, message in (('include = ["!"]', "no pattern"), ("include = [3]", "array of strings")):
        text = CARGO.replace("[lib]", f"{line}\n[lib]")
        write(tmp_path, {"Cargo.toml": text})
        with pytest.raises(UsageError, match=message):
            sent(tmp_path)


def test_a_link_that_leads_nowhere_is_told_where_maturin_would_fail(tmp_path: Path) -> None:
    root = made(tmp_path, {"sample/__init__.py": "", "docs/x": ""})
    (root / "docs/link").symlink_to("nowhere")
    assert "docs/link" in paths(sent(root))
    (root / "sample/data").symlink_to("../../vendor/lib/data")
    (root / "sample/esc\x1b").symlink_to("no\x1b")
    with pytest.raises(UsageError) as error:
        sent(root)
    assert "sample/data leads nowhere (../../vendor/lib/data)" in error.value.message
    assert sent(root, exclude=("sample/data", "sample/esc*"))


@pytest.mark.parametrize("kind", ["nowhere", "directory"])
def test_links_among_the_data_lead_to_files(kind: str, tmp_path: Path) -> None:
    root = made(tmp_path, {"stuff/data/a": "", "directory/a": ""}, maturin='data = "stuff"')
    (root / "stuff/data/link").symlink_to(f"../../{kind}")
    with pytest.raises(UsageError, match="the link stuff/data/link "):
        sent(root)


def test_a_link_to_an_ignored_file_brings_it_along_where_it_is_packed(tmp_path: Path) -> None:
    files = {".gitignore": "gen/", "gen/a.json": "", "gen/b.rs": "", "sample/__init__.py": ""}
    root = made(tmp_path, files)
    (root / "sample/a.json").symlink_to("../gen/a.json")
    (root / "src/b.rs").symlink_to("../gen/b.rs")
    commit(root)
    source = sent(root)
    assert {"sample/a.json", "gen/a.json", "src/b.rs"} <= paths(source)
    assert "gen/b.rs" not in paths(source)
    assert source.warnings == (
        "the link sample/a.json leads to gen/a.json, which git ignores; it goes in all the same",
        f"the link src/b.rs leads to gen/b.rs, which git ignores and {HINT.removeprefix('which ')}",
    )
    assert "gen/b.rs" in paths(sent(root, "gen/b.rs"))


def test_a_link_to_what_a_build_made_is_left_out(tmp_path: Path) -> None:
    root = made(tmp_path, {".gitignore": "target", "target/x.bin": "", "sample/__init__.py": ""})
    (root / "sample/x.bin").symlink_to("../target/x.bin")
    source = sent(root)
    assert paths(source).isdisjoint({"sample/x.bin", "target/x.bin"})
    assert source.warnings == (
        "left out: the link sample/x.bin leads to target/x.bin, which builds and tools make",
    )


def test_a_packed_name_that_is_no_utf_8_is_refused_by_name(tmp_path: Path) -> None:
    root = made(tmp_path, {"sample/__init__.py": "", "docs/a": ""})
    Path(os.fsdecode(os.fsencode(root) + b"/docs/\xff.txt")).write_text("")
    assert sent(root)
    Path(os.fsdecode(os.fsencode(root) + b"/sample/caf\xe9.txt")).write_text("")
    with pytest.raises(UsageError, match=r"the name of sample/caf\\xe9\.txt is no UTF-8"):
        sent(root)


def test_what_sources_read_and_is_not_sent_is_told(tmp_path: Path) -> None:
    lib = """
        const A: &str = include_str!("../gen/a.txt"); // include_str!("../gen/comment.txt")
        const B: &[u8] = include_bytes!(r#"../gen/b"b.bin"#);
        include!(concat!(env!("CARGO_MANIFEST_DIR"), "/gen/c.rs"));
        include!(concat!(env!("OUT_DIR"), "/gen/d.rs"));
        #[path = "../gen/e.rs"] mod e;
        static F: Dir = include_dir!("$CARGO_MANIFEST_DIR/gen/dir");
        const G: &str = include_str!("../sent.txt");
        const H: &str = include_str!("../no/such.txt");
        const I: &str = include_str!("../dist/app.js");
        mod made;
    """
    ignored = ["a.txt", 'b"b.bin', "c.rs", "d.rs", "e.rs", "dir/f", "comment.txt"]
    files = dict.fromkeys([*(f"gen/{name}" for name in ignored), "src/made.rs"], "")
    files |= {".gitignore": "gen\nsrc/made.rs\ndist", "src/lib.rs": lib, "sent.txt": ""}
    root = made(tmp_path, files | {"dist/app.js": ""})
    assert sorted(sent(root).warnings) == [
        f"git ignores src/made.rs, {HINT}",
        f"src/lib.rs reads dist/app.js, {KEEP}",
        *(
            f"src/lib.rs reads gen/{name}, {HINT}"
            for name in ("a.txt", 'b"b.bin', "c.rs", "dir", "e.rs")
        ),
    ]
    assert "dist/app.js" in "".join(sent(root, "gen", "made.rs").warnings)
    assert len(sent(root, "gen", "made.rs").warnings) == 1
    assert sent(root, exclude=("gen", "made.rs", "dist")).warnings == ()


def test_what_sources_read_outside_of_the_tree_is_told(tmp_path: Path) -> None:
    write(tmp_path, {"words.txt": ""})
    text = 'const A: &str = include_str!("../../words.txt");'
    source = collect(inspect(write(tmp_path / "project", SIMPLE | {"src/lib.rs": text})))
    (line,) = source.warnings
    assert line == (
        f"src/lib.rs reads ../words.txt, which lies out of {tmp_path}/project and is not sent:"
        " move it there"
    )


@pytest.mark.parametrize("text", ['include_str!(r"', "include_str!( ", "#[path = ", 'concat!("'])
def test_a_hostile_source_takes_no_time(text: str) -> None:
    began = time.perf_counter()
    embedded.reads((f"#[path include{text}" * 20_000).encode())
    embedded.reads(("include_str!(" + " " * 1_000_000).encode())
    assert time.perf_counter() - began < 5


def test_patterns_find_what_those_of_the_crate_glob_find(tmp_path: Path) -> None:
    files = ["a.txt", "d/b.txt", "d/e/c.txt", "d/.h/x.txt", "s/f.txt", "[x].txt", "skip/g.txt"]
    write(tmp_path, dict.fromkeys(files, ""))
    (tmp_path / "d/loop").symlink_to("..")
    (tmp_path / "d/far").symlink_to("../s")

    def found(pattern: str) -> list[str]:
        skip = (tmp_path / "skip").__eq__
        return sorted(
            path.relative_to(tmp_path).as_posix() for path in globs.matches(tmp_path, pattern, skip)
        )

    assert found("*.txt") == ["[x].txt", "a.txt"]
    assert found("d/**/*.txt") == ["d/.h/x.txt", "d/b.txt", "d/e/c.txt", "d/far/f.txt"]
    assert found("**/f.txt") == ["d/far/f.txt", "s/f.txt"]
    assert found("d/**") == found("../*") == found("/a.txt") == found("./a.txt") == []
    assert found("[[]x].t?t") == ["[x].txt"]
    assert found("[!a].txt") == []
    assert found("skip/*.txt") == ["skip/g.txt"]
    assert found("*/g.txt") == []
