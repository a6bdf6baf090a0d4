from __future__ import annotations

from pathlib import Path

import pytest
from made_projects import CARGO, PYPROJECT, SIMPLE, write
from packaging.specifiers import SpecifierSet
from packaging.version import Version

from farm.model.errors import UsageError
from farm.model.targets import Abi, Interpreter
from farm.project.inspect import Project, inspect
from farm.project.pyo3 import TABLE, refusal, supported
from farm.project.select import Selection, admits, interpreters


def pythons(*names: str) -> tuple[Interpreter, ...]:
    return tuple(map(Interpreter.parse, names))


BASE = pythons("3.9", "3.11", "3.13", "3.14", "3.15")


def project(root: Path, requires: str = ">=3.8", pyo3: str = "0.29.3", **features: str) -> Project:
    asked = ", ".join(f'"{f}"' for f in features.values())
    lock = SIMPLE["Cargo.lock"].replace("0.29.3", pyo3)
    cargo = CARGO.replace('pyo3 = "0.29"', f'pyo3 = {{ version = "*", features = [{asked}] }}')
    changed = {
        "pyproject.toml": PYPROJECT.replace(">=3.9", requires),
        "Cargo.lock": lock,
        "Cargo.toml": cargo,
    }
    return inspect(write(root, SIMPLE | changed))


def shown(selection: Selection) -> list[tuple[str, str, str, list[str]]]:
    return [
        (w.abi.value, w.interpreter.version, w.claims.version, [c.version for c in w.checks])
        for w in selection.wheels
    ]


def test_each_interpreter_gets_a_wheel(tmp_path: Path) -> None:
    found = interpreters(project(tmp_path), BASE)
    assert found.kept == BASE
    assert [w.interpreter for w in found.wheels] == list(BASE)
    assert all(w.abi is Abi.VERSION and w.claims == w.interpreter for w in found.wheels)
    assert found.left_out == ()


def test_what_cannot_be_had_is_left_out_with_a_line(tmp_path: Path) -> None:
    found = interpreters(project(tmp_path, requires=">=3.10", pyo3="0.28.3"), BASE)
    assert [i.version for i in found.kept] == ["3.11", "3.13", "3.14"]
    assert [left.line for left in found.left_out] == [
        "3.9 is left out: sample requires Python >=3.10",
        "3.15 is left out: PyO3 0.28.3 knows Python up to 3.14",
    ]


def test_what_is_asked_for_and_cannot_be_had_is_an_error_that_names_the_rest(
    tmp_path: Path,
) -> None:
    made = project(tmp_path, requires=">=3.10", pyo3="0.27.0")
    with pytest.raises(UsageError) as caught:
        interpreters(made, BASE, pythons("3.9", "3.15", "3.11"))
    assert "3.9: sample requires Python >=3.10" in caught.value.message
    assert "3.15: PyO3 0.27.0 knows Python up to 3.14" in caught.value.message
    assert caught.value.remedy == "There are: 3.11, 3.13, 3.14."


def test_what_the_base_lacks_is_an_error_that_names_what_there_is(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no Python 3\.12, 3\.14t in this base") as caught:
        interpreters(project(tmp_path), BASE, pythons("3.12", "3.14t", "3.11"))
    assert caught.value.remedy == "There are: 3.9, 3.11, 3.13, 3.14, 3.15."


def test_a_python_too_new_for_pyo3_is_built_by_name_with_a_warning(tmp_path: Path) -> None:
    """PyO3 0.28's build script lets 3.15 through, and says not to distribute what comes out."""
    found = interpreters(project(tmp_path, pyo3="0.28.3"), BASE, pythons("3.15"))
    assert [i.version for i in found.kept] == ["3.15"]
    assert "do not distribute" in found.warnings[0]


def test_requires_python_that_excludes_all_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no Python of this base can build sample: sample req"):
        interpreters(project(tmp_path, requires=">=4"), BASE)


def test_no_interpreters_at_all_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is none"):
        interpreters(project(tmp_path), [])


def test_abi3_is_one_wheel_of_the_lowest_checked_on_all(tmp_path: Path) -> None:
    found = interpreters(project(tmp_path, f="abi3-py311"), BASE)
    assert shown(found) == [("abi3", "3.11", "3.11", ["3.11", "3.13", "3.14", "3.15"])]
    assert found.left_out[0].reason == (
        "the crate's PyO3 feature abi3-py311 needs Python 3.11 or newer"
    )


def test_abi3_claims_what_the_crate_says_even_where_that_python_is_not_there(
    tmp_path: Path,
) -> None:
    found = interpreters(project(tmp_path, f="abi3-py310"), BASE)
    assert shown(found)[0][:3] == ("abi3", "3.11", "3.10")


def test_plain_abi3_claims_the_oldest_that_is_allowed(tmp_path: Path) -> None:
    found = interpreters(project(tmp_path, requires=">=3.10", f="abi3"), BASE)
    assert shown(found) == [("abi3", "3.11", "3.11", ["3.11", "3.13", "3.14", "3.15"])]


def test_asking_restricts_the_checks_of_abi3_and_not_its_tag(tmp_path: Path) -> None:
    found = interpreters(project(tmp_path, f="abi3-py38"), BASE, pythons("3.14"))
    assert shown(found) == [("abi3", "3.9", "3.8", ["3.14"])]


def test_an_abi3_wheel_is_checked_on_pythons_newer_than_its_pyo3(tmp_path: Path) -> None:
    found = interpreters(project(tmp_path, pyo3="0.23.3", f="abi3-py38"), BASE)
    assert shown(found)[0][3] == ["3.9", "3.11", "3.13", "3.14", "3.15"]


def test_an_abi3_project_gives_free_threaded_pythons_wheels_of_their_own(tmp_path: Path) -> None:
    found = interpreters(project(tmp_path, f="abi3-py39"), pythons("3.9", "3.14", "3.14t"))
    assert shown(found) == [
        ("abi3", "3.9", "3.9", ["3.9", "3.14"]),
        ("version", "3.14t", "3.14t", ["3.14t"]),
    ]


def test_abi3t_beside_abi3_leaves_the_abi3_wheel(tmp_path: Path) -> None:
    found = interpreters(project(tmp_path, a="abi3", b="abi3t"), (*BASE, *pythons("3.15t")))
    assert shown(found) == [("abi3", "3.9", "3.9", ["3.9", "3.11", "3.13", "3.14", "3.15"])]
    assert "abi3t" in found.left_out[0].line


def test_abi3_without_a_python_that_its_pyo3_builds_on_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="builds an abi3 wheel with"):
        interpreters(project(tmp_path, pyo3="0.23.3", f="abi3"), pythons("3.15"))


def test_a_program_is_one_wheel_checked_on_all(tmp_path: Path) -> None:
    cargo = '[package]\nname = "sample"\nversion = "1.2.3"\n[[bin]]\nname = "sample"\n'
    found = interpreters(
        inspect(write(tmp_path, SIMPLE | {"Cargo.toml": cargo})), (*BASE, *pythons("3.14t"))
    )
    assert [(w.abi, len(w.checks)) for w in found.wheels] == [(Abi.NONE, 6)]


def test_a_range_with_a_patch_release_admits_the_minor_version() -> None:
    assert admits(SpecifierSet(">=3.9,!=3.9.0,!=3.9.1"), Interpreter(minor=9))
    assert admits(SpecifierSet(">3.9"), Interpreter(minor=9))
    assert not admits(SpecifierSet("<3.9"), Interpreter(minor=9))
    assert not admits(SpecifierSet("!=3.9.*"), Interpreter(minor=9))
    assert admits(SpecifierSet("~=3.9"), Interpreter(minor=15))
    assert admits(None, Interpreter(minor=9))


@pytest.mark.parametrize(
    ("version", "python", "allowed"),
    [
        ("0.30.1", "3.8", False),
        ("0.30.1", "3.9", True),
        ("0.29.0", "3.8", True),
        ("0.29.0", "3.13t", False),
        ("0.28.0", "3.13t", True),
        ("0.22.6", "3.13t", False),
        ("0.25.0", "3.14", True),
        ("0.24.2", "3.14", False),
        ("0.21.2", "3.12", True),
        ("0.21.2", "3.13", False),
        ("0.19.2", "3.12", False),
        ("0.15.0", "3.6", True),
        ("0.99", "3.15", True),
    ],
)
def test_pyo3s_own_range(version: str, python: str, allowed: bool) -> None:  # noqa: FBT001
    reason = refusal(Version(version), Interpreter.parse(python), by_name=False)
    assert (reason == "") is allowed


def test_the_table_ascends() -> None:
    assert list(TABLE) == sorted(TABLE, key=lambda row: row.since)
    assert supported(Version("0.20.2")).accepted is None
    assert supported(Version("0.20.3")).accepted == 12
