"""Which wheel `farm verify` builds again, and what keeps it from building any."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from made_projects import SIMPLE, commit, write
from made_reports import report, result

import farm
from farm.model.errors import UsageError
from farm.model.events import Event, Warned
from farm.model.plan import Command
from farm.model.results import JobResult, Status, WheelFacts
from farm.model.targets import Arch
from farm.model.verdict import Difference, Verdict
from farm.report.verdict import verdict_lines
from farm.runs.directory import all_runs, read_run, write_report
from farm.runs.planner import Selectors, read_request
from farm.runs.verify import Made, _notes, _whole, find_made, verify

OLD, NEW = "20260101-120000-aaaa", "20260102-120000-bbbb"
JOB = "cp313-manylinux_2_28_x86_64"
NAME = "sample-1.2.3-cp313-cp313-manylinux_2_28_x86_64.whl"
INPUTS = "1234" * 16
Ran = Callable[..., None]


def of(content: bytes, **more: object) -> JobResult:
    facts = WheelFacts(
        path=f"/dist/{NAME}", sha256=hashlib.sha256(content).hexdigest(), size=len(content)
    )
    return result(JOB, Status.BUILT, wheel=facts, **more)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return write(tmp_path / "sample", SIMPLE)


@pytest.fixture
def wheel(tmp_path: Path) -> Path:
    path = tmp_path / NAME
    path.write_bytes(b"wheel")
    return path


@pytest.fixture
def ran(project: Path) -> Ran:
    """Return a function that writes down a run of the project, with the report's fields."""

    def call(run: str, *jobs: JobResult, **more: object) -> None:
        directory = project / ".farm" / "runs" / run
        directory.mkdir(parents=True)
        asked = {"selectors": {}, "out": str(project / "dist"), "smoke": True, "jobs": [JOB]}
        (directory / "request.json").write_text(json.dumps(asked))
        fields: dict[str, object] = {
            "run": run,
            "farm": farm.__version__,
            "images": {"builder-x86_64": {"id": "sha256:0", "inputs": INPUTS}},
        }
        write_report(report(*jobs, **fields | more), directory)

    return call


def engine(*inputs: str) -> Any:
    """Return an engine with a builder image of each of `inputs`, and nothing else."""
    listed = [
        {
            "Labels": {"farm.image": "builder-x86_64", "farm.inputs": each},
            "RepoTags": [f"farm/builder-x86_64:{each[:16]}"],
            "Id": f"sha256:{each}",
            "Created": 0,
            "Size": 0,
        }
        for each in inputs
    ]
    return SimpleNamespace(api=SimpleNamespace(images=lambda **_: listed))


def verified(wheel: Path, project: Path, client: Any = None) -> Verdict:
    return verify(wheel, project, all_runs(project), client, lambda _: None)


def refused(wheel: Path, project: Path, client: Any = None) -> tuple[str, str]:
    with pytest.raises(UsageError) as caught:
        verified(wheel, project, client)
    return caught.value.message, caught.value.remedy


def found(wheel: Path, project: Path) -> list[tuple[str, str]]:
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    made = find_made(wheel, digest, all_runs(project), project)
    return [(each.run.id, each.name) for each in made]


def digest_of(project: Path) -> str:
    return read_request(project, Selectors()).source.digest


# Which run made it


def test_the_report_with_the_wheels_hash_says_how_it_was_built(
    wheel: Path, project: Path, ran: Ran
) -> None:
    ran(OLD, of(b"wheel"))
    ran(NEW, of(b"another"))
    assert found(wheel, project) == [(OLD, NAME)]


def test_a_wheel_may_have_another_name_by_now(wheel: Path, project: Path, ran: Ran) -> None:
    ran(OLD, of(b"wheel"))
    assert found(wheel.rename(wheel.with_name("x.whl")), project) == [(OLD, NAME)]


def test_without_its_hash_the_same_file_name_is_nearest(
    wheel: Path, project: Path, ran: Ran
) -> None:
    ran(OLD, of(b"one"))
    ran(NEW, of(b"two"), result("cp314-x", Status.SKIPPED))
    assert found(wheel, project) == [(NEW, NAME), (OLD, NAME)]


def test_that_only_the_name_is_known_is_told_before_all_else(
    wheel: Path, project: Path, ran: Ran
) -> None:
    ran(OLD, of(b"one"), source="5678")
    events: list[Event] = []
    with pytest.raises(UsageError):
        verify(wheel, project, all_runs(project), engine(), events.append)
    [warning] = events
    assert isinstance(warning, Warned)
    assert f"no report names sha256 {hashlib.sha256(b'wheel').hexdigest()}" in warning.text
    assert f"run {OLD}, which names {hashlib.sha256(b'one').hexdigest()}" in warning.text


def test_a_wheel_that_no_report_knows_is_an_error_with_the_nearest_name(
    wheel: Path, project: Path, ran: Ran
) -> None:
    ran(OLD, of(b"one"))
    other = wheel.rename(wheel.with_name(NAME.replace("313", "314")))
    message, remedy = refused(other, project)
    assert f"names {other.name}, or its sha256" in message
    assert f"did you mean '{NAME}'?" in message
    assert "--project" in remedy


# What keeps it from being built


def test_another_source_is_an_error_that_names_both(wheel: Path, project: Path, ran: Ran) -> None:
    ran(OLD, of(b"wheel"), source="5678")
    message, remedy = refused(wheel, project)
    assert f"the source is not that of run {OLD}" in message
    assert f"names sha256 5678, there is {digest_of(project)}" in message
    assert remedy == "Bring the project's files back to what they were then."


def test_with_git_another_source_is_checked_out(wheel: Path, project: Path, ran: Ran) -> None:
    commit(project)
    head = read_request(project, Selectors()).commit
    assert len(head) == 40
    ran(OLD, of(b"wheel"), source="5678", commit="f" * 40)
    message, remedy = refused(wheel, project)
    assert f"names sha256 5678 (commit {'f' * 16})" in message
    assert message.endswith(f"(commit {head[:16]})")
    assert remedy.startswith(f"git checkout {'f' * 40}, ")


def test_changes_since_the_same_commit_are_for_git_status(
    wheel: Path, project: Path, ran: Ran
) -> None:
    commit(project)
    ran(OLD, of(b"wheel"), source="5678", commit=read_request(project, Selectors()).commit)
    assert refused(wheel, project)[1].startswith("git status ")


def test_of_several_runs_the_one_of_todays_source_is_taken(
    wheel: Path, project: Path, ran: Ran
) -> None:
    ran(OLD, of(b"wheel"), source=digest_of(project))
    ran(NEW, of(b"wheel"), source="5678")
    assert f"the image builder-x86_64 of run {OLD}" in refused(wheel, project, engine())[0]


@pytest.mark.parametrize(
    ("there", "version", "now", "remedy"),
    [
        (("abcd" * 16,), farm.__version__, "abcdabcdabcdabcd", "farm build --force"),
        ((), farm.__version__, "none", "farm images build makes those of today"),
        (("abcd" * 16,), "0.0.1", "abcdabcdabcdabcd", "farm 0.0.1 made it"),
    ],
)
def test_another_image_is_an_error_that_names_both(
    wheel: Path,
    project: Path,
    ran: Ran,
    there: tuple[str, ...],
    version: str,
    now: str,
    remedy: str,
) -> None:
    ran(OLD, of(b"wheel"), source=digest_of(project), farm=version)
    message, what_to_do = refused(wheel, project, engine(*there))
    assert message.endswith(f"names one made from {INPUTS[:16]}, there is {now}")
    assert remedy in what_to_do


def test_a_report_that_does_not_tell_what_an_image_was_made_from(
    wheel: Path, project: Path, ran: Ran
) -> None:
    ran(OLD, of(b"wheel"), source=digest_of(project), images={"builder-x86_64": {"id": "sha256:0"}})
    message, _ = refused(wheel, project, engine(INPUTS))
    assert "does not tell what builder-x86_64 was made from" in message


# What it is built with

TOLD = Command(
    image="builder-x86_64",
    arch=Arch.X86_64,
    argv=("maturin", "build"),
    cwd="/src",
    environment={"A_TOKEN": "***", "B": "told"},
)
PLANNED = replace(TOLD, environment={"A_TOKEN": "a secret", "B": "told"})


def test_what_the_report_leaves_out_is_as_the_settings_have_it() -> None:
    assert _whole((TOLD,), (PLANNED,)) == (PLANNED,)


def test_what_the_report_says_otherwise_is_as_it_says() -> None:
    other = replace(TOLD, environment={**TOLD.environment, "CARGO_BUILD_JOBS": "1"})
    (whole,) = _whole((other,), (PLANNED,))
    assert whole.environment == {"A_TOKEN": "a secret", "B": "told", "CARGO_BUILD_JOBS": "1"}


def test_what_a_report_can_not_promise_is_noted(project: Path, ran: Ran) -> None:
    command = replace(TOLD, network=True, argv=("cargo", "https://***@example.org"))
    ran(OLD, replace(of(b"wheel"), command=command, prepare=(command,)), farm="0.0.1")
    run = read_run(project, OLD)
    assert run.report
    (job,) = run.report.jobs
    assert job.wheel
    notes = _notes(Made(run=run, report=run.report, result=job, facts=job.wheel))
    assert [note.partition(":")[0] for note in notes] == [
        "the report leaves out the secret in A_TOKEN, a command line",
        "its build environment is installed anew, as the index has it today",
        "its build had a network",
        f"farm 0.0.1 built it, and this is farm {farm.__version__}",
    ]


# What is said


def test_a_verdict_is_a_word_and_a_line_for_each_difference() -> None:
    verdict = Verdict(wheel="x", sha256="1", run=OLD, job=JOB, reported="1", rebuilt="1")
    assert [line.plain for line in verdict_lines(verdict)] == ["identical"]
    differences = (
        Difference(member="a.py", what="mode", wheel="100644", rebuilt="100755"),
        Difference(member="", what="archive", wheel="no zip", rebuilt="can be read"),
    )
    differs = replace(verdict, rebuilt="2", differences=differences)
    assert [line.plain for line in verdict_lines(differs)] == [
        "differs",
        "  a.py: mode: 100644; built now: 100755",
        "  archive: no zip; built now: can be read",
    ]
