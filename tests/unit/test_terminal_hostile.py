"""Names and words of others, on their way to the terminal, to GitHub's runner and into JSON."""

from __future__ import annotations

import io
import json
import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_projects import SIMPLE, write
from rich.console import Console

from farm.model.errors import UsageError
from farm.model.events import Event, ImageProgress, JobLine, JobPhase, Note, Phase, Warned
from farm.model.targets import Arch, Interpreter
from farm.report.console import Progress
from farm.report.excerpt import harmless
from farm.report.json import dump
from farm.report.summary import show_error
from farm.report.text import plan_text
from farm.runs.planner import Selectors, make_plan, read_request

EVIL = "a\x1b]0;title\x07\x1b[2Jb\r\n::error::c\x9b31m\u202ed\u2028\udcff"


def made_console() -> tuple[Console, io.StringIO]:
    stream = io.StringIO()
    return Console(file=stream, width=400, color_system=None), stream


def shown(*events: Event) -> list[str]:
    console, stream = made_console()
    progress = Progress(console, live=False)
    for event in events:
        progress(event)
    return stream.getvalue().splitlines()


@pytest.mark.parametrize(
    "event",
    [
        Note(text=EVIL),
        Warned(text=EVIL, job=EVIL),
        ImageProgress(image=EVIL, text=EVIL),
        JobPhase(job=EVIL, phase=Phase.FAILED, text=EVIL, log=EVIL),
        JobPhase(job=EVIL, phase=Phase.BUILT, text=EVIL),
        JobLine(job=EVIL, line=EVIL),
    ],
)
@pytest.mark.parametrize("actions", ["true", "false"])
def test_no_event_steers_the_terminal(
    event: Event, actions: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GITHUB_ACTIONS", actions)
    lines = shown(event)
    assert lines
    assert all(line.isprintable() for line in lines)
    own = ("::group::", "::endgroup::", "::error title=")
    assert not [x for x in lines if x.lstrip().startswith("::") and not x.startswith(own)]


def test_no_error_steers_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    console, stream = made_console()
    show_error(console, UsageError(EVIL, EVIL))
    lines = stream.getvalue().splitlines()
    assert all(line.isprintable() for line in lines)
    assert [x.partition("=")[0] for x in lines if x.lstrip().startswith("::")] == ["::error title"]


def test_what_a_build_prints_is_no_command_to_the_runner(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    lines = shown(
        JobPhase(job="j", phase=Phase.BUILD),
        JobLine(job="j", line="::stop-commands::x"),
        JobLine(job="j", line="ok ##[error]y"),
        JobPhase(job="j", phase=Phase.FAILED, text="it failed"),
    )
    assert "    | ::stop-commands::x" in lines
    assert not [line for line in lines if "##[" in line]


def test_the_table_is_harmless_too() -> None:
    console, stream = made_console()
    progress = Progress(console, live=False)
    progress(JobPhase(job=EVIL, phase=Phase.FAILED, text=EVIL))
    stream.truncate(0)
    console.print(progress._table())
    assert all(line.strip("\0").isprintable() for line in stream.getvalue().splitlines())


@settings(deadline=None)
@given(st.text())
def test_harmless_text_keeps_its_length_and_what_can_be_seen(text: str) -> None:
    made = harmless(text)
    assert len(made) == len(text)
    assert "\x1b" not in made
    assert "\n" not in made
    made.encode()
    assert harmless(made) == made
    if text.isprintable():
        assert made == text


ODD = ["a b", "it's", '"q"', "50%", "{wheel}", "{project}", "-x", "caf\xe9 🦀", "new\nline", "pkg."]


@pytest.mark.parametrize("name", ODD)
def test_a_project_directory_may_have_any_name(tmp_path: Path, name: str) -> None:
    write(
        tmp_path,
        {"Cargo.toml": f"[workspace]\nmembers = [{json.dumps(name, ensure_ascii=False)}]\n"},
    )
    files = {k: v for k, v in SIMPLE.items() if k != "Cargo.lock"}
    write(tmp_path, {"Cargo.lock": SIMPLE["Cargo.lock"]})
    smoke = '[tool.farm.smoke]\ncommand = ["python", "{project}/t.py"]\n'
    write(tmp_path / name, files | {"pyproject.toml": SIMPLE["pyproject.toml"] + smoke})
    plan = make_plan(
        read_request(tmp_path / name, Selectors()),
        arches=(Arch.X86_64,),
        engine_arch=Arch.X86_64,
        available=(Interpreter(minor=12),),
        natively=(Interpreter(minor=12),),
    )
    (job,) = plan.jobs
    assert job.build.command.cwd == f"/src/{name}"
    assert job.checks[0].run[-1].argv == ("python", f"/src/{name}/t.py")
    assert f"/src/{name}/Cargo.toml" in plan.fetch[0].argv
    assert all(line.isprintable() for line in plan_text(plan).splitlines())


def test_a_project_directory_that_is_no_text_is_told(tmp_path: Path) -> None:
    place = Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff"))
    write(tmp_path, {"Cargo.toml": '[workspace]\nmembers = ["*"]\n'})
    write(tmp_path, {"Cargo.lock": SIMPLE["Cargo.lock"]})
    write(place, {k: v for k, v in SIMPLE.items() if k != "Cargo.lock"})
    with pytest.raises(UsageError, match="a name that is no UTF-8"):
        read_request(place, Selectors())


def test_json_has_half_characters_escaped() -> None:
    text = dump(("a\udcff", "\xe9"))
    text.encode()
    assert json.loads(text) == ["a\udcff", "\xe9"]
