from __future__ import annotations

from pathlib import Path

import pytest
from made_projects import CARGO, LOCK, PYPROJECT, SIMPLE, locked, write
from packaging.version import Version

from farm.model.errors import UsageError
from farm.model.targets import Abi, Interpreter
from farm.project.bindings import Kind
from farm.project.inspect import Project, inspect
from farm.project.pyproject import check_maturin


def fault(directory: Path) -> UsageError:
    with pytest.raises(UsageError) as caught:
        inspect(directory)
    assert caught.value.remedy
    return caught.value


def project(root: Path, **changed: str) -> Project:
    names = {"pyproject": "pyproject.toml", "cargo": "Cargo.toml", "lock": "Cargo.lock"}
    return inspect(write(root, SIMPLE | {names[key]: text for key, text in changed.items()}))


def test_a_plain_project_is_read(tmp_path: Path) -> None:
    found = project(tmp_path)
    assert (found.name, found.version, found.root) == ("sample", "1.2.3", tmp_path)
    assert (found.manifest, found.lock) == (tmp_path / "Cargo.toml", tmp_path / "Cargo.lock")
    assert (found.bindings.kind, found.bindings.pyo3) == (Kind.PYO3, Version("0.29.3"))
    assert found.abi is Abi.VERSION
    assert str(found.pyproject.requires_python) == ">=3.9"
    assert found.pyproject.build_requires == ()


def test_maturins_range_is_checked_and_other_requirements_are_kept(tmp_path: Path) -> None:
    found = project(
        tmp_path,
        pyproject=PYPROJECT.replace(
            '"maturin>=1.5,<2"',
            '"Maturin[patchelf]>=1.5,<2", "cffi>=1.12; python_version > \'3\'",'
            " \"maturin<1.2; sys_platform == 'win32'\"",
        ),
    )
    check_maturin(found.pyproject, "1.16.0")
    check_maturin(found.pyproject, "1.6.0b1")
    with pytest.raises(UsageError, match=r"wants maturin<2,>=1\.5, and the farm has 2\.0"):
        check_maturin(found.pyproject, "2.0")
    assert [r.name for r in found.pyproject.build_requires] == ["cffi"]


def test_without_a_range_any_maturin_will_do(tmp_path: Path) -> None:
    found = project(tmp_path, pyproject=PYPROJECT.replace("maturin>=1.5,<2", "maturin"))
    check_maturin(found.pyproject, "1.16.0")


@pytest.mark.parametrize("dynamic", ['dynamic = ["version"]', ""])
def test_the_version_comes_from_cargo_where_pyproject_has_none(
    tmp_path: Path, dynamic: str
) -> None:
    text = PYPROJECT.replace('version = "1.2.3"', dynamic)
    cargo = CARGO.replace("1.2.3", "4.5.6")
    lock = LOCK.replace("1.2.3", "4.5.6")
    assert project(tmp_path, pyproject=text, cargo=cargo, lock=lock).version == "4.5.6"


def test_name_and_version_may_be_inherited_from_the_workspace(tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "Cargo.toml": '[workspace]\nmembers = ["python/*"]\n[workspace.package]\n'
            'version = "7.0.1"\n[workspace.dependencies]\n'
            'pyo3 = { version = "0.29", features = ["abi3-py310"] }\n',
            "Cargo.lock": LOCK.replace("1.2.3", "7.0.1"),
            "python/sample/Cargo.toml": '[package]\nname = "sample"\nversion.workspace = true\n'
            '[lib]\ncrate-type = ["cdylib"]\n[dependencies]\n'
            'pyo3 = { workspace = true, features = ["macros"] }\n',
            "python/sample/pyproject.toml": "[build-system]\nrequires = []\n"
            'build-backend = "maturin"\n',
        },
    )
    found = inspect(tmp_path / "python/sample")
    assert (found.name, found.version) == ("sample", "7.0.1")
    assert found.lock == tmp_path / "Cargo.lock"
    assert found.bindings.features >= {"abi3-py310", "macros", "default"}
    assert found.abi is Abi.ABI3
    assert found.directories == (tmp_path, tmp_path / "python/sample")


def test_the_manifest_may_lie_elsewhere(tmp_path: Path) -> None:
    text = PYPROJECT + '[tool.maturin]\nmanifest-path = "bindings/python/Cargo.toml"\n'
    write(
        tmp_path,
        {
            "pyproject.toml": text,
            "bindings/python/Cargo.toml": CARGO,
            "bindings/python/Cargo.lock": LOCK,
        },
    )
    assert inspect(tmp_path).manifest == tmp_path / "bindings/python/Cargo.toml"


def test_python_in_src_and_rust_in_rust_is_found(tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "pyproject.toml": PYPROJECT,
            "src/sample/__init__.py": "",
            "rust/Cargo.toml": CARGO,
            "rust/Cargo.lock": LOCK,
        },
    )
    assert inspect(tmp_path).manifest == tmp_path / "rust/Cargo.toml"


@pytest.mark.parametrize(
    ("pattern", "governed"),
    [
        ('members = ["crates/*"]', True),
        ('members = ["crates/sample"]', True),
        ('members = ["other"]', True),  # which reaches it by path
        ("members = []", False),
        ('members = ["crates/*"]\nexclude = ["crates/sample"]', False),
    ],
)
def test_the_workspace_that_includes_the_crate_governs_it(
    tmp_path: Path,
    pattern: str,
    governed: bool,  # noqa: FBT001
) -> None:
    write(
        tmp_path,
        {
            "Cargo.toml": f"[workspace]\n{pattern}\n",
            "other/Cargo.toml": '[package]\nname = "other"\nversion = "1.0.0"\n'
            '[dependencies]\nsample = { path = "../crates/sample" }\n',
            "crates/sample/Cargo.toml": CARGO,
            "crates/sample/pyproject.toml": PYPROJECT,
            "Cargo.lock": LOCK,
            "crates/sample/Cargo.lock": LOCK,
        },
    )
    found = inspect(tmp_path / "crates/sample")
    assert found.lock.parent == (tmp_path if governed else tmp_path / "crates/sample")


def test_package_workspace_names_the_root(tmp_path: Path) -> None:
    write(tmp_path / "project", SIMPLE)
    cargo = CARGO.replace("[lib]", 'workspace = "../root"\n[lib]')
    write(tmp_path, {"project/Cargo.toml": cargo, "root/Cargo.toml": "[workspace]\n"})
    write(tmp_path, {"root/Cargo.lock": LOCK})
    assert inspect(tmp_path / "project").lock == tmp_path / "root/Cargo.lock"


def test_a_missing_lock_is_an_error_with_the_command(tmp_path: Path) -> None:
    write(tmp_path, SIMPLE)
    (tmp_path / "Cargo.lock").unlink()
    error = fault(tmp_path)
    assert "Cargo.lock missing" in error.message
    assert "cargo generate-lockfile" in error.remedy


def test_a_lock_that_lacks_a_crate_is_an_error_with_the_command(tmp_path: Path) -> None:
    cargo = CARGO + 'serde = "1"\nrand = "1"\n'
    place = write(tmp_path, SIMPLE | {"Cargo.toml": cargo})
    error = fault(place)
    assert (
        f"Cargo.lock in {tmp_path} is stale: sample depends on rand, serde, not in it"
        in error.message
    )
    assert "cargo update --workspace" in error.remedy
    assert "locked = false" in error.remedy
    assert inspect(place, pinned=False).name == "sample"


@pytest.mark.parametrize(
    "cargo",
    [
        CARGO.replace("1.2.3", "1.2.4"),
        CARGO.replace("sample", "other"),
        CARGO + 'helper = { path = "helper" }\n',
    ],
)
def test_what_of_a_lock_is_the_workspaces_own_is_left_to_the_fetch(
    tmp_path: Path, cargo: str
) -> None:
    files = {"Cargo.toml": cargo, "helper/Cargo.toml": CARGO.replace("sample", "helper")}
    assert inspect(write(tmp_path, SIMPLE | files)).bindings.kind == "pyo3"


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({"pyproject.toml": "[project\n"}, r"pyproject.toml is not valid TOML.*line 1, column 9"),
        ({"pyproject.toml": PYPROJECT + "\n[project]\n"}, r"not valid TOML.*line 9"),
        ({"Cargo.toml": "[package]\nname = \n"}, r"Cargo.toml is not valid TOML.*line 2"),
        ({"Cargo.toml": "[workspace]\n"}, "is a workspace without a package of its own"),
        ({"Cargo.toml": "[lib]\n"}, r"has no \[package\]"),
        ({"Cargo.lock": "=\n"}, r"Cargo.lock is not valid TOML.*line 1"),
        ({"Cargo.lock": "package = 1\n"}, "package is not an array"),
        ({"Cargo.lock": '[[package]]\nname = "x"\nversion = "one"\n'}, "version is not a version"),
        ({"pyproject.toml": PYPROJECT.replace(">=3.9", "three")}, "requires-python is not"),
        ({"pyproject.toml": PYPROJECT.replace('"sample"', "3")}, "project.name is not a string"),
        ({"pyproject.toml": PYPROJECT.replace("maturin>=1.5,<2", "==")}, "build-system.requires"),
        ({"pyproject.toml": PYPROJECT + "[tool]\nmaturin = 3\n"}, "tool.maturin is not a table"),
        (
            {"pyproject.toml": PYPROJECT + '[tool.maturin]\nbindings = "pyo"\n'},
            "unknown bindings 'pyo' in .*did you mean 'pyo3'",
        ),
        (
            {"pyproject.toml": PYPROJECT + '[tool.maturin]\nmanifest-path = "no/Cargo.toml"\n'},
            "names no/Cargo.toml, which is no file",
        ),
        (
            {"pyproject.toml": PYPROJECT.replace('"maturin"', '"setuptools.build_meta"')},
            "sample uses setuptools; the farm builds maturin projects",
        ),
        ({"pyproject.toml": ""}, "uses setuptools"),
        ({"Cargo.toml": CARGO.replace('"0.29"', "3")}, "dependencies.pyo3 is not a version or a"),
        ({"Cargo.toml": CARGO.replace('["cdylib"]', '"cdylib"')}, "crate-type is not an array"),
        (
            {"Cargo.toml": '[package]\nname = "sample"\nversion = "1.2.3"\n[lib]\n'},
            "makes neither a library for Python nor a program",
        ),
    ],
)
def test_a_broken_project_is_told_with_the_file_and_the_place(
    tmp_path: Path, files: dict[str, str], words: str
) -> None:
    write(tmp_path, SIMPLE | files)
    with pytest.raises(UsageError, match=words) as caught:
        inspect(tmp_path)
    assert caught.value.remedy


def test_what_is_not_utf8_is_told(tmp_path: Path) -> None:
    write(tmp_path, SIMPLE)
    (tmp_path / "pyproject.toml").write_bytes(b"# \xff")
    assert "is not UTF-8" in fault(tmp_path).message


def test_a_directory_without_a_project_is_told(tmp_path: Path) -> None:
    assert f"no pyproject.toml in {tmp_path}" in fault(tmp_path).message
    assert "does not exist" in fault(tmp_path / "none").message
    (tmp_path / "file").write_text("")
    assert "is no directory" in fault(tmp_path / "file").message
    write(tmp_path, {"pyproject.toml": PYPROJECT})
    assert "no Cargo.toml" in fault(tmp_path).message


def test_a_backend_in_the_tree_that_wraps_maturin_is_taken_with_a_warning(tmp_path: Path) -> None:
    text = PYPROJECT.replace('"maturin"', '"bootstrap"\nbackend-path = ["b"]') + "[tool.maturin]\n"
    assert "'bootstrap'" in project(tmp_path, pyproject=text).warnings[0]


@pytest.mark.parametrize(
    ("cargo", "lock", "files", "kind", "abi"),
    [
        ('[[bin]]\nname = "x"\n', "", [], Kind.BIN, Abi.NONE),
        ("", "", ["src/main.rs"], Kind.BIN, Abi.NONE),
        ("", "", ["src/bin/x.rs"], Kind.BIN, Abi.NONE),
        ('[lib]\ncrate-type = ["cdylib"]\n', "", ["src/main.rs"], Kind.CFFI, Abi.NONE),
        ('[lib]\ncrate_type = ["cdylib", "rlib"]\n', "", [], Kind.CFFI, Abi.NONE),
        ('[dependencies]\nuniffi = "1"\n', "uniffi", [], Kind.UNIFFI, Abi.NONE),
        ('[dependencies]\npyo3-ffi = "1"\n', "pyo3-ffi", [], Kind.PYO3_FFI, Abi.VERSION),
        ('[dependencies]\npyo3 = "1"\n', "pyo3", ["src/main.rs"], Kind.BIN, Abi.VERSION),
        ('[dependencies]\nwrap = "1"\n', "wrap", [], Kind.PYO3, Abi.VERSION),
        (
            '[dependencies]\nother = { package = "pyo3", version = "1", features = ["abi3"] }\n',
            "pyo3",
            [],
            Kind.PYO3,
            Abi.ABI3,
        ),
    ],
)
def test_bindings_are_told_apart_as_maturin_does(
    tmp_path: Path, cargo: str, lock: str, files: list[str], kind: Kind, abi: Abi
) -> None:
    packages = [
        locked("sample", "1.0.0", *([lock] if lock else []), path=True),
        locked("pyo3", "0.29.0", "pyo3-ffi"),
        locked("pyo3-ffi", "0.29.0"),
        locked("wrap", "1.0.0", "pyo3"),
        locked("uniffi", "1.0.0"),
    ]
    package = '[package]\nname = "sample"\nversion = "1.0.0"\n'
    write(tmp_path, dict.fromkeys(files, ""))
    found = project(tmp_path, cargo=package + cargo, lock="version = 4\n" + "".join(packages))
    assert (found.bindings.kind, found.abi) == (kind, abi)


def test_bindings_that_are_named_win(tmp_path: Path) -> None:
    text = PYPROJECT + '[tool.maturin]\nbindings = "cffi"\n'
    found = project(tmp_path, pyproject=text)
    assert (found.bindings.kind, found.bindings.pyo3, found.abi) == (Kind.CFFI, None, Abi.NONE)


def test_named_pyo3_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    write(tmp_path, SIMPLE)
    write(tmp_path, {"pyproject.toml": PYPROJECT + '[tool.maturin]\nbindings = "pyo3"\n'})
    write(tmp_path, {"Cargo.toml": CARGO.replace('pyo3 = "0.29"', "")})
    assert "does not depend on PyO3" in fault(tmp_path).message


def test_several_versions_of_pyo3_are_an_error(tmp_path: Path) -> None:
    lock = "version = 4\n" + "".join(
        [
            locked("sample", "1.2.3", "pyo3 0.29.0", "wrap", path=True),
            locked("pyo3", "0.29.0"),
            locked("pyo3", "0.20.0"),
            locked("wrap", "1.0.0", "pyo3 0.20.0"),
        ]
    )
    write(tmp_path, SIMPLE | {"Cargo.lock": lock, "Cargo.toml": CARGO + 'wrap = "1"\n'})
    assert "several versions of pyo3 in one library: 0.20.0, 0.29.0" in fault(tmp_path).message


def test_conditional_features_depend_on_the_interpreter(tmp_path: Path) -> None:
    text = PYPROJECT + (
        "[tool.maturin]\nfeatures = [\n"
        '  { feature = "pyo3/abi3-py311", python-version = ">=3.11" },\n'
        '  { feature = "pyo3/abi3-py38", python-version = "<3.11" },\n'
        '  { feature = "plain" },\n'
        '  { feature = "pyo3/abi3-py37", python-implementation = "pypy" },\n]\n'
    )
    found = project(tmp_path, pyproject=text, cargo=CARGO + "[features]\nplain = []\n")
    assert found.wanted.features == ("plain",)
    assert found.bindings.abi3(Interpreter(minor=10)) == 8
    assert found.bindings.abi3(Interpreter(minor=12)) == 11
    assert found.bindings.abi3(Interpreter(minor=14, threaded=True)) is False
