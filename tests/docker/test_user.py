"""A user who is not root, in no group but docker: what is unpacked, and what is left to root."""

from __future__ import annotations

import tarfile

import pytest
from nobody import NOBODY, nobody, place_of_nobody, run_as_nobody

from farm.host import plugin, user

pytestmark = pytest.mark.docker


def test_buildx_is_unpacked_by_a_user_who_is_not_root() -> None:
    with place_of_nobody() as place:
        with nobody():
            argv = plugin.extract_command(str(place / "root"))
        done = run_as_nobody(argv, place)
        assert done.returncode == 0, done.stderr
        (program,) = (place / "root").rglob("cli-plugins/docker-buildx")
        assert "buildx" in run_as_nobody((str(program), "version"), place).stdout


def test_a_root_is_the_same_whoever_unpacks_it() -> None:
    """The seed's first root is made with these words."""
    with place_of_nobody() as place:
        with nobody():
            words = user.unpacking_root()
        argv = ("mmdebstrap", "--quiet", "--variant=extract", *words, "--include=base-files")
        done = run_as_nobody((*argv, "trixie", str(place / "root.tar")), place)
        assert done.returncode == 0, done.stderr
        with tarfile.open(place / "root.tar") as tar:
            members = {member.name.strip("./"): member for member in tar}
    assert not {member.uid for member in members.values()} & {NOBODY}
    assert members["etc/debian_version"].uid == 0
    assert {members[name].mode for name in ("tmp", "var/tmp", "var/lock")} == {0o1777}
