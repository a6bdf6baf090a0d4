"""Project files that are made to break their readers: each is an error with the file's name."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from made_projects import CARGO, LOCK, PYPROJECT, SIMPLE, write

from farm.model.errors import UsageError
from farm.model.plan import Plan
from farm.model.settings import read_settings
from farm.model.targets import Arch, Interpreter
from farm.project.cargo_config import compiler_flags
from farm.project.cfg import holds
from farm.project.rust_text import read_rust
from farm.runs.planner import Selectors, make_plan, read_request

FARM = "[tool.farm]\n"
NINES = "9" * 5000


def plan(root: Path, *, more: str = "", **files: str) -> Plan:
    names = {"config": ".cargo/config.toml", "cargo": "Cargo.toml", "lock": "Cargo.lock"}
    named = {names.get(key, "pyproject.toml"): text for key, text in files.items()}
    given = SIMPLE | {"pyproject.toml": PYPROJECT + more} | named
    request = read_request(write(root, given), Selectors())
    return make_plan(
        request,
        arches=tuple(Arch),
        engine_arch=Arch.X86_64,
        available=(Interpreter(minor=12), Interpreter(minor=13)),
        natively=(Interpreter(minor=12), Interpreter(minor=13)),
    )


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (f"x = {'[' * 3000}", "is not valid TOML: maximum recursion depth"),
        (f"x = {NINES}", "is not valid TOML: Exceeds the limit"),
        ('[tool.maturin]\nfeatures = ["--config=x"]', "'--config=x' is an option"),
        ('[tool.maturin]\nfeatures = [{feature = "-x"}]', "'-x' is an option"),
        ('[dependency-groups]\na = ["--index-url=x"]\n[tool.farm.smoke]\ngroups = ["a"]', "groups"),
    ],
)
def test_a_pyproject_that_breaks_readers_is_told(tmp_path: Path, more: str, said: str) -> None:
    with pytest.raises(UsageError) as caught:
        plan(tmp_path, more=more)
    assert said in caught.value.message
    assert str(tmp_path / "pyproject.toml") in caught.value.message


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (">=3.9", f">={NINES}", "less than 4000 characters"),
        ("maturin>=1.5,<2", f"maturin>={NINES}", "less than 4000 characters"),
        ("maturin>=1.5,<2", "a; " + "(" * 3000, "holds 'a; ("),
        ("maturin>=1.5,<2", "--index-url=x", "holds '--index-url=x'"),
        ('name = "sample"', 'name = "../x"', "'../x' is none that a package can have"),
        ('name = "sample"', 'name = "caf\xe9 \\u001b"', "is none that a package can have"),
        ('name = "sample"', 'name = "-x"', "is none that a package can have"),
    ],
)
def test_a_changed_pyproject_is_told(tmp_path: Path, old: str, new: str, said: str) -> None:
    with pytest.raises(UsageError) as caught:
        plan(tmp_path, pyproject=PYPROJECT.replace(old, new))
    assert said in caught.value.message


def test_groups_that_include_each_other_for_ever_are_told(tmp_path: Path) -> None:
    groups = "".join(f'a{n} = [{{include-group = "a{n + 1}"}}]\n' for n in range(1500))
    more = f'[dependency-groups]\n{groups}a1500 = []\n[tool.farm.smoke]\ngroups = ["a0"]\n'
    with pytest.raises(UsageError, match="include too many others"):
        plan(tmp_path, more=more)


@pytest.mark.parametrize(
    "cargo",
    [
        CARGO + '[workspace]\nmembers = ["/abs/*"]\n',
        CARGO + '[workspace]\nmembers = ["**x"]\n',
        CARGO.replace('"0.29"', f'{{version = "0.29", features = ["abi3-py3{NINES}"]}}'),
        CARGO.replace("[package]", '[package]\nworkspace = "\\u0000"'),
    ],
)
def test_a_manifest_that_breaks_readers_is_told(tmp_path: Path, cargo: str) -> None:
    with pytest.raises(UsageError):
        plan(tmp_path, cargo=cargo)


def test_a_lock_with_an_endless_version_is_told(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="version is not a version"):
        plan(tmp_path, lock=LOCK.replace("0.29.3", NINES))


def test_features_in_a_long_chain_are_followed(tmp_path: Path) -> None:
    chain = "".join(f'a{n} = ["a{n + 1}"]\n' for n in range(3000))
    cargo = f'{CARGO}[features]\ndefault = ["a0"]\n{chain}a3000 = ["pyo3/abi3-py310"]\n'
    assert plan(tmp_path, cargo=cargo).jobs[0].id.startswith("cp310-abi3")


def test_tables_in_tables_do_not_break_the_configuration(tmp_path: Path) -> None:
    deep = ".".join("a" * 3000)
    assert plan(tmp_path, config=f"{deep} = 1\n").jobs
    assert compiler_flags(tmp_path, tmp_path) == ()


def test_conditions_in_conditions_hold() -> None:
    assert holds(f"cfg({'not(' * 3000}unix{')' * 3000})", Arch.X86_64)


@pytest.mark.parametrize("piece", ['r#"', "/*", '"\\"', "cfg(", "'\\", "b'"])
def test_a_build_script_is_looked_through_in_no_time(piece: str) -> None:
    started = time.monotonic()
    assert len([*read_rust(piece * 200_000).conditions()]) <= 1000
    assert time.monotonic() - started < 5


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ({"features": ["--config=x"]}, "features.0"),
        ({"profile": "--x"}, "profile"),
        ({"cargo-args": ["--auditwheel", "skip"]}, "'--auditwheel' is for the farm to say"),
        ({"cargo-args": ["--auditwheel=skip"]}, "is for the farm to say"),
        ({"cargo-args": ["--skip-auditwheel"]}, "is for the farm to say"),
        ({"cargo-args": ["-ipython3"]}, "is for the farm to say"),
        ({"cargo-args": ["-vvi", "python3"]}, "is for the farm to say"),
        ({"cargo-args": ["--target=x"]}, "is for the farm to say"),
        ({"cargo-args": ["--features=x"]}, "'--features=x': set features in"),
        ({"cargo-args": ["-qFx"]}, "'-qFx': set features in"),
        ({"smoke": {"requires": ["--index-url=https://x"]}}, "is no requirement"),
        ({"smoke": {"requires": ["./x"]}}, "is no requirement"),
        ({"smoke": {"requires": ["a; " + "(" * 3000]}}, "is no requirement"),
        ({"smoke": {"extras": ["a] --index-url=x["]}}, "smoke.extras.0"),
        ({"environment": {"A=B": "c"}}, "environment.A=B"),
        ({"environment": {"": "c"}}, "environment."),
        ({"environment": {"A": "b\0c"}}, "environment.A"),
        ({"out": "a\0b"}, "out"),
        ({"limits": {"memory-gib": float("inf")}}, "limits.memory-gib"),
        ({"limits": {"build-minutes": float("nan")}}, "limits.build-minutes"),
        ({"limits": {"build-minutes": 1e300}}, "limits.build-minutes"),
        ({"limits": {"pids": True}}, "limits.pids"),
        ({"network": "yes"}, "network"),
    ],
)
def test_a_setting_that_would_be_an_option_or_no_value_is_refused(
    table: dict[str, object], said: str
) -> None:
    with pytest.raises(UsageError) as caught:
        read_settings(table, "pyproject.toml")
    assert said in caught.value.message


def test_settings_as_they_are_documented_are_taken() -> None:
    settings = read_settings(
        {
            "cargo-args": ["--config", "a='b'", "-Zbuild-std", "-j2", "--", "-i", "-o"],
            "environment": {"A": "two\nlines = one"},
            "limits": {"memory-gib": 0, "cpus": 0},
            "smoke": {"requires": ["x @ https://example.org/x.whl", "y[z]>=1; os_name == 'a'"]},
        },
        "pyproject.toml",
    )
    assert settings.environment == {"A": "two\nlines = one"}
