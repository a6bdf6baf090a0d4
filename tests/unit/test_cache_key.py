"""What a wheel is called in the cache: all that goes into it, and nothing else."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from made_projects import LOCK, PYPROJECT, SIMPLE, commit, git, write
from test_cache import built

import farm
from farm.model.events import Event, JobPhase
from farm.model.plan import Plan
from farm.model.settings import read_settings
from farm.model.targets import Arch, Interpreter
from farm.runs.cache import Cache, Hit, user_cache, wheel_keys
from farm.runs.planner import Order, Request, Selectors, make_plan, read_request, select_arches
from farm.runs.run import _take_cached

AVAILABLE = (Interpreter(minor=11), Interpreter(minor=13))
FOREIGN, NATIVE = "cp313-manylinux_2_28_aarch64", "cp313-manylinux_2_28_x86_64"

Keys = dict[str, str]
Change = Callable[[Path], object]


def inputs_of(plan: Plan) -> dict[str, str]:
    return dict.fromkeys(plan.images, "0")


def planned(place: Path, selectors: Selectors, *, smoke: bool = True) -> tuple[Request, Plan]:
    request = read_request(place, selectors, smoke=smoke)
    arches = select_arches(selectors.arches or request.settings.arch, Arch.X86_64)
    plan = make_plan(
        request, arches=arches, engine_arch=Arch.X86_64, available=AVAILABLE, natively=AVAILABLE
    )
    return request, plan


def keys(
    place: Path,
    *,
    inputs: Mapping[str, str] | None = None,
    selectors: Selectors | None = None,
    smoke: bool = True,
) -> Keys:
    """Return the keys of the project in `place`; `inputs` has other inputs of images."""
    request, plan = planned(place, selectors or Selectors(), smoke=smoke)
    return wheel_keys(request, plan, inputs_of(plan) | (inputs or {}))


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """Return a project that is a repository's only member."""
    write(tmp_path / "here", SIMPLE | {"tests/data.txt": "1"})
    commit(tmp_path / "here")
    return tmp_path / "here"


def settings(text: str) -> Change:
    return lambda place: (place / "pyproject.toml").write_text(f"{PYPROJECT}[tool.farm]\n{text}\n")


def content(name: str, text: str) -> Change:
    return lambda place: write(place, {name: text})


CHANGES: dict[str, Change] = {
    "a source file": content("src/lib.rs", "// changed"),
    "a data file": content("tests/data.txt", "2"),
    "a new file": content("src/new.rs", ""),
    "a file that is gone": lambda place: (place / "tests" / "data.txt").unlink(),
    "a file's name": lambda place: (place / "tests" / "data.txt").rename(place / "tests" / "x"),
    "a file that may be run": lambda place: (place / "tests" / "data.txt").chmod(0o755),
    "Cargo.lock": content("Cargo.lock", LOCK.replace("0.29.3", "0.29.4")),
    "a later commit": lambda place: git(
        place, "commit", "-q", "--allow-empty", "-m", "x", date="2025-01-01T00:00:00Z"
    ),
    "features": settings('features = ["fast"]'),
    "no default features": settings("no-default-features = true"),
    "profile": settings('profile = "dev"'),
    "strip": settings("strip = true"),
    "arguments for cargo": settings('cargo-args = ["--verbose"]'),
    "environment": settings('environment = { RUSTFLAGS = "-g" }'),
    "smoke command": settings('smoke.command = ["python", "-c", "1"]'),
    "smoke requirements": settings('smoke.requires = ["six"]'),
    "modules that are not imported": settings('smoke.skip-import = ["sample.gpu"]'),
    "excuses": settings('smoke.excuse = ["3.13"]'),
    "requirements of the build": content(
        "pyproject.toml", PYPROJECT.replace('2"]', "2\", 'cffi']")
    ),
    "where crates come from": content(
        ".cargo/config.toml",
        '[source.crates-io]\nreplace-with = "m"\n[source.m]\ndirectory = "m"\n',
    ),
}
"""Each changes what goes into the wheels, or what they were checked with."""


@pytest.mark.parametrize("what", CHANGES)
def test_whatever_goes_into_a_wheel_is_in_its_key(place: Path, what: str) -> None:
    before = keys(place)
    CHANGES[what](place)
    after = keys(place)
    assert before.keys() == after.keys()
    assert not set(before.values()) & set(after.values())


def test_the_plan_is_in_the_key_itself_not_only_what_it_is_made_from(place: Path) -> None:
    """The digest of the source hides this: here it is the same, planned in many ways."""
    request, plan = planned(place, Selectors())
    inputs = inputs_of(plan)

    def key(plan: Plan, request: Request = request) -> str:
        return wheel_keys(request, plan, inputs)[NATIVE]

    job = next(job for job in plan.jobs if job.id == NATIVE)
    command = job.build.command
    others = [
        replace(command, argv=(*command.argv, "--verbose")),
        replace(command, environment={**command.environment, "CFLAGS": "-g"}),
        replace(command, cwd="/src/elsewhere"),
    ]
    builds = [replace(job.build, command=other) for other in others]
    builds.append(replace(job.build, linker="another"))
    builds.append(replace(job.build, prepare=(command,)))
    jobs = [replace(job, build=build) for build in builds]
    jobs += [replace(job, checks=job.checks[:-1]), replace(job, fallback=job.build)]
    plans = [replace(plan, jobs=(other,)) for other in jobs]
    fetched = replace(plan.fetch[0], argv=(*plan.fetch[0].argv, "--config", "x"))
    plans.append(replace(plan, fetch=(fetched,)))
    smoke = read_settings({"smoke": {"skip-import": ["sample.gpu"]}}, "")
    requests = [
        replace(request, epoch=request.epoch + 1),
        replace(request, settings=smoke),
        replace(request, source=replace(request.source, project="elsewhere")),
    ]
    found = [key(plan), *map(key, plans), *(key(plan, other) for other in requests)]
    assert len(set(found)) == len(found)


def test_the_order_in_which_an_environment_is_written_is_not_in_the_key(place: Path) -> None:
    request, plan = planned(place, Selectors())
    job = plan.jobs[0]
    turned = dict(reversed(job.build.command.environment.items()))
    command = replace(job.build.command, environment=turned)
    other = replace(job, build=replace(job.build, command=command))
    before, after = (
        wheel_keys(request, replace(plan, jobs=(each,)), inputs_of(plan)) for each in (job, other)
    )
    assert before == after


def test_the_mode_is_in_the_keys_of_foreign_wheels_only(place: Path) -> None:
    hybrid, emulated = (keys(place, selectors=Selectors(mode=m)) for m in ("hybrid", "emulated"))
    assert hybrid[NATIVE] == emulated[NATIVE]
    assert hybrid[FOREIGN] != emulated[FOREIGN]


def test_what_images_were_made_from_is_in_the_keys_of_the_wheels_made_in_them(place: Path) -> None:
    before = keys(place)
    for name, changed in {
        "builder-aarch64": {FOREIGN},
        "check-aarch64": {FOREIGN},
        "check-x86_64": {NATIVE, FOREIGN},  # environments of both are made in it
        "builder-x86_64": {NATIVE, FOREIGN},  # crates of both are fetched in it
    }.items():
        after = keys(place, inputs={name: "1"})
        assert {job for job in (NATIVE, FOREIGN) if before[job] != after[job]} == changed


def test_the_farms_version_is_in_the_key(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = keys(place)
    monkeypatch.setattr(farm, "__version__", "999")
    assert not set(before.values()) & set(keys(place).values())


def test_a_wheel_that_was_not_checked_is_another(place: Path) -> None:
    assert not set(keys(place).values()) & set(keys(place, smoke=False).values())


def test_every_job_has_a_key_of_its_own(place: Path) -> None:
    found = keys(place)
    assert len(set(found.values())) == len(found) == 4


def test_where_packages_come_from_is_in_the_key_where_some_are_installed(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def found() -> str:
        return keys(place)[NATIVE]

    for name in [name for name in os.environ if name.upper().startswith("UV_")]:
        monkeypatch.delenv(name)
    alone = found()
    monkeypatch.setenv("UV_DEFAULT_INDEX", "https://index.example/simple")
    assert found() == alone  # nothing is installed
    settings('smoke.requires = ["six"]')(place)
    known = found()
    monkeypatch.setenv("UV_DEFAULT_INDEX", "https://somebody:sesame@index.example/simple")
    with_password = found()
    monkeypatch.setenv("UV_DEFAULT_INDEX", "https://somebody:changed@index.example/simple")
    assert found() == with_password
    monkeypatch.delenv("UV_DEFAULT_INDEX")
    assert found() != known


@pytest.mark.parametrize(
    "name",
    ["RUSTFLAGS", "CARGO_BUILD_TARGET", "CC", "MATURIN_PEP517_ARGS", "SOURCE_DATE_EPOCH", "PATH"],
)
def test_nothing_of_the_users_own_environment_reaches_a_build(
    place: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    before = planned(place, Selectors())[1], keys(place)
    monkeypatch.setenv(name, f"{os.environ.get(name, '')}:/changed")
    assert (planned(place, Selectors())[1], keys(place)) == before


def test_what_does_not_go_into_a_wheel_is_not_in_its_key(place: Path, tmp_path: Path) -> None:
    before = keys(place)
    os.utime(place / "src" / "lib.rs", (1, 1))
    write(tmp_path / "other", SIMPLE | {"src/lib.rs": "// another project"})
    write(place, {"target/debug/x": "1", "dist/x.whl": "1", ".farm/runs/x/report.json": "{}"})
    write(place, {"python/__pycache__/x.pyc": "1"})
    assert keys(place) == before


def test_the_same_project_elsewhere_has_the_same_keys(place: Path) -> None:
    before = keys(place)
    assert keys(place.rename(place.with_name("there"))) == before


def test_more_jobs_beside_it_do_not_change_a_wheels_key(place: Path) -> None:
    for only in (Selectors(pythons=("3.13",)), Selectors(arches=("native",))):
        assert keys(place, selectors=only)[NATIVE] == keys(place)[NATIVE]


def test_a_wheel_that_another_farm_just_dropped_is_left_to_be_built(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    request, plan = planned(place, Selectors())
    order = Order(request=request, plan=plan)
    request.out.mkdir()
    for job in ("a", "b"):
        (tmp_path / job).mkdir()
        user_cache().store(job, built(tmp_path / job, f"{job}-1-py3-none-any.whl"))
    find = Cache.find

    def find_and_lose(cache: Cache, key: str) -> Hit | None:
        hit = find(cache, key)
        if key == "a":
            cache._drop(cache.directory / key)
        return hit

    monkeypatch.setattr(Cache, "find", find_and_lose)
    events: list[Event] = []
    taken = _take_cached(order, {"a": "a", "b": "b"}, tmp_path, events.append)
    assert [Path(result.published).name for result in taken] == ["b-1-py3-none-any.whl"]
    assert [event.job for event in events if isinstance(event, JobPhase)] == ["b"]
    assert len((tmp_path / "journal.jsonl").read_text().splitlines()) == 1
