"""Debian's archive in bad weather: survived by the next way, or told in one true sentence.

The archive is a real one, signed and small, that compose.yaml brings up; see archives.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import docker
import pytest
from archives import Archives, Deb, Suite, release, serve
from conftest import Farm

from farm.bases import debian
from farm.bases.archive import Archive
from farm.bases.debian import Selection
from farm.bases.recipes import Need, Recipe, recipes
from farm.engine import images, making
from farm.engine.bake import Order, Oven, Root
from farm.engine.lost import UnavailableError, Why
from farm.engine.resolve import Question, Resolved, recall
from farm.model.targets import Arch

pytestmark = pytest.mark.docker

Look = Callable[..., Resolved]
SHELL = Deb(name="busybox-static", files={"usr/bin/busybox": "/usr/bin/busybox"})
PLACE = ("weather", "shell")
LISTS = r"trixie/main/binary-amd64/"
FILES = r"pool/.*\.deb$"


@pytest.fixture(scope="module")
def archives(
    client: docker.DockerClient, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Archives]:
    with serve(client, tmp_path_factory.mktemp("archive")) as served:
        yield served


@pytest.fixture(scope="module")
def seed(client: docker.DockerClient) -> str:
    return images.ensure(client, ("seed",), emit=lambda _: None)["seed"].reference


@pytest.fixture
def look(client: docker.DockerClient, seed: str) -> Look:
    """Give a function that asks an archive what an image of a shell is made of.

    It may be of trixie or, behind that, of bookworm.
    """

    def ask(archive: Archive, *asked: Recipe) -> Resolved:
        question = Question(recipes=asked or (shell_recipe(),), archive=archive)
        said = Oven(client).resolve(seed, question.spoken(), lambda _: None)
        return question.answered(said)

    return ask


def shell_recipe() -> Recipe:
    selections = tuple(
        Selection(suite=suite, arch=Arch.X86_64, packages=("busybox-static",))
        for suite in (debian.TRIXIE, debian.BOOKWORM)
    )
    return Recipe(
        name="weather",
        folder="probe",
        platform=Arch.X86_64,
        parents=(("SEED", "seed"),),
        needs=(Need(slot="shell", candidates=selections),),
        settings=(("bin/busybox", "shell:usr/bin/busybox"),),
    )


def toolchain_recipe() -> Recipe:
    return recipes(Arch.X86_64)["toolchain-x86_64"]


def rust(amd64: str, arm64: str) -> tuple[Deb, ...]:
    """Return a compiler of version `amd64`, whose library for arm64 is of version `arm64`."""
    library = Deb(name="libstd-rust-dev", fields={"Multi-Arch": "same"})
    return (
        *(Deb(name=name, version=amd64) for name in ("rustc", "cargo")),
        replace(library, version=amd64),
        replace(library, version=arm64, arch="arm64"),
        Deb(name="rust-src", version=amd64, arch="all"),
        Deb(name="busybox-static"),
        Deb(name="pkgconf"),
    )


def both(*trixie: Suite) -> tuple[Suite, ...]:
    """Return `trixie`, and a sound bookworm behind it."""
    return (*trixie, *release("bookworm", SHELL))


GOOD = release("trixie", SHELL)

SURVIVED_BY_THE_NEXT_WAY = {
    "a suite is gone": (both(), (), Why.GONE),
    "a package is gone": (both(*release("trixie", replace(SHELL, gone=True))), (), Why.GONE),
    "lists are gone": (
        both(*GOOD),
        ({"match": LISTS, "fault": "status", "status": 404},),
        Why.GONE,
    ),
    "a Release file has expired": (
        both(*(replace(suite, made_days_ago=9, valid_days=7) for suite in GOOD)),
        (),
        Why.EXPIRED,
    ),
    "a Release file is of the future": (
        both(*(replace(suite, made_days_ago=-3) for suite in GOOD)),
        (),
        Why.CLOCK,
    ),
    "lists are not what was signed": (
        both(*GOOD),
        (
            {
                "match": LISTS + "Packages",
                "fault": "instead",
                "of": "dists/bookworm/main/binary-all/Packages",
            },
        ),
        Why.BROKEN,
    ),
    "lists end in the middle": (
        both(*GOOD),
        ({"match": LISTS, "fault": "truncate"},),
        Why.NETWORK,
    ),
    "lists stop in the middle": (
        both(*GOOD),
        ({"match": LISTS, "fault": "stall"},),
        Why.NETWORK,
    ),
    "the server asks to come again": (
        both(*GOOD),
        ({"match": "dists/trixie", "fault": "status", "status": 429, "retry_after": 1},),
        Why.BUSY,
    ),
    "the server is out of service": (
        both(*GOOD),
        ({"match": "dists/trixie", "fault": "status", "status": 503},),
        Why.BUSY,
    ),
    "connections are reset": (
        both(*GOOD),
        ({"match": "dists/trixie", "fault": "reset"},),
        Why.NETWORK,
    ),
}


SLOW = {
    "connections are reset",
    "lists are not what was signed",
    "lists end in the middle",
    "lists stop in the middle",
    "the server is out of service",
}
"""What apt itself tries again and again, before it gives up."""


@pytest.mark.parametrize(
    "weather",
    [
        pytest.param(name, marks=pytest.mark.slow if name in SLOW else ())
        for name in SURVIVED_BY_THE_NEXT_WAY
    ],
)
def test_what_one_suite_lacks_is_had_of_the_next(
    weather: str, archives: Archives, look: Look
) -> None:
    suites, faults, why = SURVIVED_BY_THE_NEXT_WAY[weather]
    found = look(archives.make("next", *suites, weather=faults))
    assert found.had[PLACE].suite == "bookworm"
    assert {each.why for each in found.lost[PLACE]} == {why}
    assert found.instead(*PLACE).startswith("bookworm, since trixie: ")


def test_a_compiler_is_of_the_first_suite_where_all_architectures_have_it(
    archives: Archives, look: Look
) -> None:
    suites = (
        *release("trixie", *rust("1.85.1-1", "1.85.1-1")),
        Suite(name="trixie-backports", debs=rust("1.97.1-1~bpo13+1", "1.96.1-1~bpo13+1")),
        *release("forky", *rust("1.97.1-1", "1.97.1-1")),
    )
    found = look(archives.make("behind", *suites), toolchain_recipe())
    assert found.instead("toolchain-x86_64", "toolchain") == (
        "forky, since trixie-backports: its libstd-rust-dev is 1.97.1 for amd64 but 1.96.1 for "
        "arm64, and they only work together in one version"
    )


def test_where_all_lag_the_engines_own_compiler_comes_with_the_source_of_the_library(
    archives: Archives, look: Look
) -> None:
    behind = rust("1.97.1-1", "1.96.1-1")
    suites = (
        *release("trixie", *behind),
        Suite(name="trixie-backports", debs=behind),
        *release("forky", *behind),
    )
    found = look(archives.make("apart", *suites), toolchain_recipe())
    had = found.had["toolchain-x86_64", "toolchain"]
    assert had.way == (
        "trixie-backports with the standard library of aarch64 compiled from rust-src"
    )
    assert {(p.name, p.arch) for p in had.packages} >= {
        ("rustc", "amd64"),
        ("libstd-rust-dev", "amd64"),
        ("rust-src", "all"),
    }
    assert not any(p.arch == "arm64" for p in had.packages)


def test_a_compiler_that_is_too_old_for_the_project_is_passed_over(
    archives: Archives, look: Look
) -> None:
    suites = (
        *release("trixie", *rust("1.85.1-1", "1.85.1-1")),
        *release("forky", *rust("1.97.1-1", "1.96.1-1")),
    )
    archive = archives.make("old", *suites)
    found = look(archive, toolchain_recipe())
    assert found.had["toolchain-x86_64", "toolchain"].way == "trixie"
    found = look(replace(archive, rust="1.90"), toolchain_recipe())
    assert found.had["toolchain-x86_64", "toolchain"].way.startswith("forky with the standard")
    texts = [each.text for each in found.lost["toolchain-x86_64", "toolchain"]]
    assert "trixie: its rustc 1.85.1 is older than 1.90, which the project asks for" in texts


def test_what_was_signed_and_then_changed_is_never_taken(archives: Archives, look: Look) -> None:
    forged = tuple(replace(suite, damage="signature") for suite in GOOD)
    archive = archives.make("forged", *both(*forged))
    assert {each.why for each in look(archive).lost[PLACE]} == {Why.FORGED}
    with pytest.raises(UnavailableError, match="trixie: its signature is bad") as caught:
        root(archive).simulate()
    assert caught.value.remedy.startswith("Do not use this mirror")


def test_what_is_signed_by_nobody_known_is_not_taken(archives: Archives, look: Look) -> None:
    archive = replace(archives.make("unknown", *both(*GOOD)), keyring=b"")
    found = look(archive)
    assert not found.had
    assert {each.why for each in found.lost[PLACE]} == {Why.UNSIGNED}
    with pytest.raises(UnavailableError, match="trixie: its signature can't be checked"):
        root(archive).simulate()


@pytest.mark.slow
def test_a_server_that_is_not_there_is_the_networks_fault(archives: Archives, look: Look) -> None:
    archive = replace(archives.make("gone"), mirror="http://127.0.0.1:9/debian", security="")
    found = look(replace(archive, security=archive.mirror))
    assert {each.why for each in found.lost[PLACE]} == {Why.NETWORK}
    with pytest.raises(UnavailableError) as caught:
        root(archive).simulate()
    assert caught.value.remedy.startswith("Check the network")


def test_a_suite_whose_support_has_ended_is_had_of_the_archive_of_old_releases(
    archives: Archives, look: Look
) -> None:
    oldest = tuple(
        Selection(suite=suite, arch=Arch.X86_64, packages=("busybox-static",))
        for suite in (debian.BULLSEYE, debian.BOOKWORM)
    )
    recipe = replace(shell_recipe(), needs=(Need(slot="shell", candidates=oldest),))
    (bullseye, *_) = release("bullseye", SHELL)
    old = archives.make("old-releases", replace(bullseye, made_days_ago=900, valid_days=7))
    archive = archives.make("moved", *both())
    assert look(archive, recipe).had[PLACE].way == "bookworm"
    found = look(replace(archive, old=old.mirror), recipe)
    assert found.had[PLACE].way == "bullseye of the archive of old releases"


def root(archive: Archive) -> Root:
    """Return the seed's root of a shell, which the host's mmdebstrap makes."""
    selection = Selection(suite=debian.TRIXIE, arch=Arch.X86_64, packages=("busybox-static",))
    return Root(selection=selection, archive=archive)


def test_the_seeds_root_is_made_of_a_mirror(archives: Archives, tmp_path: Path) -> None:
    made = root(archives.make("mirror", *both(*GOOD)))
    assert made.simulate() == (("busybox-static", "1.0-1", "amd64"),)
    made.make(tmp_path / "root.tar")
    assert (tmp_path / "root.tar").stat().st_size > 0


def test_the_seeds_root_is_told_of_a_suite_that_is_gone(archives: Archives) -> None:
    with pytest.raises(UnavailableError, match="trixie: it is not there: ") as caught:
        root(archives.make("nothing", *both())).simulate()
    assert "network" not in caught.value.remedy


BROKEN_FILES = {
    "of other bytes": ({}, {"damaged": True}, Why.BROKEN),
    "not there": ({"fault": "status", "status": 404}, {}, Why.GONE),
    "out of service": ({"fault": "status", "status": 503}, {}, Why.BUSY),
    "reset": ({"fault": "reset"}, {}, Why.NETWORK),
    "that end in the middle": ({"fault": "truncate"}, {}, Why.NETWORK),
}


@pytest.mark.parametrize(
    "weather",
    [
        pytest.param(
            name, marks=() if name in {"of other bytes", "not there"} else pytest.mark.slow
        )
        for name in BROKEN_FILES
    ],
)
def test_files_that_go_bad_after_the_look_leave_no_image(
    weather: str, archives: Archives, look: Look, client: docker.DockerClient, seed: str
) -> None:
    fault, damage, why = BROKEN_FILES[weather]
    suites = both(*release("trixie", replace(SHELL, **damage)))  # type: ignore[arg-type]
    resolved = look(archives.make("files", *suites))
    archives.make("files", *suites, weather=({"match": FILES, **fault},) if fault else ())
    order = Order(
        recipe=shell_recipe(),
        reference="farm-test/weather:latest",
        labels={"farm.test": "weather"},
        parents={"SEED": seed},
        inputs=making._spoken(shell_recipe(), resolved.of("weather")),
    )
    with pytest.raises(UnavailableError) as caught:
        Oven(client).bake(order, lambda _: None)
    assert caught.value.lost.why is why
    assert caught.value.message.startswith(
        f"weather could not be made: a package of Debian's: {why}"
    )
    assert "\n" not in caught.value.message
    assert not client.images.list(order.reference)


PASSING = {
    "come again": {"fault": "status", "status": 429, "retry_after": 1},
    "out of service": {"fault": "status", "status": 503},
    "reset": {"fault": "reset"},
    "end in the middle": {"fault": "truncate"},
    "stop in the middle": {"fault": "stall"},
    "a mirror that changes": {"fault": "instead", "of": "dists/bookworm/main/binary-all/Packages"},
}


@pytest.mark.parametrize(
    "weather",
    [
        pytest.param(
            name, marks=() if name in {"come again", "a mirror that changes"} else pytest.mark.slow
        )
        for name in PASSING
    ],
)
def test_what_passes_is_waited_for(weather: str, archives: Archives, look: Look) -> None:
    fault = {"match": LISTS + "Packages$", "times": 1, **PASSING[weather]}
    found = look(archives.make("passing", *both(*GOOD), weather=(fault,)))
    assert found.had[PLACE].way == "trixie"
    assert not found.lost


@pytest.mark.slow
def test_an_upgrade_from_a_mirror_that_is_gone_keeps_what_there_is(
    farm: Farm, archives: Archives, client: docker.DockerClient, seed: str
) -> None:
    assert seed
    before = {image.id for image in images.existing(client)}
    gone = {"FARM_ARCHIVE_MIRROR": f"{archives.address}/nowhere"}
    ended = farm("images", "build", "--arch", "native", "--upgrade", environment=gone).succeeded()
    assert "seed stays as it is, since trixie: it is not there: " in ended.err
    assert "toolchain-x86_64/toolchain: " in ended.err
    assert " as before, since " in ended.err
    assert {image.id for image in images.existing(client)} == before


ONLY_FROM_SOURCE = """
from farm.bases import debian
debian.TOOLCHAIN_SUITES = ()
debian.RUST_SOURCE_SUITES = (debian.FORKY,)
from farm.__main__ import run
run()
"""
"""The command as on a day when no suite's architectures agree."""


@pytest.mark.slow
@pytest.mark.emulated
def test_a_standard_library_of_its_source_makes_wheels_of_both_architectures(
    farm: Farm, project: Callable[[str], Path], client: docker.DockerClient
) -> None:
    """With link-time optimisation, which needs what cargo leaves out of libraries by default."""
    place = project("tiny")
    with (place / "Cargo.toml").open("a") as file:
        file.write('\n[profile.release]\nlto = "fat"\n')
    before = {image.id for image in images.existing(client)}
    try:
        ended = farm("build", place, "--py", "3.13", "--json", program=ONLY_FROM_SOURCE).succeeded()
        made = (image for image in images.existing(client) if image.id not in before)
        (toolchain,) = (image for image in made if image.name == "toolchain-x86_64")
        packages = recall(toolchain.labels["farm.resolved"])["toolchain"].packages
        assert "rust-src" in {package.name for package in packages}
        assert "arm64" not in {package.arch for package in packages}
        assert [job["status"] for job in ended.json["jobs"]] == ["built", "built"]
    finally:
        for image in images.existing(client):
            if image.id not in before:
                client.images.remove(image.id, force=True)
