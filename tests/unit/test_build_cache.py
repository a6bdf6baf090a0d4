from __future__ import annotations

from farm.engine.build_cache import Held, beyond

THERE = tuple(
    Held(key=key, title=f"/{key}", used=used, bytes=100)
    for used, key in enumerate(("oldest", "older", "newest"))
)


def test_what_was_used_longest_ago_goes_first_and_no_more_than_has_to() -> None:
    assert beyond(THERE, 250, but="newest") == THERE[:1]
    assert beyond(THERE, 100, but="newest") == THERE[:2]
    assert beyond(THERE, 300, but="newest") == ()


def test_what_this_project_left_stays() -> None:
    assert beyond(THERE, 0, but="oldest") == THERE[1:]
