from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from farm.model.errors import UsageError
from farm.model.plan import Plan
from farm.model.targets import Arch, Interpreter, Mode
from farm.runs.planner import Selectors, make_plan, read_request, select_arches

AVAILABLE = tuple(Interpreter(minor=minor) for minor in (9, 11, 13))

CARGO = """
[package]
name = "sample"
version = "1.2.3"
edition = "2021"
[lib]
crate-type = ["cdylib"]
[features]
fast = []
abi3 = ["pyo3/abi3-py311"]
[dependencies]
pyo3 = "0.29"
"""
LOCK = """
version = 4
[[package]]
name = "pyo3"
version = "0.29.0"
source = "registry+https://github.com/rust-lang/crates.io-index"
checksum = "0000000000000000000000000000000000000000000000000000000000000000"
[[package]]
name = "sample"
version = "1.2.3"
dependencies = ["pyo3"]
"""
PYPROJECT = """
[build-system]
requires = ["maturin>=1,<2"]
build-backend = "maturin"
[project]
name = "sample"
version = "1.2.3"
"""

Planner = Callable[..., Plan]


@pytest.fixture
def planned(tmp_path: Path) -> Planner:
    """Plan a small project, with more of pyproject.toml and on the engine that a test names."""

    def plan(
        more: str = "",
        *,
        selectors: Selectors | None = None,
        engine: Arch = Arch.X86_64,
        natively: tuple[Interpreter, ...] = AVAILABLE,
    ) -> Plan:
        (tmp_path / "src").mkdir(exist_ok=True)
        (tmp_path / "src" / "lib.rs").touch()
        (tmp_path / "Cargo.toml").write_text(CARGO)
        (tmp_path / "Cargo.lock").write_text(LOCK)
        (tmp_path / "pyproject.toml").write_text(PYPROJECT + more)
        wanted = selectors or Selectors()
        request = read_request(tmp_path, wanted)
        arches = select_arches(wanted.arches or request.settings.arch, engine)
        return make_plan(
            request, arches=arches, engine_arch=engine, available=AVAILABLE, natively=natively
        )

    return plan


def test_every_interpreter_on_every_architecture_the_engines_own_first(planned: Planner) -> None:
    assert [job.id for job in planned().jobs] == [
        "cp39-manylinux_2_28_x86_64",
        "cp39-manylinux_2_28_aarch64",
        "cp311-manylinux_2_28_x86_64",
        "cp311-manylinux_2_28_aarch64",
        "cp313-manylinux_2_28_x86_64",
        "cp313-manylinux_2_28_aarch64",
    ]


@pytest.mark.parametrize("engine", list(Arch))
def test_only_the_engines_own_architecture_is_native(planned: Planner, engine: Arch) -> None:
    for job in planned(engine=engine).jobs:
        native = job.target.arch is engine
        assert job.build.mode is (Mode.NATIVE if native else Mode.HYBRID)
        assert job.build.command.image == f"builder-{job.target.arch}"
        cross = "PYO3_CROSS_LIB_DIR" in job.build.command.environment
        assert cross is not native


def test_an_arm64_engine_fetches_in_its_own_builder(planned: Planner) -> None:
    (fetch,) = planned(engine=Arch.AARCH64).fetch
    assert (fetch.image, fetch.arch) == ("builder-aarch64", Arch.AARCH64)


def test_crates_that_a_dependencys_features_may_bring_are_fetched_too(planned: Planner) -> None:
    more = """
[tool.maturin]
features = ["fast", "pyo3/serde", { feature = "pyo3/abi3-py311", python-version = ">=3.11" }]
no-default-features = true
"""
    fetch, tree = (command.argv for command in planned(more).fetch)
    words = ("--features", "fast,pyo3/serde,pyo3/abi3-py311", "--no-default-features")
    assert fetch[:2] == ("cargo", "fetch")
    assert tree[:2] == ("cargo", "tree")
    assert "--features" not in fetch
    assert tree[-len(words) :] == words
    for triple in ("aarch64-unknown-linux-gnu", "x86_64-unknown-linux-gnu"):
        assert triple in fetch
        assert triple in tree


def test_features_that_bring_no_crate_need_no_second_fetch(planned: Planner) -> None:
    words = '"fast", "pyo3/extension-module,pyo3/abi3-py39"'
    (fetch,) = planned(f"[tool.maturin]\nfeatures = [{words}]\n").fetch
    assert fetch.argv[:2] == ("cargo", "fetch")


def test_maturins_command_line_is_explicit(planned: Planner) -> None:
    plan = planned(selectors=Selectors(arches=("aarch64",), pythons=("3.11",)))
    (job,) = plan.jobs
    assert job.build.command.argv == (
        *("maturin", "build", "--release", "--locked"),
        *("--target", "aarch64-unknown-linux-gnu"),
        *("--interpreter", "/opt/python/cp311-cp311/bin/python"),
        *("--compatibility", "manylinux_2_28"),
        *("--out", "/work/out/cp311-manylinux_2_28_aarch64", "--offline"),
    )


def test_maturins_options_come_from_the_settings(planned: Planner) -> None:
    more = """
    [tool.maturin]
    features = ["own"]
    [tool.farm]
    arch = ["native"]
    python = ["3.13"]
    features = ["fast"]
    no-default-features = true
    profile = "dist"
    strip = true
    cargo-args = ["--config", "a = 'b c'"]
    environment = { RUSTFLAGS = "-Cdebuginfo=1" }
    """
    (job,) = planned(more).jobs
    argv = job.build.command.argv
    assert argv[2:4] == ("--profile", "dist")
    assert "--release" not in argv
    assert argv[-6:] == (
        *("--strip", "--no-default-features"),
        *("--features", "own,fast", "--config", "a = 'b c'"),
    )
    assert job.build.command.environment["RUSTFLAGS"] == "-Cdebuginfo=1"


def test_a_profile_of_the_projects_own_is_left_to_maturin(planned: Planner) -> None:
    argv = planned('[tool.maturin]\nprofile = "dist"').jobs[0].build.command.argv
    assert not {"--release", "--profile"} & set(argv)


def test_builds_and_checks_have_no_network_and_the_fetch_has(planned: Planner) -> None:
    plan = planned()
    assert [command.network for command in plan.fetch] == [True]
    for job in plan.jobs:
        assert not job.build.command.network
        assert not any(c.network for check in job.checks for c in check.run)


def test_a_build_that_needs_a_network_says_so(planned: Planner) -> None:
    plan = planned("[tool.farm]\nnetwork = true")
    assert all(job.build.command.network for job in plan.jobs)
    assert all("--offline" not in job.build.command.argv for job in plan.jobs)
    assert any("network" in note for note in plan.notes)


def test_emulated_is_an_image_and_a_target_directory_of_its_own(planned: Planner) -> None:
    plan = planned(selectors=Selectors(arches=("aarch64",), mode="emulated"))
    command = plan.jobs[0].build.command
    assert plan.jobs[0].build.mode is Mode.EMULATED
    assert command.image == "emulated-aarch64"
    assert command.environment["CARGO_TARGET_DIR"] != "/target/shared"


def test_hybrid_falls_back_only_where_the_settings_say_so(planned: Planner) -> None:
    assert all(job.fallback is None for job in planned().jobs)
    native, foreign = planned('[tool.farm]\nfallback = "emulated"').jobs[:2]
    assert native.fallback is None
    assert foreign.fallback is not None
    assert foreign.fallback.mode is Mode.EMULATED


def test_an_abi3_wheel_is_built_once_and_checked_on_all_that_it_claims(planned: Planner) -> None:
    plan = planned('[tool.farm]\nfeatures = ["abi3"]\narch = ["native"]')
    (job,) = plan.jobs
    assert job.id == "cp311-abi3-manylinux_2_28_x86_64"
    assert [check.interpreter.version for check in job.checks] == ["3.11", "3.13"]


def test_pythons_asked_for_restrict_an_abi3_wheels_checks_not_its_tag(planned: Planner) -> None:
    more = '[tool.farm]\nfeatures = ["abi3"]\narch = ["native"]'
    (job,) = planned(more, selectors=Selectors(pythons=("3.13",))).jobs
    assert job.id == "cp311-abi3-manylinux_2_28_x86_64"
    assert [check.interpreter.version for check in job.checks] == ["3.13"]
    assert "/opt/python/cp311-cp311/bin/python" in job.build.command.argv


def test_build_requirements_get_an_environment_of_the_target(planned: Planner) -> None:
    more = "[tool.farm]\narch = ['aarch64']\npython = ['3.9']"
    global_requires = PYPROJECT.replace('"maturin>=1,<2"', '"maturin>=1,<2", "cffi>=1.15"')
    plan = planned(more)
    assert plan.jobs[0].build.prepare == ()
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(globals(), "PYPROJECT", global_requires)
        (job,) = planned(more).jobs
    venv, install = job.build.prepare
    assert venv.argv[:2] == ("uv", "venv")
    assert install.argv[-1] == "cffi>=1.15"
    assert "--only-binary" in install.argv
    interpreter = job.build.command.argv[job.build.command.argv.index("--interpreter") + 1]
    assert interpreter == f"{venv.argv[-1]}/bin/python3.9"


def test_one_job_may_be_picked_by_its_id(planned: Planner) -> None:
    selectors = Selectors(only=("cp311-manylinux_2_28_aarch64",))
    assert [job.id for job in planned(selectors=selectors).jobs] == list(selectors.only)


def test_a_job_that_there_is_not_offers_the_nearest(planned: Planner) -> None:
    with pytest.raises(UsageError, match="did you mean 'cp311-manylinux_2_28_aarch64'"):
        planned(selectors=Selectors(only=("cp311-manylinux_2_28_arm64",)))


def test_the_smoke_command_runs_where_the_project_lies(planned: Planner) -> None:
    more = """
    [dependency-groups]
    dev = ["pytest>=8"]
    [tool.farm.smoke]
    command = ["python", "-m", "pytest", "{project}/tests"]
    groups = ["dev"]
    extras = ["all"]
    """
    check = planned(more).jobs[0].checks[0]
    assert check.run[-1].argv == ("python", "-m", "pytest", "/src/tests")
    assert check.prepare[-1].argv[-2:] == ("/check/{wheel}[all]", "pytest>=8")
    assert check.prepare[-1].network


def test_what_runs_nothing_of_a_wheel_is_done_by_the_engines_own_programs(planned: Planner) -> None:
    for engine in Arch:
        jobs = planned(engine=engine, selectors=Selectors(arches=("all",))).jobs
        assert {job.target.arch for job in jobs} == set(Arch)
        for job in jobs:
            (check,) = job.checks
            foreign = job.target.arch is not engine
            assert {c.image for c in check.prepare} == {f"check-{engine}"}
            assert {c.image for c in check.run} == {f"check-{job.target.arch}"}
            _, install, *compiling = check.prepare
            assert len(compiling) == foreign
            assert ("--python-platform" in install.argv) == foreign


def test_what_a_foreign_check_asks_for_by_name_is_compiled_whole(planned: Planner) -> None:
    more = """
    [dependency-groups]
    dev = ["Pytest-Cov[toml]>=8; python_version>'3'"]
    [tool.farm.smoke]
    groups = ["dev"]
    requires = ["pytest"]
    """
    job = planned(more, selectors=Selectors(arches=("aarch64",))).jobs[0]
    assert job.checks[0].prepare[-1].argv[-2:] == ("Pytest-Cov", "pytest")


def test_an_interpreter_that_only_the_foreign_image_has_makes_its_own_environment(
    planned: Planner,
) -> None:
    selectors = Selectors(arches=("aarch64",))
    jobs = planned(selectors=selectors, natively=AVAILABLE[:1]).jobs
    native, *others = (job.checks[0] for job in jobs)
    assert {c.arch for c in native.prepare} == {Arch.X86_64}
    assert len(others) == 2
    for check in others:
        assert {c.arch for c in check.commands} == {Arch.AARCH64}
        assert len(check.prepare) == 2


def test_wheels_are_chosen_for_the_glibc_that_each_interpreter_has(planned: Planner) -> None:
    jobs = planned(selectors=Selectors(arches=("aarch64",))).jobs
    words = [job.checks[0].prepare[1].argv for job in jobs]
    told = [argv[argv.index("--python-platform") + 1] for argv in words]
    assert told == [f"aarch64-manylinux_2_{minor}" for minor in (31, 36, 40)]


def test_a_dependency_group_that_there_is_not_is_an_error(planned: Planner) -> None:
    with pytest.raises(UsageError, match="group 'nope' not found"):
        planned('[tool.farm.smoke]\ngroups = ["nope"]')


def test_the_plan_names_its_images_once(planned: Planner) -> None:
    assert planned().images == (
        "builder-x86_64",
        "check-x86_64",
        "builder-aarch64",
        "check-aarch64",
    )
