from __future__ import annotations

import io
import tarfile
from dataclasses import replace
from pathlib import Path

from farm.project.source import Source, SourceFile
from farm.project.stamps import read_stamps, replace_in_tar, stamp_tar, stamped, stamps_text


def source(place: Path, **files: str) -> Source:
    for name, text in files.items():
        (place / name).write_text(text)
    return Source(
        root=place,
        files=tuple(
            SourceFile(path=name, origin=place / name, mode=0o644, size=len(text))
            for name, text in sorted(files.items())
        ),
        project=".",
        top=None,
    )


def test_only_what_changed_gets_a_new_time(tmp_path: Path) -> None:
    first = stamped(source(tmp_path, a="1", b="1"), None, 100.5)
    assert first.times == {"a": 100.5, "b": 100.5}
    second = stamped(source(tmp_path, a="1", b="2", c="1"), first, 200.25)
    assert second.times == {"a": 100.5, "b": 200.25, "c": 200.25}
    assert second.generation == first.generation


def test_what_is_put_back_is_a_change_too(tmp_path: Path) -> None:
    first = stamped(source(tmp_path, a="1"), None, 100)
    second = stamped(source(tmp_path, a="2"), first, 200)
    assert stamped(source(tmp_path, a="1"), second, 300).times == {"a": 300}


def test_what_vanished_and_came_back_is_new(tmp_path: Path) -> None:
    first = stamped(source(tmp_path, a="1", b="1"), None, 100)
    second = stamped(source(tmp_path, b="1"), first, 200)
    assert stamped(source(tmp_path, a="1", b="1"), second, 300).times == {"a": 300, "b": 100}


def test_a_clock_that_went_back_begins_a_new_generation(tmp_path: Path) -> None:
    first = stamped(source(tmp_path, a="1"), None, 100)
    back = stamped(source(tmp_path, a="1"), first, 90)
    assert back.generation != first.generation
    assert back.times == {"a": 90}


def test_stamps_are_read_as_they_were_written_and_damaged_ones_as_none(tmp_path: Path) -> None:
    stamps = stamped(source(tmp_path, a="1"), None, 1795.123456)
    assert read_stamps(stamps_text(stamps)) == stamps
    assert read_stamps(stamps_text(stamps)[:-5]) is None
    assert read_stamps(b"[]") is None


def test_the_archive_gets_the_times_and_stays_what_it_is_otherwise(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    whole = source(tmp_path, **{"a": "1", "deep/é \n": "2" * 100_000})
    link = SourceFile(path="link", origin=tmp_path / "link", mode=0o777, size=0, link="a")
    whole = replace(whole, files=(*whole.files, link))
    before, behind = io.BytesIO(), io.BytesIO()
    whole.write_tar(before, mtime=7)
    before.seek(0)
    stamp_tar(before, behind, {"a": 1795.25, "deep/é \n": 1796})
    read = []
    for stream in (before, behind):
        stream.seek(0)
        with tarfile.open(fileobj=stream) as archive:
            read.append({m.name: (m, m.isreg() and archive.extractfile(m).read()) for m in archive})  # type: ignore[union-attr]
    sent, stamped_ones = read
    assert {name: member.mtime for name, (member, _) in stamped_ones.items()} == {
        "a": 1795.25,
        "deep": 7,
        "deep/é \n": 1796,
        "link": 7,
    }
    for name, (member, content) in sent.items():
        other, same = stamped_ones[name]
        assert (other.mode, other.type, other.linkname) == (
            member.mode,
            member.type,
            member.linkname,
        )
        assert same == content


def test_one_file_of_an_archive_has_another_content_and_time(tmp_path: Path) -> None:
    tree, into = io.BytesIO(), io.BytesIO()
    source(tmp_path, a="1", b="2").write_tar(tree, mtime=100)
    tree.seek(0)
    replace_in_tar(tree, into, "b", b"longer", 200.5)
    into.seek(0)
    with tarfile.open(fileobj=into) as archive:
        found = {
            member.name: (member.mtime, file.read())
            for member in archive
            if (file := archive.extractfile(member))
        }
    assert found == {"a": (100, b"1"), "b": (200.5, b"longer")}
