"""Runs read back from their directories, however they ended."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from made_reports import report, result

from farm.model.errors import SurroundingsError, UsageError
from farm.model.results import CheckResult, Status, WheelChecks
from farm.model.runs import State
from farm.runs.directory import (
    all_runs,
    append_result,
    find_run,
    new_run,
    read_run,
    run_ids,
    write_checks,
    write_report,
)
from farm.runs.tail import last_lines, tail

Make = Callable[..., Path]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """Return a function that makes the directory of a run whose process is gone."""

    def call(run: str = "20260101-120000-aaaa", **logs: str) -> Path:
        directory = tmp_path / ".farm" / "runs" / run
        directory.mkdir(parents=True)
        for name, text in logs.items():
            (directory / f"{name}.log").write_text(text)
        return directory

    return call


def test_runs_are_listed_newest_first_and_nothing_else_is(tmp_path: Path, make: Make) -> None:
    old, new = make("20260101-120000-ffff"), make("20260102-120000-0000")
    (old.parent / "latest").symlink_to(new.name)
    (old.parent / "notes-for-me").mkdir()
    assert run_ids(tmp_path) == (new.name, old.name)
    assert [run.started for run in all_runs(tmp_path)] == [1767355200, 1767268800]


def test_a_project_without_runs_has_none(tmp_path: Path) -> None:
    assert run_ids(tmp_path) == ()
    with pytest.raises(UsageError, match=r"no run of .* yet"):
        find_run(tmp_path)


def test_a_directory_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="nowhere is no directory"):
        run_ids(tmp_path / "nowhere")


def test_a_report_comes_back_as_it_was(tmp_path: Path, make: Make) -> None:
    written = report(result("a", Status.CACHED, run="20251231-000000-0000"))
    directory = make()
    write_report(written, directory)
    run = read_run(tmp_path, directory.name)
    assert (run.state, run.report) == (State.ENDED, written)


def test_a_killed_run_knows_what_had_ended_and_what_was_broken_off(
    tmp_path: Path, make: Make
) -> None:
    directory = make(fetch="", a="", b="")
    append_result(directory, result("a", Status.BUILT))
    run = read_run(tmp_path, directory.name)
    assert run.state is State.UNFINISHED
    assert [r.job for r in run.results] == ["a"]
    assert run.open == ("b",)


def test_a_run_that_was_killed_amid_its_fetch_says_so(tmp_path: Path, make: Make) -> None:
    assert read_run(tmp_path, make(fetch="").name).open == ("fetch",)


def test_a_run_goes_on_as_long_as_its_process_lives(tmp_path: Path) -> None:
    code = (
        "import sys, pathlib; from farm.runs.directory import new_run\n"
        "print(new_run(pathlib.Path(sys.argv[1]))[0], flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout
        run = process.stdout.readline().strip()
        assert read_run(tmp_path, run).state is State.RUNNING
        process.kill()
        process.wait()
    assert read_run(tmp_path, run).state is State.UNFINISHED


def test_what_ended_is_read_while_the_run_goes_on(tmp_path: Path) -> None:
    run, directory = new_run(tmp_path)
    append_result(directory, result("a", Status.FAILED))
    found = find_run(tmp_path, "latest")
    assert (found.id, found.state, found.failed) == (run, State.RUNNING, ("a",))


@pytest.mark.parametrize("torn", [b'{"job": "b", "sta', b"\xff\xfe\n", b"[]\n", b"\n\n"])
def test_a_torn_line_of_the_journal_is_left_out(tmp_path: Path, make: Make, torn: bytes) -> None:
    directory = make()
    append_result(directory, result("a", Status.BUILT))
    with (directory / "journal.jsonl").open("ab") as file:
        file.write(torn)
    assert [r.job for r in read_run(tmp_path, directory.name).results] == ["a"]


def test_lines_of_many_threads_are_whole(tmp_path: Path, make: Make) -> None:
    directory = make()
    threads = [
        threading.Thread(target=append_result, args=(directory, result(f"j{i}", Status.BUILT)))
        for i in range(20)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    lines = (directory / "journal.jsonl").read_text().splitlines()
    assert sorted(json.loads(line)["job"] for line in lines) == sorted(f"j{i}" for i in range(20))
    assert len(read_run(tmp_path, directory.name).results) == 20


def test_a_journal_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(SurroundingsError, match=r"journal\.jsonl: No such file"):
        append_result(tmp_path / "gone", result("a", Status.BUILT))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"{", "report.json is damaged"),
        (b"", "report.json is damaged"),
        (b"\xff", "report.json is damaged"),
        (b"[]", "report.json is damaged"),
        (b'{"farm": "9.9", "jobs": 7}', "report.json was written by farm 9.9, and this is farm"),
    ],
)
def test_a_report_that_cannot_be_read_is_said_in_a_line(
    tmp_path: Path, make: Make, content: bytes, said: str
) -> None:
    directory = make(a="")
    (directory / "report.json").write_bytes(content)
    run = read_run(tmp_path, directory.name)
    assert run.state is State.UNREADABLE
    assert run.fault.startswith(said)
    assert [log.name for log in run.logs] == ["a"]


def test_a_report_of_a_newer_farm_is_read_as_far_as_it_is_known(tmp_path: Path, make: Make) -> None:
    directory = make()
    path = write_report(report(farm="9.9"), directory)
    path.write_text(json.dumps(json.loads(path.read_text()) | {"new": 1}))
    assert read_run(tmp_path, directory.name).state is State.ENDED


def test_a_test_of_wheels_is_a_run_too(tmp_path: Path, make: Make) -> None:
    directory = make(**{"x.whl": "", "y.whl": ""})
    bad = CheckResult(interpreter="3.9", passed=False, seconds=2)
    write_checks((WheelChecks(wheel="/dist/x.whl", log="", checks=(bad,)),), directory)
    run = read_run(tmp_path, directory.name)
    assert (run.state, run.failed, run.open) == (State.ENDED, ("x.whl",), ())


@pytest.mark.parametrize("word", ["", "latest", "20260102-120000-bbbb", "bbbb", "0102"])
def test_a_part_of_its_id_names_a_run(tmp_path: Path, make: Make, word: str) -> None:
    make()
    make("20260102-120000-bbbb")
    assert find_run(tmp_path, word).id == "20260102-120000-bbbb"


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("20260101-120000-aaab", "did you mean '20260101-120000-aaaa'"),
        ("2026", "in the ids of 2 runs"),
    ],
)
def test_a_run_that_is_none_or_many_is_an_error(
    tmp_path: Path, make: Make, word: str, said: str
) -> None:
    make()
    make("20260102-120000-bbbb")
    with pytest.raises(UsageError, match=said):
        find_run(tmp_path, word)


# Logs


def test_a_log_is_followed_to_what_was_written_before_its_end(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    path.write_bytes(b"one\ntw")
    calls = iter([False, True])

    def over() -> bool:
        ended = next(calls)
        if ended:
            with path.open("ab") as file:
                file.write(b"o\nthree")
        return ended

    assert b"".join(tail(path, over)) == b"one\ntwo\nthree"


def test_the_last_lines_of_a_log(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    path.write_text("".join(f"{n}\n" for n in range(90_000)))
    assert last_lines(path, 2) == ("89998", "89999")
    path.write_text("unended")
    assert last_lines(path, 2) == ("unended",)
    path.write_text("")
    assert last_lines(path, 2) == ()
