"""Whatever is selected: a plan that says everything, or one error."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from made_projects import CARGO, PYPROJECT, SIMPLE, write

from farm.model.errors import UsageError
from farm.model.plan import Build, Command, Plan
from farm.model.settings import read_settings
from farm.model.targets import Arch, Interpreter
from farm.report.json import dump
from farm.runs.planner import Request, Selectors, make_plan, read_request, select_arches

INTERPRETERS = tuple(
    Interpreter(minor=minor, threaded=threaded)
    for minor in range(9, 16)
    for threaded in (False, True)
    if minor >= 13 or not threaded
)
WORDS = st.from_regex(r"[a-z][a-z0-9_-]{0,5}", fullmatch=True)
ARCHES = st.lists(st.sampled_from(["x86_64", "aarch64", "arm64", "native", "all"]), min_size=1)
SETTINGS = st.fixed_dictionaries(
    {},
    optional={
        "mode": st.sampled_from(["hybrid", "emulated"]),
        "fallback": st.sampled_from(["none", "emulated"]),
        "features": st.lists(WORDS, max_size=2),
        "no-default-features": st.booleans(),
        "profile": WORDS,
        "strip": st.booleans(),
        "network": st.booleans(),
        "cargo-args": st.lists(
            st.one_of(WORDS, st.sampled_from(["--", "-i", "--auditwheel=skip", "-F", "--config"])),
            max_size=3,
        ),
        "environment": st.dictionaries(WORDS, st.text(max_size=5), max_size=2),
        "smoke": st.fixed_dictionaries(
            {},
            optional={
                "command": st.lists(st.text(max_size=8), max_size=3),
                "requires": st.lists(WORDS, max_size=2),
                "extras": st.lists(WORDS, max_size=2),
                "excuse": st.just(["3.15"]),
            },
        ),
    },
)


@cache
def requested(abi3: bool, cffi: bool) -> Request:  # noqa: FBT001 - two kinds of four projects
    """Return a project as it was read, once; its files are gone, and nothing is read again."""
    cargo = CARGO.replace('"0.29"', '{version = "0.29", features = ["abi3-py310"]}')
    more = PYPROJECT.replace('"maturin>=1.5,<2"', '"maturin>=1.5,<2", "cffi"')
    files = {"Cargo.toml": cargo if abi3 else CARGO, "pyproject.toml": more if cffi else PYPROJECT}
    with TemporaryDirectory() as directory:
        return read_request(write(Path(directory), SIMPLE | files), Selectors())


def commands(plan: Plan) -> Iterator[Command]:
    yield from plan.fetch
    for job in plan.jobs:
        for build in (job.build, job.fallback):
            if build is not None:
                yield from (*build.prepare, build.command)
        for check in job.checks:
            yield from check.commands


def option(argv: tuple[str, ...], name: str) -> str:
    assert argv.count(name) == 1
    return argv[argv.index(name) + 1]


@settings(
    max_examples=40,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
@given(
    st.booleans(),
    st.booleans(),
    SETTINGS,
    ARCHES,
    st.sampled_from(list(Arch)),
    st.lists(st.sampled_from(INTERPRETERS), min_size=1, unique=True),
    st.one_of(st.none(), st.lists(st.sampled_from(INTERPRETERS), min_size=1, max_size=2)),
)
def test_every_plan_is_explicit(
    abi3: bool,  # noqa: FBT001 - hypothesis gives them by place
    cffi: bool,  # noqa: FBT001
    table: dict[str, object],
    words: list[str],
    engine: Arch,
    available: list[Interpreter],
    asked: list[Interpreter] | None,
) -> None:
    read = requested(abi3, cffi)
    try:
        chosen = read_settings(table, "pyproject.toml")
        request = Request(
            **{
                **vars(read),
                "settings": chosen,
                "mode": chosen.foreign_mode,
                "pythons": asked and tuple(asked),
            }
        )
        arches = select_arches(words, engine)
        plan = make_plan(
            request, arches=arches, engine_arch=engine, available=available, natively=available
        )
    except UsageError:
        assume(False)  # noqa: FBT003 - hypothesis's own word for it
        return
    ids = [job.id for job in plan.jobs]
    assert len(set(ids)) == len(ids) > 0
    assert [c.network for c in plan.fetch] == [True]
    for job in plan.jobs:
        assert job.target.arch in arches
        for build in (job.build, job.fallback):
            if build is not None:
                require_explicit(build, network=chosen.network)
        for check in job.checks:
            assert check.interpreter in available
            assert not any(command.network for command in (*check.prepare[2:], *check.run))
            assert {command.arch for command in check.run} == {job.target.arch}
            native = engine if check.interpreter in available else job.target.arch
            assert {command.arch for command in check.prepare} == {native}
            assert (len(check.prepare) == 3) == (native is not job.target.arch)
    assert all(command.cwd.startswith("/") for command in commands(plan))
    parsed = json.loads(dump(plan))
    assert [job["id"] for job in parsed["jobs"]] == ids
    builds = [job["build"]["command"]["argv"] for job in parsed["jobs"]]
    assert builds == [[*job.build.command.argv] for job in plan.jobs]
    assert dump(plan) == json.dumps(parsed, indent=2, ensure_ascii=False)


def require_explicit(build: Build, *, network: bool) -> None:
    argv = build.command.argv
    if "--" in argv:
        argv = argv[: argv.index("--")]  # what follows is rustc's
    arch = build.command.arch
    python = option(argv, "--interpreter")
    venv = rf"/work/env/{arch}-cp3\d+t?"
    assert re.fullmatch(rf"/opt/python/cp3\d+-cp3\d+t?/bin/python|{venv}/bin/python3\.\d+", python)
    if python.startswith("/work/env"):
        made = build.prepare[0].argv
        assert python.startswith(f"{made[-1]}/bin/")
        assert made[made.index("--python") + 1].startswith("/opt/python/cp3")
    assert option(argv, "--target") == arch.triple
    assert option(argv, "--compatibility") == "manylinux_2_28"
    assert option(argv, "--out").startswith("/work/out/")
    assert not [word for word in argv if word.startswith(("--auditwheel", "--skip-auditwheel"))]
    assert build.command.network == network
    assert network or "--offline" in argv
