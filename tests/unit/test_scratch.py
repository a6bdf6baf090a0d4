from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from nobody import nobody, place_of_nobody

from farm.host.scratch import scratch

HOLD = (
    "from farm.host.scratch import scratch\n"
    "with scratch() as place: print(place, flush=True); input()"
)


@pytest.fixture
def top(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    return tmp_path


def test_a_directory_is_gone_after_its_block(top: Path) -> None:
    with scratch() as place:
        (place / "file").touch()
        assert place.parent == top
    assert list(top.iterdir()) == []


def test_what_a_killed_process_left_is_removed_and_what_a_living_one_has_is_not(top: Path) -> None:
    (top / "somebody-else").mkdir()
    with subprocess.Popen(
        [sys.executable, "-c", HOLD], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        theirs = Path(other.stdout.readline().strip())
        with scratch() as mine:
            assert {theirs, mine} < set(top.iterdir())
        other.send_signal(signal.SIGKILL)
    assert theirs.exists()
    with scratch():
        assert not theirs.exists()
    assert [path.name for path in top.iterdir()] == ["somebody-else"]


def test_what_another_user_left_is_theirs(monkeypatch: pytest.MonkeyPatch) -> None:
    """It has the farm's name, and can't be opened: as root's looks to everybody else."""
    with place_of_nobody() as top:
        monkeypatch.setattr(tempfile, "tempdir", str(top))
        theirs = top / "farm-scratch-theirs"
        theirs.mkdir(mode=0)
        with nobody(), scratch() as mine:
            (mine / "file").touch()
            assert mine.stat().st_uid == os.geteuid()
        assert list(top.iterdir()) == [theirs]
