from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from farm.engine.leftovers import PROBE_LABEL, RUN_LABEL, reap


class FakeEngine:
    """An engine that has containers and no volumes, and says what it was asked."""

    def __init__(self, *containers: dict[str, Any]) -> None:
        self.there = list(containers)
        self.api = self
        self.asked: list[str] = []

    def volumes(self, **_: object) -> dict[str, None]:
        self.asked.append("volumes")
        return {"Volumes": None}

    def containers(self, *, filters: Mapping[str, list[str]], **_: object) -> list[dict[str, Any]]:
        self.asked.append("containers")
        return [each for each in self.there if filters["label"][0] in each["Labels"]]

    def info(self) -> dict[str, str]:
        self.asked.append("info")
        return {"SystemTime": datetime.now(UTC).isoformat()}

    def remove_container(self, identity: str, **_: object) -> None:
        self.there = [each for each in self.there if each["Id"] != identity]


def probe(identity: str, age: float) -> dict[str, Any]:
    return {"Id": identity, "Labels": {PROBE_LABEL: "1"}, "Created": time.time() - age}


def test_of_an_engine_with_nothing_only_what_there_is_is_asked() -> None:
    engine = FakeEngine()
    left = reap(engine)  # type: ignore[arg-type]
    assert (left.alive, left.dead, left.kept) == (set(), set(), ())
    assert engine.asked == ["volumes", "containers", "containers"]


def test_a_probe_goes_once_it_has_lost_its_controller() -> None:
    engine = FakeEngine(probe("old", 700), probe("new", 5))
    reap(engine)  # type: ignore[arg-type]
    assert [each["Id"] for each in engine.there] == ["new"]


def test_a_container_of_no_living_run_goes() -> None:
    lost = {
        "Id": "lost",
        "Labels": {RUN_LABEL: "r"},
        "Created": 0,
        "State": "exited",
        "Mounts": [],
    }
    engine = FakeEngine(lost)
    assert reap(engine).dead == {"r"}  # type: ignore[arg-type]
    assert engine.there == []
