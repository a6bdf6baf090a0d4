from __future__ import annotations

import hashlib
import json
import os
import threading
from pathlib import Path

import pytest

from farm.host import binfmt, ledger, plugin
from farm.host.ledger import Ledger, Mounted, Packages, Registered, Written
from farm.model.errors import SurroundingsError
from farm.model.events import Event, Note

CHANGES = (
    Packages(names=("mmdebstrap", "gpgv")),
    Written(path="/somewhere/docker-buildx", sha256="0" * 64),
    Mounted(path="/proc/sys/fs/binfmt_misc", boot="some-boot"),
    Registered(name="farm-aarch64", engine="ID", host="here", local=True),
)


@pytest.fixture
def book(tmp_path: Path) -> Ledger:
    return Ledger(path=tmp_path / "deep" / "changes.json")


def test_what_was_written_down_is_read_back_in_order(book: Ledger) -> None:
    for change in CHANGES:
        book.add(change)
    assert book.changes() == CHANGES


def test_a_change_made_again_stands_once_and_last(book: Ledger) -> None:
    for change in (*CHANGES, CHANGES[0]):
        book.add(change)
    assert book.changes() == (*CHANGES[1:], CHANGES[0])


def test_the_file_goes_with_its_last_entry(book: Ledger) -> None:
    book.add(CHANGES[0])
    book.remove(CHANGES[0])
    assert book.changes() == ()
    assert list(book.path.parent.iterdir()) == []


def test_two_who_write_at_once_lose_nothing(book: Ledger) -> None:
    changes = [Packages(names=(f"package-{n}",)) for n in range(16)]
    threads = [threading.Thread(target=book.add, args=(change,)) for change in changes]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(book.changes()) == set(changes)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{", "cannot be read"),
        (json.dumps({"schema": 2, "changes": []}), "its schema is 2, not 1"),
        (json.dumps({"schema": 1, "changes": [{"kind": "moon"}]}), "an entry lacks 'moon'"),
        (json.dumps({"schema": 1, "changes": [{"kind": "mounted", "path": "/x"}]}), "boot"),
        (json.dumps([]), "cannot be read"),
    ],
)
def test_a_ledger_that_cannot_be_read_is_an_error_and_is_kept(
    book: Ledger, text: str, says: str
) -> None:
    book.path.parent.mkdir()
    book.path.write_text(text)
    with pytest.raises(SurroundingsError) as caught:
        book.add(CHANGES[0])
    assert says in caught.value.message
    assert str(book.path) in caught.value.message
    assert book.path.read_text() == text


def test_a_place_that_cannot_be_written_is_an_error_that_names_it(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    book = Ledger(path=tmp_path / "file" / "changes.json")
    with pytest.raises(SurroundingsError, match=r"changes\.json"):
        book.add(CHANGES[0])


def test_root_has_a_ledger_that_outlives_its_home(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setenv("HOME", "/nowhere")
    assert ledger.default_path() == Path("/var/lib/farm/changes.json")


def test_others_have_a_ledger_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setenv("XDG_STATE_HOME", "/mine")
    assert ledger.default_path() == Path("/mine/farm/changes.json")


def test_a_plugin_that_is_still_the_farms_is_removed(tmp_path: Path) -> None:
    path = tmp_path / "docker-buildx"
    path.write_bytes(b"program")
    plugin.remove(_written(path), emit=_ignore)
    assert not path.exists()
    plugin.remove(_written(path, b"program"), emit=_ignore)  # gone by now: nothing to do


def test_a_plugin_that_somebody_replaced_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "docker-buildx"
    path.write_bytes(b"program")
    written = _written(path)
    path.write_bytes(b"another")
    notes: list[Event] = []
    plugin.remove(written, emit=notes.append)
    assert path.read_bytes() == b"another"
    assert notes == [Note(text=f"kept {path}: somebody changed it since the farm put it there")]


def test_a_mount_of_an_earlier_boot_is_gone_with_it(tmp_path: Path) -> None:
    assert binfmt.unmount(Mounted(path=str(tmp_path), boot="an earlier one"), emit=_ignore)


def _written(path: Path, content: bytes | None = None) -> Written:
    data = path.read_bytes() if content is None else content
    return Written(path=str(path), sha256=hashlib.sha256(data).hexdigest())


def _ignore(_: Event) -> None:
    pass
