"""In what two wheels differ that ought to be one."""

from __future__ import annotations

from pathlib import Path
from zipfile import ZIP_STORED, ZipInfo

import pytest
from wheel_factory import WheelSpec, make_wheel, make_zip

from farm.wheels.compare import differences

DATE = (1980, 1, 1, 0, 0, 0)
Member = tuple[ZipInfo, bytes]


def member(
    name: str = "a.py",
    data: bytes = b"one",
    *,
    date: tuple[int, int, int, int, int, int] = DATE,
    mode: int = 0o100644,
) -> Member:
    entry = ZipInfo(name, date)
    entry.external_attr = mode << 16
    return entry, data


@pytest.fixture
def pair(tmp_path: Path) -> tuple[Path, Path]:
    return tmp_path / "wheel.whl", tmp_path / "rebuilt.whl"


def told(pair: tuple[Path, Path], *there: Member, now: tuple[Member, ...]) -> list[tuple[str, ...]]:
    make_zip(pair[0], there)
    make_zip(pair[1], now)
    return [(d.member, d.what, d.wheel, d.rebuilt) for d in differences(*pair)]


def test_the_same_bytes_do_not_differ(tmp_path: Path) -> None:
    wheel = make_wheel(tmp_path, WheelSpec(files={"pkg/__init__.py": b"x" * 3_000_000}))
    copy = tmp_path / "copy.whl"
    copy.write_bytes(wheel.read_bytes())
    assert differences(wheel, copy) == ()


def test_a_files_content_is_told_by_its_size_and_hash(pair: tuple[Path, Path]) -> None:
    [(name, what, wheel, rebuilt)] = told(pair, member(), now=(member(data=b"four"),))
    assert (name, what) == ("a.py", "content")
    assert wheel.startswith("3 bytes, sha256 7692c3ad3540bb")
    assert rebuilt.startswith("4 bytes, sha256 04efaf080f5a3e")


def test_a_file_that_is_in_one_only(pair: tuple[Path, Path]) -> None:
    one, two = member(), member("b.py")
    [(name, what, wheel, rebuilt)] = told(pair, one, now=(one, two))
    assert (name, what, wheel) == ("b.py", "file", "not there")
    assert rebuilt.startswith("3 bytes")
    assert told(pair, one, two, now=(one,))[0][3] == "not there"


@pytest.mark.parametrize(
    ("now", "said"),
    [
        (
            member(date=(2026, 1, 2, 3, 4, 6)),
            ("time", "1980-01-01 00:00:00", "2026-01-02 03:04:06"),
        ),
        (member(mode=0o100755), ("mode", "100644", "100755")),
    ],
)
def test_what_the_archive_says_of_a_file(
    pair: tuple[Path, Path], now: Member, said: tuple[str, str, str]
) -> None:
    assert told(pair, member(), now=(now,)) == [("a.py", *said)]


def test_how_a_file_is_packed(pair: tuple[Path, Path]) -> None:
    make_zip(pair[0], [("a.py", b"a" * 100)])
    make_zip(pair[1], [("a.py", b"a" * 100)], compression=ZIP_STORED)
    packing = [d for d in differences(*pair) if d.what == "packing"]
    assert [d.rebuilt for d in packing] == ["stored, 100 bytes"]


def test_contents_come_before_all_else(pair: tuple[Path, Path]) -> None:
    found = told(
        pair,
        *(member("a.py"), member("b.py")),
        now=(member("a.py", mode=0o100755), member("b.py", data=b"other")),
    )
    assert [each[:2] for each in found] == [("b.py", "content"), ("a.py", "mode")]


def test_the_order_of_the_files(pair: tuple[Path, Path]) -> None:
    one, two = member("a.py"), member("b.py")
    assert told(pair, one, two, now=(two, one)) == [
        ("", "order of the members", "a.py, b.py", "b.py, a.py")
    ]


def test_what_no_member_holds(pair: tuple[Path, Path]) -> None:
    for path, system in zip(pair, (0, 3), strict=True):
        entry, data = member()
        entry.create_system = system
        make_zip(path, [(entry, data)])
    [difference] = differences(*pair)
    assert difference.member == ""
    assert difference.what.startswith("what is beside the members, from byte ")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "can't be read as a zip file"),
        (b"PK no zip", "can't be read as a zip file"),
    ],
)
def test_what_is_no_archive_says_so(pair: tuple[Path, Path], content: bytes, said: str) -> None:
    pair[0].write_bytes(content)
    make_zip(pair[1], [member()])
    [difference] = differences(*pair)
    assert (difference.member, difference.what, difference.rebuilt) == (
        "",
        "archive",
        "can be read",
    )
    assert difference.wheel.startswith(said)


def test_a_bomb_is_not_unpacked_to_be_compared(pair: tuple[Path, Path]) -> None:
    make_zip(pair[0], [("a.py", b"\0" * (64 << 20))])
    make_zip(pair[1], [member()])
    [difference] = differences(*pair)
    assert "unpacks to" in difference.wheel


def test_a_damaged_member_is_no_traceback(pair: tuple[Path, Path]) -> None:
    make_zip(pair[0], [member(data=b"content")], compression=ZIP_STORED)
    make_zip(pair[1], [member()])
    pair[0].write_bytes(pair[0].read_bytes().replace(b"content", b"Content"))
    [difference] = differences(*pair)
    assert "Bad CRC-32" in difference.wheel
