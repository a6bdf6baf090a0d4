"""What is made and then claimed: no other process or thread can come in between."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from farm.host.claims import claim, remove_unclaimed, unclaimed
from farm.host.scratch import scratch
from farm.model.errors import SurroundingsError
from farm.runs.directory import new_run, tidy
from farm.steps.publish import publish, remove_unfinished

PROCESSES, THREADS, ROUNDS = 4, 8, 25

CHURN = """
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from farm.host.scratch import scratch

def churn(number):
    for _ in range({rounds}):
        with scratch() as place:
            file = place / str(number)
            file.write_text("mine")
            assert file.read_text() == "mine"
            assert [path.name for path in place.iterdir()] == [str(number)]

with ThreadPoolExecutor({threads}) as pool:
    list(pool.map(churn, range({threads})))
"""
RUNS = """
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from farm.runs.directory import LATEST, new_run, tidy

project = Path(sys.argv[1])

def start(number):
    for _ in range({rounds}):
        run, directory = new_run(project)
        (directory / "x.log").write_text(run)
        tidy(project, ())
        assert (directory / "x.log").read_text() == run
        assert (project / ".farm" / "runs" / LATEST).is_dir()

with ThreadPoolExecutor({threads}) as pool:
    list(pool.map(start, range({threads})))
"""


def together(script: str, *arguments: str) -> None:
    """Run `script` in several processes at once, each with several threads."""
    code = script.format(threads=THREADS, rounds=ROUNDS)
    argv = [sys.executable, "-c", code, *arguments]
    running = [subprocess.Popen(argv, stderr=subprocess.PIPE, text=True) for _ in range(PROCESSES)]
    told = [process.communicate(timeout=120)[1] for process in running]
    assert [process.returncode for process in running] == [0] * PROCESSES, "\n".join(told)


@pytest.fixture
def top(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    return tmp_path


def test_many_processes_and_threads_have_scratch_directories_of_their_own(top: Path) -> None:
    together(CHURN)
    assert list(top.iterdir()) == []


def test_many_runs_start_at_once_and_clean_up_after_each_other(tmp_path: Path) -> None:
    together(RUNS, str(tmp_path))


def test_what_is_removed_before_it_is_locked_is_made_again(tmp_path: Path) -> None:
    made: list[Path] = []

    def make() -> Path:
        place = Path(tempfile.mkdtemp(dir=tmp_path))
        made.append(place)
        if len(made) < 3:
            place.rmdir()  # as a clean-up in just this moment
        return place

    place, lock = claim(make)
    assert place == made[2]
    assert place.is_dir()
    os.close(lock)


def test_what_is_replaced_while_the_lock_is_waited_for_is_not_taken_for_ones_own(
    tmp_path: Path,
) -> None:
    first = tmp_path / "first"
    first.mkdir()
    names = iter([first, tmp_path / "second"])
    waiting = threading.Event()

    def make() -> Path:
        place = next(names)
        place.mkdir(exist_ok=True)
        waiting.set()
        return place

    with ThreadPoolExecutor(1) as pool:
        with unclaimed(first) as nobodys:
            assert nobodys
            claimed = pool.submit(claim, make)
            assert waiting.wait(10)
            first.rmdir()
        place, lock = claimed.result(10)
    assert place == tmp_path / "second"
    os.close(lock)


def test_what_others_never_let_be_is_told(tmp_path: Path) -> None:
    def make() -> Path:
        place = Path(tempfile.mkdtemp(dir=tmp_path))
        place.rmdir()
        return place

    with pytest.raises(FileNotFoundError, match="others remove it as soon as it is made"):
        claim(make)


def test_a_claim_is_not_removed_and_a_link_not_followed(tmp_path: Path) -> None:
    place, lock = claim(lambda: Path(tempfile.mkdtemp(dir=tmp_path)))
    remove_unclaimed(place)
    assert place.is_dir()
    os.close(lock)
    link = tmp_path / "link"
    link.symlink_to(place)
    remove_unclaimed(link)
    assert place.is_dir()
    remove_unclaimed(place)
    assert not place.exists()


def test_a_place_that_cannot_be_written_to_is_told(
    top: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = top / "no-directory"
    file.touch()
    monkeypatch.setattr(tempfile, "tempdir", str(file))
    with (
        pytest.raises(SurroundingsError, match="no directory for temporary files") as caught,
        scratch(),
    ):
        pass
    assert "TMPDIR" in caught.value.remedy


def test_a_run_whose_clock_went_back_is_not_tidied_away(tmp_path: Path) -> None:
    runs = tmp_path / ".farm" / "runs"
    for number in range(60):
        (runs / f"20990101-000000-{number:04x}").mkdir(parents=True)
    _, directory = new_run(tmp_path)
    tidy(tmp_path, ())
    assert directory.is_dir()
    assert len(list(runs.glob("2099*"))) == 50


def test_wheels_are_published_while_others_clean_up_and_the_directory_comes_and_goes(
    tmp_path: Path,
) -> None:
    out = tmp_path / "dist"
    wheels = [tmp_path / f"w{n}-1-py3-none-any.whl" for n in range(THREADS)]
    for wheel in wheels:
        wheel.write_bytes(wheel.name.encode() * 5000)

    def one(wheel: Path) -> None:
        for number in range(ROUNDS):
            target = publish(wheel, out, f"20260101-000000-{number:04x}")
            assert target.read_bytes() == wheel.read_bytes()
            remove_unfinished(out)

    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(one, wheels))
    assert sorted(path.name for path in out.iterdir()) == sorted(w.name for w in wheels)
    remove_unfinished(tmp_path / "gone")
