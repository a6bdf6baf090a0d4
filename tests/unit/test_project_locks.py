"""What cargo changed in a lock: the workspace's own, or what is built."""

from __future__ import annotations

import pytest
from made_projects import locked

from farm.model.errors import UsageError
from farm.project.locks import Changes, compare

OLD = (
    locked("app", "1.0.0", "serde", "helper", path=True)
    + locked("helper", "0.1.0", path=True)
    + locked("tool", "0.0.0", "libcramjam 0.7.0", path=True)
    + locked("serde", "1.0.2")
    + locked("libcramjam", "0.7.0")
)


def test_what_is_the_workspaces_own_pins_as_before() -> None:
    new = (
        locked("app", "1.1.0", "serde", path=True)
        + locked("other", "0.2.0", "serde", path=True)
        + locked("serde", "1.0.2")
    )
    changes = compare(OLD, new)
    assert changes.unpinned == ()
    assert str(changes) == (
        "helper is not there, tool is not there, app 1.0.0 is 1.1.0, app does not need helper, "
        "other 0.2.0 is new, 1 crate from outside that nothing needs any more"
    )


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (OLD, OLD + locked("itoa", "1.0.0")),
        (OLD, OLD.replace("1.0.2", "1.0.3")),
        (OLD, OLD.replace("crates.io-index", "elsewhere")),
        (OLD, OLD.replace('version = "1.0.2"', 'version = "1.0.2"\nchecksum = "00"')),
        (
            OLD.replace('version = "1.0.2"', 'version = "1.0.2"\nchecksum = "11"'),
            OLD.replace('version = "1.0.2"', 'version = "1.0.2"\nchecksum = "00"'),
        ),
    ],
)
def test_a_crate_from_outside_is_pinned_by_version_source_and_content(old: str, new: str) -> None:
    assert compare(old, new).unpinned


def test_the_same_is_the_same() -> None:
    assert compare(OLD, OLD) == Changes(own=(), dropped=0, unpinned=())


def test_many_changes_are_counted() -> None:
    new = OLD + "".join(locked(f"x{n}", "1.0.0") for n in range(30))
    assert compare(OLD, new).taken.endswith("x7 1.0.0, and 22 more")


@pytest.mark.parametrize("text", ["package = 1", "package = [1]", "[[package]", "["])
def test_what_is_no_lock_is_told(text: str) -> None:
    with pytest.raises(UsageError, match=r"Cargo\.lock can't be read"):
        compare(OLD, text)
