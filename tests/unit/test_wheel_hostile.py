"""Wheels that are made to be read in two ways, to leave the tree, or to wear the reader out."""

from __future__ import annotations

import struct
import zipfile
from pathlib import Path

import pytest
from wheel_factory import WheelSpec, contents, make_wheel, make_zip

from farm.wheels.archive import read_wheel
from farm.wheels.errors import LONGEST, WheelError

NAME = "pkg-1.0-cp312-cp312-manylinux_2_28_x86_64.whl"
LOCAL, CENTRAL, END = b"PK\x03\x04", b"PK\x01\x02", b"PK\x05\x06"


def faults(path: Path) -> str:
    with pytest.raises(WheelError) as caught:
        read_wheel(path)
    return "\n".join(caught.value.faults)


def patched(path: Path, at: int, new: bytes) -> Path:
    data = bytearray(path.read_bytes())
    data[at : at + len(new)] = new
    path.write_bytes(data)
    return path


def test_entries_that_share_bytes_are_refused_though_the_sum_fits(tmp_path: Path) -> None:
    path = make_wheel(tmp_path, WheelSpec(files={"pkg/__init__.py": b"x", "pkg/b.py": b"x"}))
    data = bytearray(path.read_bytes())
    second = data.index(CENTRAL, data.index(CENTRAL) + 1)
    data[second + 42 : second + 46] = struct.pack("<L", 0)  # both begin at the first header
    path.write_bytes(data)
    assert "overlaps what follows it" in faults(path)


def test_a_bomb_of_quoted_headers_is_refused(tmp_path: Path) -> None:
    """Each entry's contents are all later entries: David Fifield's bomb, three entries long."""
    path = make_zip(tmp_path / NAME, [(n, b"x" * 100) for n in ("a", "b", "c")])
    data = bytearray(path.read_bytes())
    start, first = data.index(CENTRAL), data.index(LOCAL)
    whole = start - first - 31
    data[first + 18 : first + 22] = struct.pack("<L", whole)
    data[start + 20 : start + 24] = struct.pack("<L", whole)
    path.write_bytes(data)
    assert "'a' overlaps what follows it" in faults(path)


def test_bytes_between_entries_are_refused(tmp_path: Path) -> None:
    path = tmp_path / NAME
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in contents(WheelSpec()).items():
            archive.writestr(name, data)
            archive.fp.write(b"hidden")  # type: ignore[union-attr]
            archive.start_dir = archive.fp.tell()  # type: ignore[union-attr]
    assert "6 bytes behind entry" in faults(path)


@pytest.mark.parametrize("tail", [b"\0", b"PK\x05\x06" + b"\0" * 18])
def test_bytes_behind_the_archive_are_refused(tmp_path: Path, tail: bytes) -> None:
    path = make_wheel(tmp_path)
    path.write_bytes(path.read_bytes() + tail)
    with pytest.raises(WheelError, match="not a sound wheel"):
        read_wheel(path)


def test_a_comment_behind_the_archive_is_refused(tmp_path: Path) -> None:
    path = make_wheel(tmp_path)
    with zipfile.ZipFile(path, "a") as archive:
        archive.comment = b"another archive may be in here"
    assert "ends with bytes that belong to no entry" in faults(path)


def test_a_count_of_entries_that_is_wrong_is_refused(tmp_path: Path) -> None:
    path = make_wheel(tmp_path)
    at = path.read_bytes().rindex(END)
    assert "says that it has 1 entries and lists 4" in faults(patched(path, at + 10, b"\1\0"))


@pytest.mark.parametrize(
    ("offset", "new", "fault"),
    [
        (6, b"\0\x08", "is another one by its own header"),
        (8, b"\0\0", "is another one by its own header"),
        (18, b"\x01", "has other sizes by its own header"),
        (22, b"\x63", "has other sizes by its own header"),
        (30, b"q", "is another one by its own header: 'qkg/__init__.py'"),
    ],
)
def test_a_header_that_tells_of_another_file_is_refused(
    tmp_path: Path, offset: int, new: bytes, fault: str
) -> None:
    assert fault in faults(patched(make_wheel(tmp_path), offset, new))


def test_sizes_behind_a_file_are_read_as_streams_write_them(tmp_path: Path) -> None:
    class Pipe:
        def __init__(self, path: Path) -> None:
            self.file = path.open("wb")

        def write(self, data: bytes) -> int:
            return self.file.write(data)

        def flush(self) -> None:
            self.file.flush()

    path = tmp_path / NAME
    pipe = Pipe(path)
    with zipfile.ZipFile(pipe, "w") as archive:  # type: ignore[call-overload]
        for name, data in contents(WheelSpec()).items():
            archive.writestr(name, data)
    pipe.file.close()
    assert read_wheel(path).name == "pkg"


def test_sizes_of_64_bits_are_read(tmp_path: Path) -> None:
    path = tmp_path / NAME
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in contents(WheelSpec()).items():
            with archive.open(name, "w", force_zip64=True) as entry:
                entry.write(data)
    assert read_wheel(path).name == "pkg"


def test_a_second_name_in_an_extra_field_is_refused(tmp_path: Path) -> None:
    entry = zipfile.ZipInfo("pkg/odd.py")
    entry.extra = struct.pack("<HHBL", 0x7075, 12, 1, 0) + b"evil.py"
    path = make_zip(tmp_path / NAME, [*contents(WheelSpec()).items(), (entry, b"")])
    assert "'pkg/odd.py' has a second name" in faults(path)


def test_a_stored_file_is_as_long_as_it_says(tmp_path: Path) -> None:
    path = make_zip(tmp_path / NAME, contents(WheelSpec()).items(), compression=zipfile.ZIP_STORED)
    at = path.read_bytes().index(CENTRAL)
    patched(path, at + 24, b"\x09")
    assert "is stored, and not as long as it says" in faults(patched(path, 22, b"\x09"))


def test_names_of_one_look_are_refused_and_names_in_two_cases_are_two(tmp_path: Path) -> None:
    spellings = {"pkg/caf\xe9.py": b"", "pkg/cafe\u0301.py": b"", "pkg/__init__.py": b""}
    said = faults(make_wheel(tmp_path, WheelSpec(files=spellings)))
    assert "is there in 2 spellings" in said
    cases = {"pkg/Data": b"", "pkg/data": b"", "pkg/__init__.py": b""}
    assert read_wheel(make_wheel(tmp_path, WheelSpec(files=cases))).name == "pkg"


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("pkg/\x85next.py", "has a control character"),
        ("pkg/\u2028next.py", "has a control character"),
        ("pkg/\u202eyp.exe", "has a control character"),
        ("pkg/" + "a" * 256, "has a path of more than"),
        ("a/" * 600 + "b", "has a path of more than"),
    ],
)
def test_names_that_no_terminal_or_file_system_takes_are_refused(
    tmp_path: Path, name: str, fault: str
) -> None:
    assert fault in faults(make_wheel(tmp_path, WheelSpec(files={name: b""})))


def test_a_name_in_no_known_encoding_is_refused(tmp_path: Path) -> None:
    files = {"pkg/__init__.py": b"", "pkg/odd??.py": b""}
    path = make_wheel(tmp_path, WheelSpec(files=files))
    path.write_bytes(path.read_bytes().replace(b"odd??", b"odd\xff\xfe"))
    assert "neither ASCII nor marked as UTF-8" in faults(path)
    other = make_wheel(tmp_path, WheelSpec(files={"pkg/\xe9": b"", "pkg/__init__.py": b""}))
    other.write_bytes(other.read_bytes().replace("\xe9".encode(), b"\xff\xff"))
    assert "UnicodeDecodeError" in faults(other)


@pytest.mark.parametrize(
    "filename",
    [
        ".whl",
        "-pkg-1.0-py3-none-any.whl",
        "pkg-1.0-py3-none-\x1b[31many.whl",
        "pkg-1.0-py3-none-a\nny.whl",
        f"pkg-1.0+{'a' * 200}-py3-none-any.whl",
    ],
)
def test_file_names_that_no_command_line_takes_are_refused(tmp_path: Path, filename: str) -> None:
    said = faults(make_wheel(tmp_path, WheelSpec(filename=filename)))
    assert "is no file name of a wheel" in said or "more than 220" in said


def test_metadata_that_takes_for_ever_to_read_is_refused(tmp_path: Path) -> None:
    lines = "".join(f"X-{n}: a\n" for n in range(6000))
    assert "more than 5000 lines" in faults(make_wheel(tmp_path, WheelSpec(more_metadata=lines)))
    long = WheelSpec(wheel="Tag: a-b-c\n" * 6000)
    assert "WHEEL has more than 5000 lines" in faults(make_wheel(tmp_path, long))
    tags = ".".join(f"a{n}" for n in range(200))
    many = WheelSpec(wheel=f"Wheel-Version: 1.0\nTag: {tags}-{tags}-any\n")
    assert "WHEEL has tags ?-?-a0" in faults(make_wheel(tmp_path, many))
    readme = WheelSpec(more_metadata="\n" + "a line\n" * 6000)
    assert read_wheel(make_wheel(tmp_path, readme)).name == "pkg"


def test_a_marker_of_a_thousand_brackets_is_a_fault(tmp_path: Path) -> None:
    marker = "(" * 3000 + "os_name == 'x'" + ")" * 3000
    spec = WheelSpec(more_metadata=f"Requires-Dist: a; {marker}\n")
    assert "METADATA: a marker in it has too many brackets" in faults(make_wheel(tmp_path, spec))


def test_one_long_name_does_not_fill_the_screen(tmp_path: Path) -> None:
    path = make_wheel(tmp_path, WheelSpec(files={"pkg/" + "a" * 60_000: b""}))
    with pytest.raises(WheelError) as caught:
        read_wheel(path)
    assert len(caught.value.message) < 4 * LONGEST
