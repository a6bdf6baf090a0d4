from __future__ import annotations

import hashlib
import stat
import warnings
import zipfile
from pathlib import Path

import pytest
from elf_factory import ElfSpec, elf, extension
from packaging.tags import Tag
from wheel_factory import WheelSpec, contents, hashed, make_wheel, make_zip, record

from farm.model.errors import SurroundingsError
from farm.wheels import archive as archive_module
from farm.wheels.archive import read_wheel, unpack
from farm.wheels.contents import Extension
from farm.wheels.errors import SHOWN, WheelError

NAME = "pkg-1.0-cp312-cp312-manylinux_2_28_x86_64.whl"


def faults(path: Path) -> str:
    with pytest.raises(WheelError) as caught:
        read_wheel(path)
    assert path.name in caught.value.message
    return "\n".join(caught.value.faults)


def test_a_sound_wheel_is_read_whole(tmp_path: Path) -> None:
    spec = WheelSpec(
        name="My.Pkg",
        home="my_pkg-1.0.dist-info",
        filename="my_pkg-1.0-cp39-abi3-manylinux_2_17_aarch64.manylinux2014_aarch64.whl",
        tag="cp39-abi3-manylinux_2_17_aarch64.manylinux2014_aarch64",
        files={
            "my_pkg/__init__.py": b"",
            "my_pkg/_native.abi3.so": extension("_native"),
            "my_pkg/libplain.so": elf(ElfSpec()),
            "my_pkg/whole.so": extension("whole"),
            "my_pkg/fake.so": b"no library at all",
            "my_pkg-1.0.data/scripts/tool": elf(ElfSpec()),
        },
        more_metadata=(
            "Requires-Python: >=3.9\nRequires-Dist: attrs>=22; extra == 'fast'\n"
            "Requires-Dist: six\nProvides-Extra: fast\n"
        ),
        entry_points="[console_scripts]\nRun-It = my_pkg:main\n[other]\nx = y:z\n",
    )
    path = make_wheel(tmp_path, spec)

    wheel = read_wheel(path)

    assert (wheel.name, wheel.version) == ("My.Pkg", "1.0")
    assert wheel.tags == {
        Tag("cp39", "abi3", "manylinux_2_17_aarch64"),
        Tag("cp39", "abi3", "manylinux2014_aarch64"),
    }
    assert wheel.platforms == ("manylinux2014_aarch64", "manylinux_2_17_aarch64")
    assert wheel.requires_python == ">=3.9"
    assert wheel.requires_dist == ('attrs>=22; extra == "fast"', "six")
    assert wheel.provides_extra == ("fast",)
    assert wheel.modules == ("my_pkg",)
    assert wheel.extensions == (
        Extension(module="my_pkg._native", file="my_pkg/_native.abi3.so", soabi="abi3"),
        Extension(module="my_pkg.whole", file="my_pkg/whole.so"),
    )
    assert wheel.console_scripts == ("Run-It",)
    assert wheel.data_scripts == ("tool",)
    assert wheel.scripts == ("Run-It", "tool")
    assert set(wheel.elf_files) == {
        "my_pkg/_native.abi3.so",
        "my_pkg/libplain.so",
        "my_pkg/whole.so",
        "my_pkg-1.0.data/scripts/tool",
    }
    assert wheel.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert wheel.size == path.stat().st_size
    assert not wheel.purelib


def test_the_empty_zip_of_a_failed_repair_is_named_as_that(tmp_path: Path) -> None:
    path = make_zip(tmp_path / NAME, [])
    assert path.stat().st_size == 22
    assert "empty zip file of 22 bytes, as a failed repair leaves it" in faults(path)


@pytest.mark.parametrize("content", [b"", b"PK", b"not a zip file at all", b"\0" * 100])
def test_what_is_no_zip_file_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / NAME
    path.write_bytes(content)
    assert "cannot be read as a zip file" in faults(path)


def test_a_missing_file_is_an_error_of_the_same_kind(tmp_path: Path) -> None:
    assert "FileNotFoundError" in faults(tmp_path / NAME)


def test_a_truncated_wheel_is_refused(tmp_path: Path) -> None:
    path = make_wheel(tmp_path)
    path.write_bytes(path.read_bytes()[:-30])
    assert "cannot be read as a zip file" in faults(path)


def test_flipped_bytes_in_a_file_are_refused(tmp_path: Path) -> None:
    path = make_zip(
        tmp_path / NAME,
        contents(WheelSpec(files={"pkg/__init__.py": b"A" * 50})).items(),
        compression=zipfile.ZIP_STORED,
    )
    path.write_bytes(path.read_bytes().replace(b"A" * 50, b"B" * 50))
    assert "Bad CRC-32" in faults(path)


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("../evil.py", "leads out of the wheel"),
        ("pkg/../../evil.py", "leads out of the wheel"),
        ("/etc/passwd", "has an absolute path"),
        ("C:/evil.py", "has an absolute path"),
        ("pkg\\evil.py", "has a backslash"),
        ("pkg//evil.py", "has an empty part"),
        ("./evil.py", "has an empty part"),
        ("pkg/ev\nil.py", "has a control character"),
    ],
)
def test_unsafe_names_are_refused(tmp_path: Path, name: str, fault: str) -> None:
    path = make_wheel(tmp_path, WheelSpec(files={name: b"", "pkg/__init__.py": b""}))
    assert fault in faults(path)


def test_a_name_with_a_nul_is_refused(tmp_path: Path) -> None:
    path = make_wheel(tmp_path, WheelSpec(files={"pkg/evil.py?.txt": b""}))
    path.write_bytes(path.read_bytes().replace(b"evil.py?.txt", b"evil.py\0.txt"))
    assert "has a control character" in faults(path)


def test_an_entry_without_a_name_is_refused(tmp_path: Path) -> None:
    path = make_wheel(tmp_path, WheelSpec(files={"?kg/odd": b"", "pkg/__init__.py": b""}))
    path.write_bytes(path.read_bytes().replace(b"?kg/odd", b"\0kg/odd"))
    assert "has a control character" in faults(path)


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFCHR, stat.S_IFIFO, stat.S_IFSOCK])
def test_only_files_and_directories_may_be_in_a_wheel(tmp_path: Path, kind: int) -> None:
    entry = zipfile.ZipInfo("pkg/odd")
    entry.external_attr = (kind | 0o777) << 16
    path = make_zip(tmp_path / NAME, [*contents(WheelSpec()).items(), (entry, b"/etc/passwd")])
    assert "is neither a file nor a directory" in faults(path)


def test_directory_entries_are_fine(tmp_path: Path) -> None:
    path = make_zip(tmp_path / NAME, [("pkg/", b""), *contents(WheelSpec()).items()])
    assert read_wheel(path).modules == ("pkg",)


def test_a_name_that_is_there_twice_is_refused(tmp_path: Path) -> None:
    files = contents(WheelSpec())
    with warnings.catch_warnings(action="ignore"):
        path = make_zip(tmp_path / NAME, [("pkg/__init__.py", b"evil"), *files.items()])
    assert "'pkg/__init__.py' is there 2 times" in faults(path)


@pytest.mark.parametrize("other", ["pkg/data/x", "pkg/data/"])
def test_a_file_that_is_also_a_directory_is_refused(tmp_path: Path, other: str) -> None:
    files = {"pkg/__init__.py": b"", "pkg/data": b"", other: b""}
    assert "'pkg/data' is a file and a directory" in faults(
        make_wheel(tmp_path, WheelSpec(files=files))
    )


def test_compression_that_installers_cannot_read_is_refused(tmp_path: Path) -> None:
    path = make_zip(tmp_path / NAME, contents(WheelSpec()).items(), compression=zipfile.ZIP_BZIP2)
    assert "compressed with method 12" in faults(path)


def test_encrypted_entries_are_refused(tmp_path: Path) -> None:
    path = make_wheel(tmp_path)
    data = path.read_bytes()
    at = data.index(b"PK\x01\x02") + 8
    path.write_bytes(data[:at] + bytes([data[at] | 1]) + data[at + 1 :])
    assert "is encrypted" in faults(path)


def test_a_zip_bomb_is_refused_before_it_is_unpacked(tmp_path: Path) -> None:
    path = make_wheel(tmp_path, WheelSpec(files={"pkg/zeros": bytes(4 << 20)}))
    assert "unpacks to" in faults(path)


def test_too_many_entries_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("farm.wheels.entries.MAX_ENTRIES", 3)
    assert "has 4 entries, more than 3" in faults(make_wheel(tmp_path))


def test_bytes_before_the_archive_are_refused(tmp_path: Path) -> None:
    path = make_wheel(tmp_path)
    path.write_bytes(b"#!/bin/sh\n" + path.read_bytes())
    assert "begins with 10 bytes that belong to no entry" in faults(path)


@pytest.mark.parametrize("missing", ["METADATA", "WHEEL", "RECORD"])
def test_each_file_of_dist_info_must_be_there(tmp_path: Path, missing: str) -> None:
    path = make_wheel(tmp_path, WheelSpec(left_out=(missing,)))
    assert f"has no pkg-1.0.dist-info/{missing}" in faults(path)


def test_there_must_be_one_dist_info(tmp_path: Path) -> None:
    two = make_wheel(tmp_path, WheelSpec(files={"other-1.dist-info/METADATA": b""}))
    assert "holds other-1.dist-info, pkg-1.0.dist-info" in faults(two)
    none = make_zip(tmp_path / NAME, [("pkg/__init__.py", b"")])
    assert "holds none" in faults(none)


def test_huge_metadata_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive_module, "MAX_TEXT", 20)
    assert "METADATA has 45 bytes, more than 20" in faults(make_wheel(tmp_path))


def test_a_file_that_is_not_in_record_is_refused(tmp_path: Path) -> None:
    files = contents(WheelSpec())
    path = make_zip(tmp_path / NAME, [("pkg/extra.py", b""), *files.items()])
    assert faults(path) == "pkg/extra.py is not in RECORD"


def test_signatures_of_record_need_not_be_in_it(tmp_path: Path) -> None:
    files = contents(WheelSpec())
    path = make_zip(tmp_path / NAME, [*files.items(), ("pkg-1.0.dist-info/RECORD.jws", b"{}")])
    assert read_wheel(path).name == "pkg"


@pytest.mark.parametrize(
    ("row", "fault"),
    [
        ("pkg/__init__.py,{right},1\n", "not what RECORD says"),
        ("pkg/__init__.py,{wrong},0\n", "not what RECORD says"),
        ("pkg/__init__.py,,\n", "no hash or no size"),
        ("pkg/__init__.py,{right},\n", "no hash or no size"),
        ("pkg/__init__.py,{md5},0\n", "which is too weak"),
        ("pkg/__init__.py,nonsense,0\n", "RECORD is wrong about"),
        ("pkg/__init__.py,{right},many\n", "RECORD is wrong about"),
        (
            "pkg/__init__.py,{right},0\npkg/__init__.py,{right},0\n",
            "RECORD lists pkg/__init__.py 2",
        ),
        ("pkg/__init__.py,{right},0\npkg/gone.py,{right},0\n", "pkg/gone.py, which is not there"),
        ("pkg/__init__.py\n", "RECORD cannot be read"),
    ],
)
def test_record_must_be_right_about_every_file(tmp_path: Path, row: str, fault: str) -> None:
    good = contents(WheelSpec())
    del good["pkg-1.0.dist-info/RECORD"]
    home = "pkg-1.0.dist-info"
    rest = record({n: d for n, d in good.items() if n != "pkg/__init__.py"}, home)
    hashes = {"right": hashed(b""), "wrong": hashed(b"?"), "md5": hashed(b"", "md5")}
    path = make_wheel(tmp_path, WheelSpec(record=row.format(**hashes) + rest))
    assert fault in faults(path)


@pytest.mark.parametrize(
    ("spec", "fault"),
    [
        (WheelSpec(filename="pkg.whl"), "Invalid wheel filename"),
        (WheelSpec(filename=NAME.replace("pkg", "other")), "METADATA names 'pkg', the file name"),
        (WheelSpec(filename=NAME.replace("1.0", "1.1")), "METADATA has version 1.0, the file name"),
        (WheelSpec(filename=NAME.replace("2_28", "2_17")), "WHEEL has tags cp312-cp312-manyl"),
        (WheelSpec(home="pkg-1.1.dist-info"), "pkg-1.1.dist-info does not belong to pkg 1.0"),
        (WheelSpec(home="pkg.dist-info"), "pkg.dist-info does not belong to pkg 1.0"),
        (WheelSpec(metadata="Name: pkg\nVersion: 1.0\n"), "METADATA: "),
        (WheelSpec(more_metadata="Requires-Dist: a b c\n"), "METADATA: "),
        (WheelSpec(wheel="Wheel-Version: 2.0\n"), "Wheel-Version is '2.0'"),
        (WheelSpec(wheel="Wheel-Version: 1.0\nTag: what\n"), "WHEEL has tags ?-?-what"),
        (WheelSpec(wheel="Wheel-Version: 1.0\n"), "WHEEL has tags none"),
        (WheelSpec(entry_points="[console_scripts\n"), "entry_points.txt cannot be read"),
        (WheelSpec(entry_points="[gui_scripts]\n../x = a:b\n"), "leads out of the script"),
    ],
)
def test_names_versions_and_tags_must_agree(tmp_path: Path, spec: WheelSpec, fault: str) -> None:
    assert fault in faults(make_wheel(tmp_path, spec))


def test_spellings_of_one_name_and_version_agree(tmp_path: Path) -> None:
    spec = WheelSpec(
        name="My-Pkg",
        version="1.0.0-beta.1",
        home="my_pkg-1.0.0b1.dist-info",
        filename=NAME.replace("pkg-1.0", "my_pkg-1.0.0b1"),
    )
    wheel = read_wheel(make_wheel(tmp_path, spec))
    assert (wheel.name, wheel.version) == ("My-Pkg", "1.0.0-beta.1")


def test_all_faults_are_in_one_error(tmp_path: Path) -> None:
    spec = WheelSpec(
        wheel="Wheel-Version: 7.0\n", entry_points="[x\n", filename=NAME.replace("1.0", "1.1")
    )
    found = faults(make_wheel(tmp_path, spec))
    for fault in ("7.0", "entry_points.txt", "METADATA has version", "dist-info does not belong"):
        assert fault in found


def test_a_flood_of_faults_is_cut_in_the_message_only(tmp_path: Path) -> None:
    files = {f"pkg/{n}\\x": b"" for n in range(SHOWN + 5)}
    with pytest.raises(WheelError) as caught:
        read_wheel(make_wheel(tmp_path, WheelSpec(files=files)))
    assert len(caught.value.faults) == SHOWN + 5
    assert caught.value.message.endswith("; and 5 more")
    assert "\n" not in caught.value.message


def test_no_room_to_unpack_is_a_fault_of_the_surroundings(tmp_path: Path) -> None:
    wheel = read_wheel(make_wheel(tmp_path))
    blocked = tmp_path / "blocked"
    blocked.write_bytes(b"")
    with pytest.raises(SurroundingsError, match="cannot unpack") as caught:
        unpack(wheel, ["pkg/__init__.py"], blocked)
    assert "Make room" in caught.value.remedy
