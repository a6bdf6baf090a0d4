"""`farm runs`, `farm logs` and `farm report` as users meet them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from made_reports import report, result
from typer.testing import CliRunner

from farm.cli.main import app
from farm.model.results import JobResult, Status
from farm.model.runs import State
from farm.report.history import Line, runs_text
from farm.runs.directory import append_result, write_report

OLD, NEW = "20260101-120000-aaaa", "20260102-120000-bbbb"
Make = Callable[..., Path]


@pytest.fixture
def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Make:
    """Return a function that makes a run of the project here, whose jobs have a log each."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("GITHUB_ACTIONS", raising=False)

    def call(run: str, *jobs: JobResult, ended: bool = True, others: tuple[str, ...] = ()) -> Path:
        directory = tmp_path / ".farm" / "runs" / run
        directory.mkdir(parents=True)
        for name in (*others, *(job.job for job in jobs)):
            (directory / f"{name}.log").write_bytes(f"log of {name} in {run}\n".encode())
        placed = [replace(job, log=str(directory / f"{job.job}.log")) for job in jobs]
        if ended:
            write_report(report(*placed, run=run), directory)
        else:
            for job in placed:
                append_result(directory, job)
        return directory

    return call


def farm(*arguments: str) -> tuple[int, str, str]:
    """Run `farm`; return its status, stdout and stderr."""
    ended = CliRunner().invoke(app, arguments, catch_exceptions=False)
    return ended.exit_code, ended.stdout, ended.stderr


FAILED = result("cp313-x", Status.FAILED, phase="build", reason="it broke")
BUILT = result("cp314-x", Status.BUILT)


# farm runs


def test_runs_are_a_line_each_newest_first(make: Make) -> None:
    make(OLD, FAILED, BUILT)
    make(NEW, BUILT, ended=False, others=("cp399-x", "fetch"))
    _, out, _ = farm("runs")
    heading, new, old = out.splitlines()
    assert heading.split() == ["RUN", "STARTED", "AGO", "TOOK", "RESULT"]
    assert new.startswith(NEW)
    assert new.endswith("unfinished: 1 built; cp399-x broken off")
    assert old.startswith(OLD)
    assert old.endswith("1:01  1 built, 1 failed")


def test_runs_as_json(make: Make) -> None:
    make(OLD, FAILED, BUILT)
    [told] = json.loads(farm("runs", "--json")[1])
    assert told.pop("ago") > 0
    assert told == {
        "run": OLD,
        "started": "2026-01-01T12:00:00+00:00",
        "seconds": 61.0,
        "state": "ended",
        "counts": {"built": 1, "failed": 1},
        "open": [],
        "fault": "",
    }


def test_a_damaged_run_does_not_hide_the_others(make: Make) -> None:
    make(OLD, BUILT)
    (make(NEW, BUILT) / "report.json").write_text("{")
    _, out, _ = farm("runs")
    assert "unreadable: " in out
    assert "report.json is damaged" in out
    assert "1 built" in out


def test_no_run_yet_is_no_error(tmp_path: Path) -> None:
    status, out, err = farm("runs", str(tmp_path))
    assert (status, out) == (0, "")
    assert "No run of" in err
    assert farm("runs", str(tmp_path), "--json")[1] == "[]\n"


@pytest.mark.parametrize("width", [80, 50])
def test_runs_fit_the_terminal(width: int) -> None:
    told = Line(
        run=NEW,
        started="2026-01-02T12:00:00+00:00",
        ago=86400,
        seconds=4000,
        state=State.UNFINISHED,
        counts={"built": 10, "cached": 2, "failed": 1},
        open=("cp39-abi3-manylinux_2_28_aarch64",),
        fault="",
    )
    text = runs_text((told,), width=width)
    assert max(map(len, text.splitlines())) <= width
    assert "1 d" in text
    assert "cp39-abi3-manylinux_2_28_aarch64" in runs_text((told,), width=None)


# farm logs


def test_the_log_of_the_only_failure_is_what_is_wanted(make: Make) -> None:
    make(NEW, BUILT, FAILED, others=("fetch",))
    status, out, err = farm("logs")
    assert (status, out) == (0, f"log of cp313-x in {NEW}\n")
    assert "cp313-x.log" in err


def test_several_logs_are_listed_with_how_to_ask(make: Make) -> None:
    make(NEW, BUILT, replace(BUILT, job="cp315-x"), others=("fetch",))
    status, out, err = farm("logs")
    assert status == 0
    assert [line.split() for line in out.splitlines()] == [
        ["LOG", "SIZE", "STATUS"],
        ["fetch", "37", "B"],
        ["cp314-x", "39", "B", "built"],
        ["cp315-x", "39", "B", "built"],
    ]
    assert "farm logs JOB" in err


def test_a_log_of_a_run_and_a_project(make: Make, tmp_path: Path) -> None:
    make(OLD, BUILT)
    make(NEW, BUILT)
    asked = ("logs", "cp314-x", "--run", "aaaa", "--project", str(tmp_path))
    assert farm(*asked)[1] == f"log of cp314-x in {OLD}\n"


def test_a_pipe_gets_the_very_bytes(make: Make) -> None:
    content = b"\x1b[31mred\x1b[0m\x07\xff\r\nno end"
    (make(NEW, BUILT) / "cp314-x.log").write_bytes(content)
    ended = CliRunner().invoke(app, ["logs", "cp314-x"])
    assert ended.stdout_bytes == content


def test_following_ends_with_the_job_and_says_how(make: Make) -> None:
    make(NEW, FAILED, ended=False, others=("fetch",))
    status, out, err = farm("logs", "cp313-x", "--follow")
    assert (status, out) == (0, f"log of cp313-x in {NEW}\n")
    assert err == "cp313-x: failed: it broke\n"


def test_following_ends_with_a_run_that_was_killed(make: Make) -> None:
    make(NEW, ended=False, others=("cp313-x", "fetch"))
    _, _, err = farm("logs", "cp313-x", "--follow")
    assert f"of run {NEW}: the log ends here, the run is unfinished" in err


def test_following_goes_on_while_the_run_does(make: Make) -> None:
    """One process is the run, another one follows it."""
    make(OLD, BUILT)
    with (
        under_way(
            "log = (where / 'a.log').open('a', buffering=1)",
            "print('one', file=log)",
            AWAIT,
            "print('two', file=log)",
            "append_result(where, result('a', Status.BUILT))",
        ) as go_on,
        follower("a") as process,
    ):
        assert process.stdout
        assert process.stdout.readline() == "one\n"
        go_on()
        out, err = process.communicate(timeout=30)
    assert (out, err) == ("two\n", "a: built\n")


PLANS_A = "(where / 'request.json').write_text('{\"jobs\": [\"cp313-a\"]}')"


@pytest.mark.usefixtures("make")
def test_following_waits_for_a_job_that_has_not_begun() -> None:
    with (
        under_way(
            PLANS_A,
            AWAIT,
            "(where / 'cp313-a.log').write_text('one\\n')",
            "append_result(where, result('cp313-a', Status.BUILT))",
        ) as go_on,
        follower("cp313-a") as process,
    ):
        assert process.stderr
        assert process.stderr.readline() == "cp313-a has not begun yet: waiting for it\n"
        go_on()
        out, err = process.communicate(timeout=30)
    assert (process.returncode, out, err) == (0, "one\n", "cp313-a: built\n")


@pytest.mark.usefixtures("make")
def test_following_ends_with_a_job_that_never_begins() -> None:
    with (
        under_way(
            PLANS_A,
            "(where / 'fetch.log').write_text('')",
            AWAIT,
            "append_result(where, result('cp313-a', Status.SKIPPED))",
        ) as go_on,
        follower("cp313-a") as process,
    ):
        assert process.stderr
        process.stderr.readline()
        go_on()
        out, err = process.communicate(timeout=30)
    assert (process.returncode, out) == (2, "")
    assert "cp313-a has no log: it was skipped" in err


@pytest.mark.usefixtures("make")
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("cp313-a",), "farm logs cp313-a --follow waits for it."),
        (("cp313-b", "--follow"), "did you mean 'cp313-a'?"),
        (("cp313-b",), "Logs: fetch, cp313-a."),
    ],
)
def test_what_has_not_begun_is_known_and_what_never_will_is_not(
    arguments: tuple[str, ...], said: str
) -> None:
    with under_way(PLANS_A):
        status, out, err = farm("logs", *arguments)
    assert (status, out) == (2, "")
    assert said in err


AWAIT = "sys.stdin.readline()"
"""A line of a run's program: it waits to be told to go on."""


@contextmanager
def under_way(*lines: str) -> Iterator[Callable[[], None]]:
    """Have another process be a run of the project here, which does `lines` in `where`.

    Gives what lets it go on past AWAIT, once it has got there or to its end.
    """
    code = (
        "import sys, pathlib",
        f"sys.path.append({str(Path(__file__).parent)!r})",
        "from made_reports import result",
        "from farm.model.results import Status",
        "from farm.runs.directory import append_result, new_run",
        "_, where = new_run(pathlib.Path())",
        *(line if line != AWAIT else f"print('ready', flush=True); {AWAIT}" for line in lines),
        f"print('ready', flush=True); {AWAIT}",
    )
    with subprocess.Popen(
        [sys.executable, "-c", "\n".join(code)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        bufsize=1,
    ) as run:
        stdin, stdout = run.stdin, run.stdout
        assert stdin
        assert stdout
        assert stdout.readline() == "ready\n"
        yield lambda: print(file=stdin, flush=True)
        run.communicate("\n\n", timeout=30)


def follower(job: str) -> subprocess.Popen[str]:
    """Start `farm logs <job> --follow`."""
    return subprocess.Popen(
        [sys.executable, "-m", "farm", "logs", job, "--follow"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_a_reader_that_goes_away_gets_no_traceback(make: Make) -> None:
    (make(NEW, BUILT) / "cp314-x.log").write_text("line\n" * 200_000)
    ended = subprocess.run(
        ["sh", "-c", f'"{sys.executable}" -m farm logs cp314-x | head -1'],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ended.stdout, ended.stderr) == ("line\n", "")


# farm report


def test_the_report_is_the_closing_table_on_stdout(make: Make) -> None:
    make(NEW, FAILED, BUILT)
    status, out, _ = farm("report")
    assert status == 0
    assert "  cp313-x: failed at build: it broke\n" in out
    assert "farm retry" in out
    assert out.endswith(f"report: .farm/runs/{NEW}/report.json\n")


def test_an_older_run_is_not_gone_on_with(make: Make) -> None:
    make(OLD, FAILED)
    make(NEW, BUILT)
    out = farm("report", "aaaa")[1]
    assert "cp313-x: failed" in out
    assert "retry" not in out


def test_the_report_as_markdown_has_the_end_of_the_log(make: Make) -> None:
    make(NEW, FAILED)
    out = farm("report", "--markdown")[1]
    assert out.startswith("## tiny 0: 1 failed")
    assert f"```text\nlog of cp313-x in {NEW}\n```" in out


def test_the_report_as_json_is_the_report(make: Make) -> None:
    directory = make(NEW, FAILED)
    written = json.loads((directory / "report.json").read_text())
    assert json.loads(farm("report", "--json")[1]) == written


def test_an_unfinished_run_reports_what_had_ended(make: Make) -> None:
    make(NEW, BUILT, ended=False, others=("fetch", "cp399-x"))
    out = farm("report")[1]
    assert "broken off\n  cp399-x\n" in out
    assert out.endswith(f"run {NEW} is unfinished: 1 built\n")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("logs cp314-y", "did you mean 'cp314-x'?"),
        ("logs cp399-x", "cp399-x has no log: it was skipped"),
        ("logs --run 20260102-120000-bbbc", f"did you mean '{NEW}'?"),
        ("logs --project nowhere", "nowhere is no directory"),
        ("report zzzz", "no run 'zzzz'"),
        ("report 2026", "in the ids of 2 runs"),
        ("report --json --markdown", "exclude each other"),
        (f"report {OLD}", "was written by farm 9.9"),
        ("runs nowhere", "nowhere is no directory"),
    ],
)
def test_what_is_not_there_is_status_2_with_what_to_do(
    make: Make, arguments: str, said: str
) -> None:
    (make(OLD, BUILT) / "report.json").write_text('{"farm": "9.9"}')
    directory = make(NEW, BUILT)
    write_report(report(BUILT, result("cp399-x", Status.SKIPPED)), directory)
    status, out, err = farm(*arguments.split())
    assert (status, out) == (2, "")
    assert said in err


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        ("farm logs ", {"fetch", "cp313-x", "cp312-x"}),
        ("farm logs --run 20260101-120000-aaaa ", {"fetch", "cp314-x"}),
        ("farm logs --run ", {OLD, NEW}),
        ("farm verify x.whl --run ", {OLD, NEW}),
        ("farm report 20260102", {NEW}),
        ("farm build --only ", {"cp313-x", "cp312-x"}),
        ("farm logs --project nowhere ", set()),
    ],
)
def test_the_shell_completes_runs_and_their_logs(make: Make, words: str, offered: set[str]) -> None:
    make(OLD, BUILT, others=("fetch",))
    directory = make(NEW, FAILED, others=("fetch",))
    (directory / "request.json").write_text('{"jobs": ["cp312-x", "cp313-x"]}')
    ended = subprocess.run(
        [sys.executable, "-m", "farm"],
        env=os.environ
        | {
            "_FARM_COMPLETE": "complete_bash",
            "COMP_WORDS": words,
            "COMP_CWORD": str(words.count(" ")),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert (set(ended.stdout.split()), ended.stderr) == (offered, "")
