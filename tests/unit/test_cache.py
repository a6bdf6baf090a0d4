from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path

import pytest

from farm.cli.clean import clean
from farm.engine.leftovers import Leftovers
from farm.model.plan import Command
from farm.model.results import JobResult, Status, WheelFacts
from farm.model.targets import Arch, Mode
from farm.runs.cache import Cache, user_cache


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


def test_it_lies_in_the_users_cache_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert user_cache().directory == tmp_path / "farm" / "wheels"


def test_a_damaged_entry_can_be_stored_again(tmp_path: Path) -> None:
    cache = Cache(directory=tmp_path / "cache")
    cache.store("key", built(tmp_path))
    (wheel,) = (cache.directory / "key").glob("*.whl")
    wheel.write_bytes(b"y")
    assert cache.find("key") is None
    cache.store("key", built(tmp_path))
    hit = cache.find("key")
    assert hit is not None
    assert hit.wheel.read_bytes() == b"x"


def test_a_farm_that_was_slower_with_the_same_wheel_leaves_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = Cache(directory=tmp_path / "cache")
    cache.store("key", built(tmp_path, content=b"first"))
    monkeypatch.setattr(Cache, "_drop", lambda *_: None)  # it comes just after that
    cache.store("key", built(tmp_path, content=b"second"))
    hit = cache.find("key")
    assert hit is not None
    assert hit.wheel.read_bytes() == b"first"
    assert {path.name for path in cache.directory.iterdir()} == {"key", ".lock"}


_STORE = """
import hashlib, os, shutil, signal, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from test_cache import built
from farm.runs.cache import Cache
place, step, number = Path(sys.argv[2]), sys.argv[3], int(sys.argv[4])
result = built(place, content=b"new")
owner = {"copyfile": shutil, "fsync": os, "rename": Path, "rmtree": shutil}[step]
real, calls = getattr(owner, step), 0
def killed(*arguments, **more):
    global calls
    calls += 1
    if calls == number:
        os.kill(os.getpid(), signal.SIGKILL)
    return real(*arguments, **more)
setattr(owner, step, killed)
Cache(directory=place / "cache").store("key", result)
"""


@pytest.mark.parametrize(
    ("step", "number", "found"),
    [
        ("copyfile", 1, b"old"),
        ("fsync", 1, b"old"),
        ("fsync", 2, b"old"),
        ("rename", 1, b"old"),  # of what was there, before it is removed
        ("rmtree", 1, None),
        ("rename", 2, None),
        ("rmtree", 2, b"new"),
    ],
)
def test_whenever_a_store_is_killed_an_entry_is_whole_or_there_is_none(
    tmp_path: Path, step: str, number: int, found: bytes | None
) -> None:
    cache = Cache(directory=tmp_path / "cache")
    cache.store("key", built(tmp_path, content=b"old"))
    program = [sys.executable, "-c", _STORE, str(Path(__file__).parent), str(tmp_path)]
    ended = subprocess.run([*program, step, str(number)], check=False)
    assert ended.returncode == -signal.SIGKILL
    hit = cache.find("key")
    assert (hit and hit.wheel.read_bytes()) == found
    cache.store("key", built(tmp_path, content=b"again"))
    hit = cache.find("key")
    assert hit is not None
    assert hit.wheel.read_bytes() == b"again"


_USE = """
import random, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from test_cache import built
from farm.runs.cache import Cache
place, me = Path(sys.argv[2]), sys.argv[3]
(place / me).mkdir()
cache, chance = Cache(directory=place / "cache", bound=30_000), random.Random(me)
found = 0
for _ in range(150):
    key = chance.choice("abcdef")
    if chance.random() < 0.5:
        cache.store(key, built(place / me, content=key.encode() * 8_000))
    elif hit := cache.find(key):
        found += 1
        assert hit.facts.size == 8_000
        try:
            assert hit.wheel.read_bytes() == key.encode() * 8_000
        except FileNotFoundError:
            pass  # dropped meanwhile by the other
assert found
"""


def test_farms_at_once_find_whole_wheels_or_none(tmp_path: Path) -> None:
    program = [sys.executable, "-c", _USE, str(Path(__file__).parent), str(tmp_path)]
    farms = [subprocess.Popen([*program, name]) for name in ("one", "two", "three")]
    assert [farm.wait(timeout=120) for farm in farms] == [0, 0, 0]
    cache = Cache(directory=tmp_path / "cache", bound=30_000)
    assert 0 < cache.size()[1] <= cache.bound
    assert {p.name for p in cache.directory.iterdir()} <= {*"abcdef", ".lock"}


def test_clean_empties_the_cache_when_told_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With an engine that has nothing: a real one may hold what other projects' builds left."""
    nothing = Leftovers(alive=frozenset(), dead=frozenset(), kept=(), containers=(), volumes=())
    monkeypatch.setattr("farm.engine.connection.connect", nullcontext)
    monkeypatch.setattr("farm.engine.leftovers.reap", lambda _: nothing)
    monkeypatch.setattr("farm.engine.build_cache.held_caches", lambda _: ())
    monkeypatch.setattr("farm.engine.build_cache.drop_caches", lambda *_: None)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    user_cache().store("key", built(tmp_path))
    clean()
    assert "1 wheel in the cache: " in capsys.readouterr().out
    assert user_cache().find("key") is not None
    clean(cache=True)
    assert "removed 1 wheel from the cache: " in capsys.readouterr().out
    assert user_cache().size() == (0, 0)
