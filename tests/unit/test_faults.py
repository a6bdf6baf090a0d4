"""A bug of the farm's costs one thing, and is told with a file to report."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console

from farm.host.faults import fault
from farm.model.errors import ExitCode, FaultError
from farm.model.events import Note
from farm.report.console import Progress
from farm.wheels import elf
from farm.wheels.errors import is_bug

Faults = Callable[[], list[str]]

BROKEN = """
import sys
{setup}
sys.argv = ["farm", *{words!r}]
from farm.__main__ import run
run()
"""


def farm(
    words: tuple[str, ...], setup: str, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run the command line in a process in which `setup` has broken something."""
    return subprocess.run(
        [sys.executable, "-c", BROKEN.format(words=words, setup=setup)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **environment},
    )


BUG = """
import farm.runs.directory
def bug(*_):
    raise TypeError("of a bug, at https://user:sesame@example.org")
farm.runs.directory.run_ids = bug
"""


def test_a_bug_in_a_command_is_told_in_two_lines_and_written_down(
    faults: Faults, tmp_path: Path
) -> None:
    done = farm(("runs", str(tmp_path)), BUG)
    assert done.returncode == ExitCode.FAULT == 70
    assert done.stdout == ""
    first, second = done.stderr.splitlines()
    assert first.startswith("error: a fault of the farm in the command line: TypeError: of a bug")
    assert "please report it" in second
    (text,) = faults()
    assert f"in the command line of: farm runs {tmp_path}" in text
    assert "Traceback (most recent call last)" in text
    assert "sesame" not in text + done.stderr


def test_a_secret_of_the_environment_is_not_written_down(
    faults: Faults, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NIGHTLY_TOKEN", "open-of-a-night")
    found = fault(ValueError("it was open-of-a-night"), "a test")
    assert "open-of-a-night" not in found.message
    assert "open-of-a-night" not in "".join(faults())


def test_a_bug_that_cannot_be_written_down_is_told_all_the_same(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    done = farm(("runs", str(tmp_path)), BUG, FARM_FAULTS=str(tmp_path / "file"))
    assert done.returncode == ExitCode.FAULT
    assert "could not be written down (" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_thread_that_a_bug_ends_is_told_and_the_status_says_so(faults: Faults) -> None:
    setup = """
import threading
def bug():
    raise KeyError("drawing")
from farm.cli import output
def beside(*_, **__):
    thread = threading.Thread(target=bug, name="that draws")
    thread.start()
    thread.join()
from farm.cli import main
main.print_result = beside
"""
    done = farm(("--version",), setup)
    assert done.returncode == ExitCode.FAULT
    assert "a fault of the farm in the thread that draws: KeyError: 'drawing'" in done.stderr
    assert "Traceback" not in done.stderr
    assert len(faults()) == 1


def test_a_listener_that_breaks_is_switched_off_and_the_run_goes_on(
    faults: Faults, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    progress = Progress(Console(stderr=True, width=200), live=False)
    taken = []

    def bug(event: object) -> None:
        taken.append(event)
        raise TypeError("no such event")

    monkeypatch.setattr(progress, "_take", bug)
    for number in range(3):
        progress(Note(text=str(number)))
    assert len(taken) == 1
    assert "what shows the run, which goes on unseen: TypeError" in capsys.readouterr().err
    assert len(faults()) == 1


def test_the_same_fault_is_written_down_once(faults: Faults) -> None:
    first = fault(ValueError("x"), "an image")
    assert fault(first, "a job") is first
    assert len(faults()) == 1


def test_many_faults_at_once_have_a_file_each(faults: Faults) -> None:
    threads = [
        threading.Thread(target=fault, args=(ValueError(str(n)), "a test")) for n in range(20)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(faults()) == 20


def test_a_fault_goes_to_the_runs_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, faults: Faults
) -> None:
    monkeypatch.delenv("FARM_FAULTS")
    found = fault(ValueError("x"), "the job cp311-linux", tmp_path / "run")
    assert isinstance(found, FaultError)
    (path,) = (tmp_path / "run").iterdir()
    assert str(path) in found.remedy
    assert "ValueError: x" in path.read_text()
    faults()


def test_a_bug_of_the_farms_is_no_word_about_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "x.so").write_bytes(Path(sys.executable).resolve().read_bytes())

    def bug(*_: object) -> None:
        raise TypeError("of the farm")

    monkeypatch.setattr(elf, "_read", bug)
    with pytest.raises(elf.ElfError):  # raised by the test's code: not the farm's
        elf.read_elf(tmp_path, "x.so")
    monkeypatch.setattr(elf, "_read", lambda *_: elf._require_sane(None, 0))  # type: ignore[arg-type]
    with pytest.raises(AttributeError) as caught:
        elf.read_elf(tmp_path, "x.so")
    assert is_bug(caught.value)
