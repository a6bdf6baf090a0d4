"""What is told of what Debian's archive does not have."""

from __future__ import annotations

import pytest

from farm.engine.lost import Lost, Why, kind_of, remedy


@pytest.mark.parametrize(
    ("words", "why"),
    [
        ("E: Failed to fetch http://x/Release  404  Not Found [IP: ::1 80]", Why.GONE),
        ("E: The repository 'http://x forky Release' does not have a Release file.", Why.GONE),
        ("E: Release file for http://x/InRelease is expired (invalid since 5d).", Why.EXPIRED),
        ("E: Release file for http://x/InRelease is not valid yet (invalid for 3h).", Why.CLOCK),
        ("E: Failed to fetch http://x/P  429  Too Many Requests [IP: ::1 80]", Why.BUSY),
        ("E: Failed to fetch http://x/P  503  Service Unavailable [IP: ::1 80]", Why.BUSY),
        ("E: Failed to fetch http://x/P  Hash Sum mismatch", Why.BROKEN),
        ("E: Failed to fetch http://x/P  File has unexpected size (3 != 9).", Why.BROKEN),
        ("E: Failed to fetch http://x/P  Could not resolve 'x'", Why.NETWORK),
        ("E: Failed to fetch http://x/P  Connection timed out", Why.NETWORK),
        ("E: The repository 'http://x forky InRelease' is not signed.", Why.UNSIGNED),
        ("W: GPG error: http://x: The following signatures were invalid: BADSIG 1", Why.FORGED),
        ("E: rustc : Depends: libstd-rust-1.97 (= 1) but it is not installable", Why.DISAGREE),
        ("E: Sub-process returned an error code (1)", Why.OTHER),
    ],
)
def test_the_kind_is_read_from_what_apt_says(words: str, why: Why) -> None:
    assert kind_of([words]) is why
    told = Lost(way="forky", words=(words,))
    assert told.why is why
    assert told.text.startswith(f"forky: {why}: ")
    assert "E: " not in told.text
    assert ("network" in remedy([told])) == (why is Why.NETWORK)


def test_a_bad_signature_outweighs_all_else_that_apt_says() -> None:
    words = ["E: The repository 'x' is not signed.", "W: GPG error: BADSIG 1"]
    assert kind_of(words) is Why.FORGED
    others = [Lost(way="a", words=("404  Not Found",))] * 3
    assert remedy([*others, Lost(way="b", words=tuple(words))]).startswith("Do not use this mirror")


def test_an_architecture_without_the_package_is_named() -> None:
    versions = (("rustc", "amd64", "1.97.1+dfsg1-1"), ("libstd-rust-dev", "arm64", ""))
    assert Lost(way="forky", versions=versions).text == "forky: it has no libstd-rust-dev for arm64"


def test_what_apt_says_is_told_where_the_versions_do_not_tell() -> None:
    lost = Lost(
        way="forky",
        versions=(("python3.15", "arm64", "3.15.0-1"),),
        words=("python3.15 : Depends: libpython3.15-stdlib (= 3.15.0-1) but 3.15.0~rc2-1 is",),
    )
    assert lost.text.startswith(
        "forky: its packages do not fit together: python3.15 : Depends: lib"
    )


def test_one_file_and_many_that_are_not_there_are_told_apart() -> None:
    one = Lost(way="trixie", missing=("http://x/a.deb",))
    two = Lost(way="trixie", missing=("http://x/a.deb", "http://x/b.deb"))
    assert (
        one.text == "trixie: its lists name a file that the archive does not have, http://x/a.deb"
    )
    assert "name 2 files that the archive does not have, such as http://x/a.deb" in two.text
