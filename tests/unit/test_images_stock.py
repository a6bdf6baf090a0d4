"""Making images, with an engine and an archive that are made up: what is built, and what is not."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from typing import Any

import pytest

from farm.bases.archive import DEFAULT, Archive
from farm.bases.recipes import with_parents
from farm.engine import images, making
from farm.engine.bake import Cached, Order, Root
from farm.engine.lost import Lost, UnavailableError
from farm.engine.resolve import Package
from farm.engine.stock import Book
from farm.model.errors import FaultError, SurroundingsError
from farm.model.events import Event, ImageProgress, Warned

PATIENCE = 10
"""Seconds after which a test that waits has failed."""
NAMES = ("builder-x86_64", "builder-aarch64", "check-aarch64")


class FakeEngine:
    """An engine as far as images go, and the list of those on it."""

    def __init__(self) -> None:
        self.entries: list[dict[str, Any]] = []
        self.api = self
        self.asked_version = 0

    def version(self) -> dict[str, str]:
        self.asked_version += 1
        return {"Arch": "amd64"}

    def info(self) -> dict[str, str]:
        return {"ID": "an engine"}

    def images(self, filters: Mapping[str, list[str]]) -> list[dict[str, Any]]:
        assert filters == {"label": ["farm=1", "farm.image"]}
        return list(self.entries)

    def remove_image(self, reference: str) -> None:
        self.entries = [entry for entry in self.entries if entry["RepoTags"] != [reference]]

    def add(self, reference: str, labels: Mapping[str, str]) -> None:
        self.entries.append(
            {
                "Id": f"sha256:{len(self.entries)}",
                "RepoTags": [reference],
                "Labels": dict(labels),
                "Created": len(self.entries),
                "Size": 1,
            }
        )


class FakeArchive:
    """What Debian's archive has: one package for each need, of the version that is set."""

    def __init__(self) -> None:
        self.versions: dict[str, str] = {}
        self.lost: set[str] = set()
        """Suites that are gone."""
        self.apart: set[str] = set()
        """Suites in which the architectures do not have the same version."""
        self.says = "E: The repository 'http://archive {} Release' does not have a Release file."
        """apt, of a suite that is gone."""
        self.asked = 0

    def answer(self, request: str) -> str:
        self.asked += 1
        found: dict[str, Any] = {}
        lost: dict[str, Any] = {}
        for need in json.loads(request)["needs"]:
            place = need["id"]
            for way, candidate in enumerate(need["candidates"]):
                if fault := self.fault(candidate, need["at_least"], self.versions.get(place, "")):
                    lost.setdefault(place, []).append({"way": way, **fault})
                    continue
                packages = candidate.get("closure") or [self.package(place, candidate)]
                found[place] = {"way": way, "packages": packages}
                break
        return json.dumps({"found": found, "lost": lost, "index_bytes": 5})

    def root(self, root: Root) -> tuple[tuple[str, str, str], ...]:
        """Say what the seed would be made of."""
        suite = root.selection.suite.name
        if suite in self.lost:
            raise UnavailableError(Lost(way=suite, words=(self.says.format(suite),)))
        return (("apt", suite, "amd64"),)

    def fault(
        self, candidate: Mapping[str, Any], at_least: Mapping[str, str], version: str
    ) -> dict[str, Any]:
        """Return why a candidate can't be had; nothing where it can."""
        nothing: dict[str, Any] = {"words": [], "versions": [], "missing": [], "too_old": []}
        if "closure" in candidate:
            return {}
        for suite in {candidate["suite"], *candidate["pockets"]} & self.lost:
            return {**nothing, "words": [self.says.format(suite)]}
        if candidate["suite"] in self.apart and candidate["foreign"]:
            arches = [candidate["arch"], *candidate["foreign"]]
            there = [["libstd-rust-dev", arch, f"1.9{n}.0-1"] for n, arch in enumerate(arches)]
            return {**nothing, "versions": there}
        if wanted := at_least.get("rustc"):
            return {**nothing, "too_old": [["rustc", version or "1.0-1", wanted]]}
        return {}

    def package(self, place: str, candidate: Mapping[str, Any]) -> dict[str, Any]:
        version = self.versions.get(place, "1.0-1")
        return {
            "name": candidate["packages"][0],
            "version": version,
            "arch": candidate["arch"],
            "sha256": f"{place} {version} {candidate['suite']}",
            "size": 1,
            "uri": "http://archive/x.deb",
        }


class World:
    """An engine, an archive, and what happened."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.engine = FakeEngine()
        self.archive = FakeArchive()
        self.baked: list[str] = []
        self.events: list[Event] = []
        self.swept = 0
        self.before: Callable[[str], None] = lambda _: None
        """Called as an image is about to be baked."""
        world = self

        class FakeOven:
            def __init__(self, engine: object) -> None:
                assert engine is world.engine

            def bake(self, order: Order, say: Callable[[str], None]) -> None:
                for parent in order.parents.values():
                    assert any(entry["RepoTags"] == [parent] for entry in world.engine.entries)
                say("unpacking 1 packages")
                world.before(order.recipe.name)
                world.baked.append(order.recipe.name)
                world.engine.add(order.reference, order.labels)

            def bake_seed(self, order: Order, root: object, say: Callable[[str], None]) -> None:
                assert root
                self.bake(order, say)

            def cache(self) -> tuple[Cached, ...]:
                return ()

            def forget(self, records: Iterable[Cached]) -> None:
                assert not list(records)

            def sweep(self) -> None:
                world.swept += 1

            def resolve(self, seed: str, request: str, say: Callable[[str], None]) -> str:
                assert seed.startswith("farm/seed:")
                say("reading")
                return world.archive.answer(request)

        monkeypatch.setattr(making, "Oven", FakeOven)
        monkeypatch.setattr(images, "Oven", FakeOven)
        # A bound method would not be given the root.
        monkeypatch.setattr(Root, "simulate", lambda root: world.archive.root(root))  # noqa: PLW0108

    def ensure(
        self, *names: str, upgrade: bool = False, archive: Archive = DEFAULT
    ) -> dict[str, images.Image]:
        self.baked.clear()
        self.events.clear()
        return images.ensure(
            self.engine,  # type: ignore[arg-type]
            names,
            emit=self.events.append,
            archive=archive,
            upgrade=upgrade,
        )

    def supply(self, *names: str) -> AbstractContextManager[images.Supply]:
        return images.supply(self.engine, names, emit=self.events.append)  # type: ignore[arg-type]

    @property
    def warnings(self) -> list[str]:
        return [event.text for event in self.events if isinstance(event, Warned)]


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    return World(monkeypatch)


def all_names(world: World, *names: str) -> set[str]:
    book = Book.read(world.engine)  # type: ignore[arg-type]
    return {recipe.name for recipe in with_parents(book.recipes, names)}


def test_what_is_missing_is_made_with_its_parents_each_once(world: World) -> None:
    made = world.ensure(*NAMES)
    assert set(made) == set(NAMES)
    assert sorted(world.baked) == sorted(all_names(world, *NAMES))
    assert world.archive.asked == 1
    assert world.swept == 1


def test_what_is_there_is_found_without_asking_anything(world: World) -> None:
    made = world.ensure(*NAMES)
    world.events.clear()
    assert world.ensure(*NAMES) == made
    assert (world.baked, world.events, world.archive.asked) == ([], [], 1)
    assert world.engine.asked_version == 1


def test_an_image_can_be_used_while_the_next_is_made(world: World) -> None:
    used = threading.Event()

    def before(name: str) -> None:
        assert name != "check-aarch64" or used.wait(PATIENCE)

    world.before = before
    with world.supply("builder-x86_64", "check-aarch64") as supply:
        assert supply["builder-x86_64"].interpreters
        assert set(supply.there()) == {"builder-x86_64"}
        assert supply.inputs["check-aarch64"] == supply.labels["check-aarch64"]["farm.inputs"]
        used.set()
        assert supply["check-aarch64"].inputs == supply.inputs["check-aarch64"]
    assert world.swept == 1


def test_an_image_that_can_not_be_made_costs_only_what_is_made_from_it(world: World) -> None:
    def before(name: str) -> None:
        if name == "python-aarch64":
            raise SurroundingsError("no room")

    world.before = before
    with world.supply(*NAMES) as supply:
        assert supply["builder-x86_64"].name == "builder-x86_64"
        for name in ("builder-aarch64", "check-aarch64"):
            with pytest.raises(SurroundingsError, match="no room"):
                supply[name]
    told = [e for e in world.events if isinstance(e, ImageProgress) and e.done]
    assert [e.image for e in told if e.failed] == ["python-aarch64"]
    assert [e.image for e in told if e.text == "could not be made"] == ["python-aarch64"]


def test_a_bug_in_one_image_costs_what_is_made_from_it(
    world: World, faults: Callable[[], list[str]]
) -> None:
    def before(name: str) -> None:
        if name == "python-aarch64":
            raise TypeError("of a bug")

    world.before = before
    with world.supply(*NAMES) as supply:
        assert supply["builder-x86_64"].name == "builder-x86_64"
        for name in ("builder-aarch64", "check-aarch64"):
            with pytest.raises(
                FaultError, match="in the image python-aarch64: TypeError: of a bug"
            ):
                supply[name]
    assert len(faults()) == 1


def test_what_is_not_begun_when_the_run_ends_is_not_made(world: World) -> None:
    under_way, end = threading.Event(), threading.Event()

    def before(name: str) -> None:
        if name == "python-x86_64":
            under_way.set()
            assert end.wait(PATIENCE)

    world.before = before
    with world.supply("check-x86_64") as supply:
        assert under_way.wait(PATIENCE)
        threading.Timer(0.1, end.set).start()
    assert world.baked == ["seed", "python-x86_64"]
    with pytest.raises(SurroundingsError, match="check-x86_64 was not made: the run ended"):
        supply["check-x86_64"]
    assert world.swept == 1


def test_two_farms_at_once_make_each_image_once(world: World) -> None:
    made: list[str] = []
    meet = threading.Barrier(2, timeout=PATIENCE)

    def farm() -> dict[str, images.Image]:
        meet.wait()
        return images.ensure(world.engine, NAMES, emit=world.events.append)  # type: ignore[arg-type]

    world.before = made.append
    with ThreadPoolExecutor(2) as pool:
        first, second = (future.result() for future in [pool.submit(farm), pool.submit(farm)])
    assert first == second
    assert sorted(made) == sorted(all_names(world, *NAMES))


def test_only_what_is_missing_is_made_where_its_parents_are_there(world: World) -> None:
    world.ensure("builder-aarch64")
    world.ensure("check-aarch64")
    assert world.baked == ["check-aarch64"]


def test_an_upgrade_of_an_archive_that_stands_still_makes_nothing(world: World) -> None:
    made = world.ensure(*NAMES)
    assert world.ensure(*NAMES, upgrade=True) == made
    assert (world.baked, world.archive.asked) == ([], 2)


def test_an_upgrade_makes_what_changed_and_what_is_made_from_it(world: World) -> None:
    before = world.ensure(*NAMES)
    world.archive.versions["python-aarch64/cp39-cp39"] = "1.0-2"
    after = world.ensure(*NAMES, upgrade=True)
    assert sorted(world.baked) == ["builder-aarch64", "check-aarch64", "python-aarch64"]
    assert after["builder-x86_64"] == before["builder-x86_64"]
    assert after["check-aarch64"].versions["cp39-cp39"] == "1.0-2"
    assert world.ensure(*NAMES) == after


def test_labels_tell_the_inputs_the_versions_and_the_interpreters(world: World) -> None:
    image = world.ensure("builder-aarch64")["builder-aarch64"]
    assert image.reference == f"farm/builder-aarch64:{image.inputs[:16]}"
    assert image.labels["farm"] == "1"
    assert {"maturin", "ziglang", "cargo-zigbuild", "uv", "cp39-cp39"} <= set(image.versions)
    assert [i.version for i in image.interpreters] == ["3.9", "3.11", "3.13", "3.14", "3.15"]
    assert image.left_out == ""


def test_a_suite_that_is_gone_costs_its_interpreters_and_a_warning(world: World) -> None:
    world.archive.lost = {"forky"}
    made = world.ensure(*NAMES)
    for image in made.values():
        assert [i.version for i in image.interpreters] == ["3.9", "3.11", "3.13"]
    assert len(world.warnings) == 1
    assert "cp315-cp315 (forky" in world.warnings[0]
    assert all(name in world.warnings[0] for name in NAMES)


def test_a_root_falls_to_the_next_oldest_suite_with_a_warning(world: World) -> None:
    world.archive.lost = {"bullseye"}
    made = world.ensure("builder-x86_64")
    assert made["builder-x86_64"].interpreters[0].version == "3.11"
    assert any(
        w.startswith("builder-x86_64/root: bookworm, since bullseye: it is not there: The repo")
        for w in world.warnings
    )
    assert made["builder-x86_64"].instead[0].startswith("root: bookworm, since bullseye")


def test_a_suite_whose_updates_are_gone_is_used_without_them(world: World) -> None:
    world.archive.lost = {"bullseye-security"}
    made = world.ensure("check-aarch64")
    assert made["check-aarch64"].left_out == ""
    assert any(
        "bullseye without bullseye-updates, bullseye-security, since" in w for w in world.warnings
    )


def test_nothing_is_made_when_the_archive_has_none_of_what_is_needed(world: World) -> None:
    world.ensure("seed")
    world.archive.lost = {"bullseye", "bookworm", "trixie", "forky"}
    with pytest.raises(
        SurroundingsError, match=r"check-aarch64/root can't be had:\n  bullseye: it"
    ):
        world.ensure("check-aarch64")
    assert world.baked == []


def test_the_network_is_only_to_be_checked_where_it_is_at_fault(world: World) -> None:
    world.archive.lost = {"bullseye", "bookworm", "trixie", "forky"}
    with pytest.raises(SurroundingsError) as gone:
        world.ensure("seed")
    world.archive.says = "E: Failed to fetch http://archive/{}  Could not resolve 'archive'"
    with pytest.raises(SurroundingsError) as unplugged:
        world.ensure("seed")
    assert "network" not in gone.value.remedy
    assert "FARM_ARCHIVE_MIRROR" in gone.value.remedy
    assert unplugged.value.remedy.startswith("Check the network")


def test_the_seed_is_made_of_the_next_suite_with_a_warning(world: World) -> None:
    world.archive.lost = {"trixie"}
    made = world.ensure("seed")
    assert made["seed"].labels["farm.suite.seed"] == "forky"
    assert [w.partition(", since")[0] for w in world.warnings] == ["seed: forky"]


def test_a_toolchain_is_of_the_first_suite_in_which_all_architectures_agree(world: World) -> None:
    world.archive.apart = {"trixie-backports"}
    made = world.ensure("builder-x86_64", "builder-aarch64")
    for image in made.values():
        assert image.labels["farm.suite.toolchain"] == "forky"
        (told,) = image.instead
        assert told == (
            "toolchain: forky, since trixie-backports: its libstd-rust-dev is 1.90.0 for amd64 "
            "but 1.91.0 for arm64, and they only work together in one version"
        )
    assert len(world.warnings) == 1


def test_where_none_agree_the_other_standard_library_is_made_of_its_source(world: World) -> None:
    world.archive.apart = {"trixie-backports", "forky", "trixie"}
    made = world.ensure("builder-aarch64")
    (told,) = made["builder-aarch64"].instead
    assert told.startswith(
        "toolchain: trixie-backports with the standard library of aarch64 compiled from rust-src"
    )


def test_a_toolchain_that_is_asked_for_by_its_suite_is_of_that_or_none(world: World) -> None:
    world.ensure("builder-x86_64")
    forky = Archive(toolchain="forky")
    made = world.ensure("builder-x86_64", archive=forky)
    assert made["builder-x86_64"].labels["farm.suite.toolchain"] == "forky"
    assert sorted(world.baked) == ["builder-x86_64", "toolchain-x86_64"]
    assert world.ensure("builder-x86_64", archive=forky) == made
    assert world.baked == []
    world.archive.lost = {"trixie"}
    with pytest.raises(SurroundingsError, match=r"toolchain can't be had:\n  trixie: it is not"):
        world.ensure("builder-x86_64", archive=Archive(toolchain="trixie"))


def test_a_compiler_that_is_too_old_for_the_project_is_not_taken(world: World) -> None:
    world.ensure("builder-x86_64")
    with pytest.raises(SurroundingsError) as caught:
        world.ensure("builder-x86_64", archive=Archive(rust="1.88"))
    assert "forky: its rustc 1.0 is older than 1.88, which the project asks for" in str(
        caught.value
    )
    assert "rust-version" in caught.value.remedy


def test_nothing_is_made_where_something_is_not_what_debian_signed(world: World) -> None:
    world.ensure("seed")
    world.archive.lost = {"trixie-backports"}
    world.archive.says = "W: GPG error: http://archive {}: BADSIG 0123 Debian"
    with pytest.raises(SurroundingsError, match="trixie-backports: its signature is bad") as caught:
        world.ensure("builder-x86_64")
    assert caught.value.remedy.startswith("Do not use this mirror")
    assert world.baked == []


def test_an_upgrade_keeps_what_there_is_where_nothing_better_can_be_had(world: World) -> None:
    before = world.ensure(*NAMES)
    world.archive.apart, world.archive.lost = {"trixie-backports"}, {"bullseye"}
    after = world.ensure(*NAMES, upgrade=True)
    assert after == before
    assert world.baked == []
    assert any(
        w.startswith("toolchain-x86_64/toolchain: trixie-backports as before, since trixie-back")
        for w in world.warnings
    )
    assert any("bullseye as before, since bullseye: it is not there" in w for w in world.warnings)


def test_an_upgrade_takes_what_is_better_than_what_there_is(world: World) -> None:
    world.archive.apart = {"trixie-backports"}
    before = world.ensure("builder-x86_64")["builder-x86_64"]
    world.archive.apart = set()
    after = world.ensure("builder-x86_64", upgrade=True)["builder-x86_64"]
    assert before.labels["farm.suite.toolchain"] == "forky"
    assert after.labels["farm.suite.toolchain"] == "trixie-backports"
    assert after.instead == ()


def test_an_upgrade_that_can_not_be_baked_leaves_what_there_is(world: World) -> None:
    before = world.ensure(*NAMES)

    def fail(name: str) -> None:
        if name == "python-aarch64":
            raise SurroundingsError("a package is gone")

    world.before = fail
    world.archive.versions["python-aarch64/cp39-cp39"] = "1.0-2"
    assert world.ensure(*NAMES, upgrade=True) == before
    assert world.baked == []
    assert {w for w in world.warnings if "stays as it is" in w} == {
        "python-aarch64 stays as it is: a package is gone",
        "builder-aarch64 stays as it is: python-aarch64, which it is made from, stays as it is",
        "check-aarch64 stays as it is: python-aarch64, which it is made from, stays as it is",
    }


def test_an_upgrade_without_any_archive_changes_nothing(world: World) -> None:
    before = world.ensure(*NAMES)
    world.archive.lost = {"bullseye", "bookworm", "trixie", "forky"}
    assert world.ensure(*NAMES, upgrade=True) == before
    assert world.baked == []
    assert "seed stays as it is, since trixie: it is not there" in world.warnings[0]


def test_prune_removes_what_no_recipe_names_or_what_was_replaced(world: World) -> None:
    old = world.ensure("check-aarch64")["check-aarch64"]
    world.archive.versions["python-aarch64/cp39-cp39"] = "1.0-2"
    new = world.ensure("check-aarch64", upgrade=True)["check-aarch64"]
    stale = {**new.labels, "farm.recipe": "of yesterday"}
    world.engine.add("farm/check-aarch64:0000", stale)
    gone = images.prune(world.engine, emit=world.events.append)  # type: ignore[arg-type]
    assert {image.reference for image in gone} >= {old.reference, "farm/check-aarch64:0000"}
    assert images.find(world.engine, ["check-aarch64"]) == {"check-aarch64": new}  # type: ignore[arg-type]


def test_progress_names_the_image(world: World) -> None:
    world.ensure("check-aarch64")
    done = {e.image for e in world.events if isinstance(e, ImageProgress) and e.done}
    assert done == {"archive", *all_names(world, "check-aarch64")}


@pytest.mark.parametrize(
    ("version", "upstream"),
    [
        ("1.96.1+dfsg1-2~bpo13+1", "1.96.1"),
        ("1:11.1.3+ds-1~bpo13+1", "11.1.3"),
        ("2.31-13+deb11u14", "2.31"),
        ("3.9", "3.9"),
    ],
)
def test_a_tools_version_is_told_as_its_makers_write_it(version: str, upstream: str) -> None:
    package = Package(name="p", version=version, arch="amd64", sha256="", size=0, uri="")
    assert package.upstream == upstream
