"""Which archive is used: the project's settings before the machine's environment."""

from __future__ import annotations

from pathlib import Path

import pytest

from farm.bases.archive import DEFAULT
from farm.host.archive import read_archive
from farm.model.errors import UsageError
from farm.model.settings import Archive, read_settings


def table(**keys: str) -> Archive:
    return read_settings({"archive": keys}, "pyproject.toml").archive


def test_nothing_said_is_what_this_machine_has() -> None:
    assert read_archive(environment={}) == DEFAULT


def test_a_mirror_has_its_security_archive_beside_it() -> None:
    said = {"FARM_ARCHIVE_MIRROR": "http://mirror.example/debian/"}
    found = read_archive(environment=said)
    assert found.mirror == "http://mirror.example/debian/"
    assert found.security == "http://mirror.example/debian-security"


def test_the_project_wins_and_the_machines_security_archive_is_not_mixed_in() -> None:
    said = {
        "FARM_ARCHIVE_MIRROR": "http://machine.example/debian",
        "FARM_ARCHIVE_SECURITY": "http://machine.example/security",
        "FARM_ARCHIVE_OLD": "http://machine.example/old",
    }
    found = read_archive(table(mirror="https://project.example/debian"), environment=said)
    assert found.mirror == "https://project.example/debian"
    assert found.security == "https://project.example/debian-security"
    assert found.old == "http://machine.example/old"


def test_a_keyring_is_of_the_projects_directory(tmp_path: Path) -> None:
    (tmp_path / "keys.asc").write_bytes(b"-----BEGIN PGP")
    found = read_archive(table(keyring="keys.asc"), root=tmp_path, environment={})
    assert found.keyring == b"-----BEGIN PGP"
    with pytest.raises(UsageError, match=r"the keyring .*keys.gpg can't be read: No such file"):
        read_archive(table(keyring="keys.gpg"), root=tmp_path, environment={})


def test_a_suite_without_a_compiler_is_refused_with_the_nearest() -> None:
    with pytest.raises(UsageError, match=r"no compiler is had of 'trixie-backport'.*backports"):
        read_archive(table(toolchain="trixie-backport"), environment={})


@pytest.mark.parametrize(
    "address", ["mirror.example/debian", "http://a b/debian", "http://x/d [trusted=yes]"]
)
def test_what_is_no_address_is_refused_wherever_it_is_said(address: str) -> None:
    with pytest.raises(UsageError, match=r"archive\.mirror"):
        table(mirror=address)
    with pytest.raises(UsageError, match="FARM_ARCHIVE_MIRROR: not the address of an archive"):
        read_archive(environment={"FARM_ARCHIVE_MIRROR": address})


def test_an_address_with_a_login_is_refused_and_not_repeated() -> None:
    with pytest.raises(UsageError, match="without user and password") as caught:
        table(mirror="https://user:sesame-open@mirror.example/debian")
    assert "sesame" not in str(caught.value)
