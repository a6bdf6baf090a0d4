"""Which images there are, how they follow from each other, and what tells one from another."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from farm.bases import debian
from farm.bases.recipes import (
    BAKE_FILE,
    Recipe,
    inputs_hash,
    names_for,
    recipe_hashes,
    recipes,
    with_parents,
)
from farm.model.errors import UsageError
from farm.model.targets import Arch

OTHER = {Arch.X86_64: Arch.AARCH64, Arch.AARCH64: Arch.X86_64}
FOLDERS = ("common", "resolve", *{recipe.folder for recipe in recipes(Arch.X86_64).values()})
FILES: Mapping[str, Mapping[str, str]] = {
    BAKE_FILE: {"": "1"},
    **{folder: {"Dockerfile": "1"} for folder in FOLDERS},
}


def descendants(known: Mapping[str, Recipe], names: set[str]) -> set[str]:
    """Return `names` and all that is made from them."""
    return {
        recipe.name
        for recipe in known.values()
        if names & {parent.name for parent in with_parents(known, (recipe.name,))}
    }


def changed(before: Mapping[str, str], after: Mapping[str, str]) -> set[str]:
    return {name for name in before if before[name] != after[name]}


@pytest.mark.parametrize("engine_arch", Arch)
def test_jobs_need_a_builder_and_a_check_image_for_each_architecture(engine_arch: Arch) -> None:
    other = OTHER[engine_arch]
    assert names_for(engine_arch, [engine_arch, other]) == (
        f"builder-{engine_arch}",
        f"check-{engine_arch}",
        f"builder-{other}",
        f"check-{other}",
    )


@pytest.mark.parametrize("engine_arch", Arch)
def test_only_a_foreign_architecture_has_an_emulated_image(engine_arch: Arch) -> None:
    names = names_for(engine_arch, Arch, emulated=True)
    assert [n for n in names if n.startswith("emulated")] == [f"emulated-{OTHER[engine_arch]}"]
    assert set(names) <= set(recipes(engine_arch))


def test_the_images_of_one_engine_are_those_of_the_other_with_architectures_swapped() -> None:
    def swapped(name: str) -> str:
        kind, _, arch = name.partition("-")
        return f"{kind}-{OTHER[Arch(arch)]}" if arch else kind

    assert {swapped(name) for name in recipes(Arch.X86_64)} == set(recipes(Arch.AARCH64))


@pytest.mark.parametrize("engine_arch", Arch)
def test_a_builder_has_the_toolchain_of_the_engine_and_an_emulated_one_its_own(
    engine_arch: Arch,
) -> None:
    known, other = recipes(engine_arch), OTHER[engine_arch]
    for arch in Arch:
        assert dict(known[f"builder-{arch}"].parents)["TOOLCHAIN"] == f"toolchain-{engine_arch}"
        assert dict(known[f"builder-{arch}"].settings)["runs"] == engine_arch
        assert known[f"builder-{arch}"].platform is arch
    assert dict(known[f"emulated-{other}"].parents)["TOOLCHAIN"] == f"toolchain-{other}"
    assert dict(known[f"emulated-{other}"].settings)["runs"] == other


@pytest.mark.parametrize("engine_arch", Arch)
def test_a_check_image_has_no_toolchain_and_a_uv_that_the_engine_runs_natively(
    engine_arch: Arch,
) -> None:
    known = recipes(engine_arch)
    for arch in Arch:
        parents = {recipe.folder for recipe in with_parents(known, (f"check-{arch}",))}
        assert parents == {"seed", "python", "check"}
        assert known[f"check-{arch}"].pins == debian.pins(engine_arch, "uv")


def test_the_emulator_runs_on_the_engine_and_its_newest_version_comes_first() -> None:
    recipe = recipes(Arch.X86_64)["qemu-aarch64"]
    assert recipe.platform is Arch.X86_64
    candidates = recipe.needs[0].candidates
    assert {selection.arch for selection in candidates} == {Arch.X86_64}
    assert candidates[0].suite is debian.TRIXIE_BACKPORTS


def test_a_root_is_made_of_the_oldest_suite_that_can_be_had() -> None:
    for name in ("builder-aarch64", "check-x86_64"):
        candidates = recipes(Arch.X86_64)[name].needs[0].candidates
        assert tuple(selection.suite for selection in candidates) == debian.ROOT_SUITES


def test_parents_come_first_and_once() -> None:
    names = [r.name for r in with_parents(recipes(Arch.X86_64), ("builder-aarch64",))]
    assert names == [
        *("seed", "toolchain-x86_64", "python-x86_64", "python-aarch64", "builder-aarch64")
    ]


def test_an_unknown_image_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(UsageError, match="did you mean 'builder-aarch64'"):
        with_parents(recipes(Arch.X86_64), ("bulder-aarch64",))


@pytest.mark.parametrize("folder", FOLDERS)
def test_a_changed_file_changes_the_images_of_its_folder_and_what_is_made_from_them(
    folder: str,
) -> None:
    known = recipes(Arch.X86_64)
    before = recipe_hashes(known, FILES)
    after = recipe_hashes(known, {**FILES, folder: {"Dockerfile": "2"}})
    uses = {
        "common": set(known),
        "resolve": set(known) - {"seed"},
    }.get(folder, {name for name in known if known[name].folder == folder})
    assert changed(before, after) == descendants(known, uses)


def test_a_changed_pin_changes_the_images_that_hold_it(monkeypatch: pytest.MonkeyPatch) -> None:
    before = recipe_hashes(recipes(Arch.X86_64), FILES)
    others = tuple(pin for pin in debian.PINS if pin.project != "uv")
    monkeypatch.setattr(debian, "PINS", others)
    known = recipes(Arch.X86_64)
    holders = {"check-x86_64", "check-aarch64", "toolchain-x86_64", "toolchain-aarch64"}
    assert changed(before, recipe_hashes(known, FILES)) == descendants(known, holders)


def test_the_engines_architecture_is_part_of_what_an_image_is() -> None:
    ours = recipe_hashes(recipes(Arch.X86_64), FILES)
    theirs = recipe_hashes(recipes(Arch.AARCH64), FILES)
    assert not {ours[name] for name in ours} & {theirs[name] for name in theirs}


def test_inputs_are_the_recipe_the_parents_and_the_exact_packages() -> None:
    bash = ("bash", "5.2", "amd64", "ab")
    hashes = {
        inputs_hash("1", {"seed": "1"}, {"root": [bash]}),
        inputs_hash("2", {"seed": "1"}, {"root": [bash]}),
        inputs_hash("1", {"seed": "2"}, {"root": [bash]}),
        inputs_hash("1", {"seed": "1"}, {"root": [("bash", "5.3", "amd64", "cd")]}),
        inputs_hash("1", {"seed": "1"}, {"root": []}),
    }
    assert len(hashes) == 5
    assert inputs_hash("1", {"seed": "1"}, {"root": [bash]}) in hashes
