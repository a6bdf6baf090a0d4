from __future__ import annotations

from pathlib import Path

from farm.project.source import Source, SourceFile
from farm.project.stamps import read_stamps, stamped, stamps_text


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
