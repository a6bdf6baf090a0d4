from __future__ import annotations

from farm.runs.seeds import Place, Sowing, sow
from farm.steps.targets import Seed

X86, ARM = "x86_64-native", "aarch64-hybrid"
TRIPLE = "x86_64-unknown-linux-gnu"


def place(job: str) -> Place:
    return Place(
        volume=f"volume-{job}",
        group=X86 if job.endswith("x") else ARM,
        host=X86,
        host_triple=TRIPLE,
    )


JOBS = ("39x", "39a", "313x", "313a")
PLACES = {job: place(job) for job in JOBS}


def sown(*ready: str, jobs: tuple[str, ...] = JOBS) -> Sowing:
    return sow(
        jobs, {job: PLACES[job] for job in jobs}, {PLACES[r].volume: PLACES[r].group for r in ready}
    )


def test_the_first_of_an_architecture_is_built_before_the_others_and_the_native_before_all() -> (
    None
):
    found = sown()
    assert found.after == {"39a": "39x", "313x": "39x", "313a": "39a"}
    assert found.leaders == {"39x", "39a"}


def test_another_architecture_gets_host_units_only() -> None:
    assert sown().seeds == {
        "39a": Seed(volume="volume-39x", leave=TRIPLE),
        "313x": Seed(volume="volume-39x"),
        "313a": Seed(volume="volume-39a"),
    }


def test_nobody_waits_who_has_what_earlier_builds_left() -> None:
    assert sown(*JOBS) == Sowing(leaders=frozenset({"39x", "39a"}))


def test_what_another_job_left_serves_one_that_is_not_waited_for() -> None:
    found = sown("39x", jobs=("313x", "313a"))
    assert found.seeds["313x"] == Seed(volume="volume-39x")
    assert found.after == {"313a": "313x"}
    alone = sown("39x", jobs=("313a",))
    assert alone.seeds == {"313a": Seed(volume="volume-39x", leave=TRIPLE)}
    assert alone.after == {}


def test_a_directory_that_may_be_built_in_is_no_seed() -> None:
    """The first of the run is ready itself; who is seeded from it waits for its build."""
    assert sown("39x", jobs=("39x", "313x")).after == {"313x": "39x"}


def test_an_emulated_group_shares_nothing_with_the_native_one() -> None:
    emulated = Place(
        volume="e", group="aarch64-emulated", host="aarch64-emulated", host_triple=TRIPLE
    )
    found = sow(("39x", "39e"), {"39x": PLACES["39x"], "39e": emulated}, {})
    assert (found.seeds, found.after) == ({}, {})
