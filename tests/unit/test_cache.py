from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from farm.model.plan import Command
from farm.model.results import JobResult, Status, WheelFacts
from farm.model.targets import Arch, Mode
from farm.runs.cache import Cache


def built(
    directory: Path, name: str = "a-1-cp313-cp313-any.whl", content: bytes = b"x"
) -> JobResult:
    path = directory / name
    path.write_bytes(content)
    facts = WheelFacts(
        path=str(path), sha256=hashlib.sha256(content).hexdigest(), size=len(content)
    )
    return JobResult(
        job="cp313-any",
        status=Status.BUILT,
        mode=Mode.NATIVE,
        linker="zig",
        command=Command(image="builder-x86_64", arch=Arch.X86_64, argv=("maturin",), cwd="/src"),
        wheel=facts,
    )


def test_what_was_stored_is_found(tmp_path: Path) -> None:
    cache = Cache(directory=tmp_path / "cache")
    result = built(tmp_path)
    cache.store("key", result)
    hit = cache.find("key")
    assert hit is not None
    assert hit.wheel.read_bytes() == b"x"
    assert hit.result == result
    assert cache.find("other") is None


@pytest.mark.parametrize("damage", [b"", b"y"])
def test_a_damaged_wheel_is_not_found_and_goes(tmp_path: Path, damage: bytes) -> None:
    cache = Cache(directory=tmp_path / "cache")
    cache.store("key", built(tmp_path))
    (wheel,) = (cache.directory / "key").glob("*.whl")
    wheel.write_bytes(damage)
    assert cache.find("key") is None
    assert list(cache.directory.iterdir()) == [cache.directory / ".lock"]


@pytest.mark.parametrize("what", ["*.whl", "result.json"])
def test_half_an_entry_is_none(tmp_path: Path, what: str) -> None:
    cache = Cache(directory=tmp_path / "cache")
    cache.store("key", built(tmp_path))
    next((cache.directory / "key").glob(what)).unlink()
    assert cache.find("key") is None
    assert not (cache.directory / "key").exists()


def test_a_torn_result_is_none(tmp_path: Path) -> None:
    cache = Cache(directory=tmp_path / "cache")
    cache.store("key", built(tmp_path))
    with (cache.directory / "key" / "result.json").open("r+b") as file:
        file.truncate(20)
    assert cache.find("key") is None


def test_a_cache_that_can_not_be_read_or_written_has_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = Cache(directory=tmp_path / "cache")
    cache.store("key", built(tmp_path))

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError

    monkeypatch.setattr(Path, "read_bytes", refuse)
    monkeypatch.setattr(Path, "rename", refuse)
    assert cache.find("key") is None


def test_a_second_wheel_of_a_key_replaces_the_first(tmp_path: Path) -> None:
    cache = Cache(directory=tmp_path / "cache")
    for content in (b"first", b"second"):
        cache.store("key", built(tmp_path, content=content))
    hit = cache.find("key")
    assert hit is not None
    assert hit.wheel.read_bytes() == b"second"
    assert cache.size()[0] == 1


def test_what_was_used_longest_ago_goes_first(tmp_path: Path) -> None:
    result = built(tmp_path, content=b"x" * 10_000)
    cache = Cache(directory=tmp_path / "cache", bound=35_000)
    for age, key in ((300, "a"), (200, "b"), (100, "c")):
        cache.store(key, result)
        used = (cache.directory / key).stat().st_mtime - age
        os.utime(cache.directory / key, (used, used))
    assert cache.find("a") is not None  # used now, and so the newest
    cache.store("d", result)
    assert {key for key in "abcd" if cache.find(key)} == {"a", "c", "d"}


def test_a_wheel_larger_than_the_bound_is_not_kept(tmp_path: Path) -> None:
    cache = Cache(directory=tmp_path / "cache", bound=5)
    cache.store("key", built(tmp_path, content=b"123456"))
    assert cache.find("key") is None


def test_what_a_killed_store_left_goes_with_time(tmp_path: Path) -> None:
    cache = Cache(directory=tmp_path / "cache")
    left, fresh = (cache.directory / name for name in ("new-old", "new-fresh"))
    for path in (left, fresh):
        path.mkdir(parents=True)
    os.utime(left, (0, 0))
    cache.store("key", built(tmp_path))
    assert not left.exists()
    assert fresh.exists()


def test_clear_removes_every_entry_and_says_how_much(tmp_path: Path) -> None:
    cache = Cache(directory=tmp_path / "cache")
    cache.store("key", built(tmp_path))
    held = cache.size()[1]
    assert cache.clear() == held > 0
    assert cache.size() == (0, 0)
