"""The closing table: on terminals wide and narrow, in a file, with the commands to go on with."""

from __future__ import annotations

import io
import re
import sys
from pathlib import Path

import pytest
from made_reports import report, result
from rich.console import Console

from farm.model.results import CheckResult, JobResult, Status, WheelFacts
from farm.model.runs import LogFile, Run, State
from farm.model.targets import Mode
from farm.report.commands import command
from farm.report.summary import show_report, show_unfinished

X86 = "cp39-abi3-manylinux_2_28_x86_64"
ARM = "cp39-abi3-manylinux_2_28_aarch64"
REASON = "error[E0425]: cannot find value `x` in this scope, said in so many words that it is long"


@pytest.fixture(autouse=True)
def _called_farm(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sys, "argv", ["farm"])
    monkeypatch.chdir(tmp_path)


def passed(*interpreters: str) -> tuple[CheckResult, ...]:
    return tuple(CheckResult(interpreter=i, passed=True, seconds=1) for i in interpreters)


def wheel(job: str, status: Status = Status.BUILT, **more: object) -> JobResult:
    facts = WheelFacts(path="/dist/x.whl", sha256="0", size=1_400_000)
    checks = passed("3.9", "3.11", "3.13", "3.14", "3.15")
    return result(job, status, **{"wheel": facts, "checks": checks, "seconds": {"b": 75}} | more)


JOBS = (
    wheel(X86, mode=Mode.NATIVE),
    wheel(ARM, seconds={"build": 4}),
    wheel("cp314t", Status.CACHED, run="20260101-120000-aaaa", checks=passed("3.14t")),
    result("cp313", Status.FAILED, phase="build", reason=REASON),
    result("cp315", Status.CANCELLED),
    result("cp316", Status.SKIPPED),
)


def shown(*jobs: JobResult, width: int | None, project: Path | None = None) -> list[str]:
    """Return the table's lines on a terminal of `width` columns, None for a file."""
    file = io.StringIO()
    console = Console(
        file=file, width=width or 80, force_terminal=width is not None, highlight=False
    )
    show_report(console, report(*jobs), "/r.json", project=project)
    return re.sub(r"\x1b\[[0-9;]*m", "", file.getvalue()).splitlines()


def test_the_table_at_80_columns() -> None:
    assert shown(*JOBS, width=80) == [
        "built",
        "  cp39-abi3-manylinux_2_28_x86_64   1.4 MB  1 min 15 s  native",
        "    passed on 3.9 3.11 3.13 3.14 3.15",
        "  cp39-abi3-manylinux_2_28_aarch64  1.4 MB         4 s  hybrid",
        "    passed on 3.9 3.11 3.13 3.14 3.15",
        "cached",
        "  cp314t  1.4 MB    hybrid    passed on 3.14t; from run 20260101-120000-aaaa",
        "failed",
        "  cp313: failed at build: error[E0425]: cannot find value `x` in this scope,",
        "    said in so many words that it is long",
        "    log: /logs/cp313.log",
        "cancelled",
        "  cp315",
        "skipped",
        "  cp316",
        "6 jobs in 1 min 01 s: 2 built, 1 cached, 1 failed, 1 cancelled, 1 skipped",
        "report: /r.json",
    ]


def test_the_table_at_50_columns() -> None:
    lines = shown(*JOBS, width=50)
    assert max(map(len, lines)) <= 50
    assert lines[1:4] == [
        "  cp39-abi3-manylinux_2_28_x86_64",
        "    1.4 MB  1 min 15 s  native",
        "    passed on 3.9 3.11 3.13 3.14 3.15",
    ]
    assert "  cp313: failed at build: error[E0425]: cannot" in lines


def test_a_file_gets_whole_lines_without_colour() -> None:
    lines = shown(*JOBS, width=None)
    assert f"  cp313: failed at build: {REASON}" in lines
    assert lines[1].endswith("native    passed on 3.9 3.11 3.13 3.14 3.15")


def test_a_path_is_not_broken_on_a_terminal() -> None:
    job = result("b", Status.FAILED, phase="build", reason="x" * 99)
    assert "x" * 99 in "".join(shown(job, width=50)).replace("\n", "")
    assert f"    log: {job.log}" in shown(job, width=12)


def test_what_a_terminal_would_obey_is_not_in_a_reason() -> None:
    job = result("b", Status.FAILED, phase="build", reason="a\x1b[2Jb\x07")
    assert "  b: failed at build: ab" in shown(job, width=None)


def test_a_failure_names_the_commands_to_go_on_with(tmp_path: Path) -> None:
    lines = shown(*JOBS, width=80, project=tmp_path)
    assert "    enter it: farm shell cp313" in lines
    assert "  run what failed again: farm retry" in lines
    assert not any("retry" in line for line in shown(JOBS[0], width=80, project=tmp_path))


def test_a_project_elsewhere_is_named(tmp_path: Path) -> None:
    assert command("retry", project=tmp_path / "my crate") == "farm retry --project 'my crate'"
    assert command("retry", project=Path("/other")) == "farm retry --project /other"
    assert command("retry", project=Path()) == "farm retry"


@pytest.mark.parametrize(
    ("called", "said"),
    [
        ("{here}/.venv/bin/farm", ".venv/bin/farm"),
        ("/opt/farm/bin/farm", "/opt/farm/bin/farm"),
        ("{here}/path/farm", "farm"),
        ("/lib/farm/__main__.py", "python -m farm"),
        ("/usr/bin/pytest", "farm"),
    ],
)
def test_the_farm_is_called_as_the_user_called_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, called: str, said: str
) -> None:
    for name in ("farm", "python"):
        program = tmp_path / "path" / name
        program.parent.mkdir(exist_ok=True)
        program.touch(0o755)
    monkeypatch.setenv("PATH", str(tmp_path / "path"))
    monkeypatch.setattr(sys, "executable", str(tmp_path / "path" / "python"))
    monkeypatch.setattr(sys, "argv", [called.replace("{here}", str(tmp_path))])
    assert command("retry") == f"{said} retry"


@pytest.mark.parametrize(
    ("state", "heading", "again"),
    [(State.UNFINISHED, "broken off", True), (State.RUNNING, "under way", False)],
)
def test_a_run_without_a_report_is_told_as_far_as_it_is_known(
    tmp_path: Path,
    state: State,
    heading: str,
    again: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    run = Run(
        id="r",
        project=".",
        directory=".",
        started=0,
        state=state,
        logs=(LogFile(name="cp313", path="", size=1), LogFile(name="cp399", path="", size=1)),
        journal=JOBS[3:4],
    )
    file = io.StringIO()
    show_unfinished(Console(file=file), run, project=tmp_path)
    lines = file.getvalue().splitlines()
    assert lines[lines.index(heading) :] == [heading, "  cp399", f"run r is {state}: 1 failed"]
    assert ("farm retry" in file.getvalue()) is again
