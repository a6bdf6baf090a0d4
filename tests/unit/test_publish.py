from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from pathlib import Path

import pytest

from farm.model.errors import SurroundingsError
from farm.steps.publish import publish, remove_unfinished, require_writable, sha256

RUN = "20260102-030405-abcd"
NAME = "x-1-py3-none-any.whl"


def test_a_wheel_appears_under_its_name_and_nothing_else_does(tmp_path: Path) -> None:
    wheel = tmp_path / NAME
    wheel.write_bytes(b"new")
    out = tmp_path / "dist"
    out.mkdir()
    assert publish(wheel, out, RUN) == out / NAME
    assert [p.name for p in out.iterdir()] == [NAME]
    assert (out / NAME).read_bytes() == b"new"


def test_a_wheel_that_can_not_be_copied_leaves_the_older_one(tmp_path: Path) -> None:
    out = tmp_path / "dist"
    out.mkdir()
    (out / NAME).write_bytes(b"old")
    with pytest.raises(SurroundingsError, match=NAME):
        publish(tmp_path / NAME, out, RUN)
    assert [p.name for p in out.iterdir()] == [NAME]
    assert (out / NAME).read_bytes() == b"old"


def test_a_full_disk_leaves_no_part_of_a_wheel(tmp_path: Path) -> None:
    """A limit on the size of files stands for a full disk: the write fails half way."""
    wheel = tmp_path / NAME
    wheel.write_bytes(bytes(1 << 20))
    out = tmp_path / "dist"
    out.mkdir()
    program = (
        "import resource, signal, sys; from pathlib import Path;"
        "from farm.steps.publish import publish;"
        "from farm.model.errors import SurroundingsError\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))\n"
        "try: publish(Path(sys.argv[1]), Path(sys.argv[2]), 'run')\n"
        "except SurroundingsError as e: print(e.remedy)\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program, str(wheel), str(out)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert str(wheel) in ended.stdout
    assert list(out.iterdir()) == []


def test_a_file_in_the_place_of_dist_is_an_error_before_anything_starts(tmp_path: Path) -> None:
    (tmp_path / "dist").write_text("")
    with pytest.raises(SurroundingsError, match="can't be written"):
        require_writable(tmp_path / "dist")


def test_sha256_is_that_of_the_bytes(tmp_path: Path) -> None:
    path = tmp_path / "empty"
    path.touch()
    assert sha256(path).startswith("e3b0c442")


def test_what_a_killed_farm_had_begun_is_removed_and_nothing_else(tmp_path: Path) -> None:
    begun = tmp_path / f".{NAME}.{RUN}.part"
    others = [tmp_path / name for name in (NAME, ".hidden.part", ".a.whl.part", "a.whl.1.part")]
    for path in (begun, *others):
        path.touch()
    remove_unfinished(tmp_path)
    assert sorted(tmp_path.iterdir()) == sorted(others)


def test_what_another_farm_is_at_is_left_alone(tmp_path: Path) -> None:
    begun = tmp_path / f".{NAME}.{RUN}.part"
    begun.touch()
    lock = os.open(tmp_path, os.O_RDONLY)
    fcntl.flock(lock, fcntl.LOCK_SH)
    remove_unfinished(tmp_path)
    assert begun.exists()
    os.close(lock)
    remove_unfinished(tmp_path)
    assert not begun.exists()


@pytest.mark.parametrize("there", [None, b"older", b"new, and more"])
def test_what_is_not_the_wheel_is_replaced(tmp_path: Path, there: bytes | None) -> None:
    wheel, out = tmp_path / NAME, tmp_path / "dist"
    wheel.write_bytes(b"new")
    out.mkdir()
    if there is not None:
        (out / NAME).write_bytes(there)
    publish(wheel, out, RUN, digest=sha256(wheel))
    assert (out / NAME).read_bytes() == b"new"


def test_the_very_wheel_is_left_as_it_is(tmp_path: Path) -> None:
    wheel, out = tmp_path / NAME, tmp_path / "dist"
    wheel.write_bytes(b"new")
    out.mkdir()
    first = publish(wheel, out, RUN).stat()
    assert publish(wheel, out, RUN, digest=sha256(wheel)).stat() == first


def test_a_link_to_the_very_wheel_becomes_a_wheel(tmp_path: Path) -> None:
    wheel, out = tmp_path / NAME, tmp_path / "dist"
    wheel.write_bytes(b"new")
    out.mkdir()
    (out / NAME).symlink_to(wheel)
    published = publish(wheel, out, RUN, digest=sha256(wheel))
    assert not published.is_symlink()
    assert published.read_bytes() == b"new"
