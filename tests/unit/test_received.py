"""What comes out of a container: tar archives, and lines."""

from __future__ import annotations

import gzip
import io
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from farm.engine import containers
from farm.engine.containers import Container, _read_lines
from farm.model.errors import FarmError, JobError, SurroundingsError
from farm.steps import context as context_module
from farm.steps import received as received_module
from farm.steps.build import take_wheel
from farm.steps.context import Log
from farm.steps.hybrid import _Output, _text

NAME = "pkg-1.0-cp312-cp312-manylinux_2_28_x86_64.whl"


def file(name: str, data: bytes = b"data", **more: Any) -> tuple[tarfile.TarInfo, bytes]:
    member = tarfile.TarInfo(name)
    member.size = len(data)
    for key, value in more.items():
        setattr(member, key, value)
    return member, data


def tar(*members: tuple[tarfile.TarInfo, bytes]) -> io.BytesIO:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for member, data in members:
            archive.addfile(member, io.BytesIO(data))
    stream.seek(0)
    return stream


def test_the_one_wheel_is_taken_from_wherever_it_lies(tmp_path: Path) -> None:
    archive = tar(file("out/.lock"), file(f"../../out/{NAME}", b"wheel"))
    path = take_wheel(archive, tmp_path / "built")
    assert path == tmp_path / "built" / NAME
    assert path.read_bytes() == b"wheel"
    assert [p.name for p in tmp_path.iterdir()] == ["built"]


@pytest.mark.parametrize(
    "kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE, tarfile.DIRTYPE]
)
def test_links_devices_and_directories_are_no_wheels(tmp_path: Path, kind: bytes) -> None:
    member = file(NAME, b"", type=kind, linkname="/etc/passwd")
    with pytest.raises(JobError, match="left 0 wheels where one was due: none"):
        take_wheel(tar(member), tmp_path)


@pytest.mark.parametrize(
    "name",
    ["a/.whl", "a/-rf.whl", "a/x\ny.whl", "a/x\x1b[2J.whl", f"a/{'x' * 300}.whl", "a/\udcff.whl"],
)
def test_a_wheel_by_an_evil_name_is_no_wheel(tmp_path: Path, name: str) -> None:
    with pytest.raises(JobError, match="what maturin left is no wheel") as caught:
        take_wheel(tar(file(name)), tmp_path)
    assert caught.value.message.isprintable()
    assert not [*tmp_path.iterdir()]


def test_two_wheels_of_one_name_are_told_as_two(tmp_path: Path) -> None:
    with pytest.raises(JobError, match="left 2 wheels"):
        take_wheel(tar(file(f"a/{NAME}"), file(f"b/{NAME}")), tmp_path)


def test_a_thousand_wheels_are_not_all_named_or_written(tmp_path: Path) -> None:
    with pytest.raises(JobError, match="left 1000 wheels") as caught:
        take_wheel(tar(*(file(f"{n}.whl") for n in range(1000))), tmp_path)
    assert len(caught.value.message) < 200
    assert len([*tmp_path.iterdir()]) == 1


def test_an_archive_of_endless_members_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(received_module, "MAX_MEMBERS", 3)
    with pytest.raises(JobError, match="more than 3 members"):
        take_wheel(tar(*(file(f"{n}") for n in range(5))), tmp_path)


def test_a_file_that_is_all_hole_is_not_written_out(tmp_path: Path) -> None:
    headers = {
        "GNU.sparse.major": "1",
        "GNU.sparse.minor": "0",
        "GNU.sparse.name": NAME,
        "GNU.sparse.realsize": str(1 << 60),
    }
    member = file("GNUSparseFile.0/x", b"0\n".ljust(512, b"\0"), pax_headers=headers)
    with pytest.raises(JobError, match=r"no sound tar archive .*has holes"):
        take_wheel(tar(member), tmp_path)


@pytest.mark.parametrize(
    "broken",
    [
        lambda _: b"",
        lambda _: b"no archive at all" * 100,
        lambda data: data[:1000],
        gzip.compress,
    ],
)
def test_what_is_no_archive_is_an_error_of_the_job(
    tmp_path: Path, broken: Callable[[bytes], bytes]
) -> None:
    archive = tar(file(NAME, bytes(5000))).getvalue()
    with pytest.raises(JobError, match=r"no sound tar archive|left 0 wheels"):
        take_wheel(io.BytesIO(broken(archive)), tmp_path)


def test_no_room_for_a_wheel_is_a_fault_of_the_surroundings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("shutil.copyfileobj", full)
    with pytest.raises(SurroundingsError, match="could not be written"):
        take_wheel(tar(file(NAME)), tmp_path)


class Api:
    def __init__(self, *chunks: bytes) -> None:
        self.chunks = chunks

    def get_archive(self, *_: object) -> tuple[object, dict[str, str]]:
        return iter(self.chunks), {}


def container(*chunks: bytes) -> Container:
    made = Container.__new__(Container)
    made._api = Api(*chunks)  # type: ignore[assignment]
    made.identity = "x"
    return made


def test_an_archive_without_end_is_not_written_to_the_disk() -> None:
    with pytest.raises(JobError, match="/work/out in the container has more than 100 bytes"):
        container(*[b"x" * 60] * 2).get("/work/out", limit=100)
    with container(b"x" * 60).get("/work/out", limit=100) as archive:
        assert archive.read() == b"x" * 60


def test_a_build_script_is_read_as_text_and_what_is_none_is_none() -> None:
    script = tar(file("build.rs", b"fn main() {}\xff")).getvalue()
    assert _text(container(script), "/x") == "fn main() {}\ufffd"
    assert _text(container(b"no archive"), "/x") is None
    assert _text(container(tar().getvalue()), "/x") is None


def test_metadata_in_parts_is_one_and_other_output_is_an_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def parsed(*parts: str) -> dict[str, Any]:
        output = _Output()
        for part in parts:
            output(part)
        return output.parsed()

    assert parsed('{"packages": ["a', 'b"]}') == {"packages": ["ab"]}
    for bad in ("", "{", "[]", "[" * 100_000):
        with pytest.raises(FarmError, match="cargo metadata printed no"):
            parsed(bad)
    monkeypatch.setattr("farm.steps.hybrid._MAX_METADATA", 10)
    with pytest.raises(FarmError, match="more than 10 characters"):
        parsed("x" * 6, "x" * 6)


def lines(*chunks: tuple[bytes | None, bytes | None]) -> tuple[list[str], list[str]]:
    out: list[str] = []
    error: list[str] = []
    _read_lines(iter(chunks), out.append, error.append)
    return out, error


def test_lines_come_whole_however_they_are_cut() -> None:
    text = "one\r\ntwö\n\nlast".encode()
    chunks = [(text[i : i + 1], None) for i in range(len(text))]
    assert lines(*chunks, (None, b"err")) == (["one", "twö", "", "last"], ["err"])
    assert lines((b"\xff\n\xc3", None)) == (["\ufffd", "\ufffd"], [])


def test_a_line_without_an_end_is_handed_on_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(containers, "_MAX_LINE", 4)
    assert lines(*[(b"ab", None)] * 5)[0] == ["abab", "abab", "ab"]
    assert lines((b"abcdefghij\nk\n", None))[0] == ["abcd", "efgh", "ij", "k"]
    held = containers._LineReader(lambda _: None)
    held.take(b"x" * 1000)
    assert len(held._rest) <= 4


def test_a_log_without_end_does_not_fill_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(context_module, "MAX_LOG", 10)
    heard: list[object] = []
    for _ in range(2):
        with (tmp_path / "log").open("a", encoding="utf-8") as file:
            log = Log("job", file, heard.append)
            for line in ("one", "two", "three", "four"):
                log(line)
    assert (tmp_path / "log").read_text() == "one\ntwo\nthe log ends here: it is too long\n"
    assert len(heard) == 8
