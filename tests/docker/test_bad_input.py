"""What is wrong with a project or its surroundings gets a clear error and the right status."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from conftest import Farm

pytestmark = pytest.mark.docker

Project = Callable[[str], Path]
ONE = ("--arch", "native", "--py", "3.13")


def replaced(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")


def test_a_crate_that_does_not_compile_shows_the_compilers_message_and_the_log(
    farm: Farm, warm: Project
) -> None:
    place = warm("tiny")
    replaced(place / "src" / "lib.rs", "PyLong_FromLong(42)", "PyLong_FromLong(fourty_two)")
    ended = farm("build", place, *ONE).failed(1)
    assert "error[E0425]: cannot find value `fourty_two` in this scope" in ended.err
    assert "src/lib.rs:" in ended.err
    (log,) = (place / ".farm" / "runs").glob("2*/cp313-manylinux_2_28_x86_64.log")
    assert str(log) in ended.err
    assert "fourty_two" in log.read_text(encoding="utf-8")
    assert not list((place / "dist").iterdir())


def test_a_failed_rebuild_leaves_the_older_good_wheel(farm: Farm, warm: Project) -> None:
    place = warm("tiny")
    wheel = Path(farm("build", place, *ONE).succeeded().out.strip())
    before = wheel.read_bytes()
    replaced(place / "src" / "lib.rs", "PyLong_FromLong(42)", "PyLong_FromLong(fourty_two)")
    farm("build", place, *ONE).failed(1)
    assert wheel.read_bytes() == before


def test_a_lock_is_mended_where_it_lacks_only_what_the_workspace_is(
    farm: Farm, project: Project
) -> None:
    """Another version, and one more dependency, which the lock has: what it pins is built."""
    place = project("tiny")
    replaced(place / "Cargo.toml", 'version = "0.1.0"', 'version = "0.2.0"')
    replaced(place / "Cargo.toml", 'pyo3-ffi = "0.30"', 'pyo3-ffi = "0.30"\nlibc = "0.2"')
    before = (place / "Cargo.lock").read_bytes()
    cache = {"XDG_CACHE_HOME": str(place.parent / "cache")}
    ended = farm("build", place, *ONE, "--json", environment=cache).succeeded()
    assert "Cargo.lock does not fit Cargo.toml, and is mended in the copy" in ended.err
    assert "tiny 0.1.0 is 0.2.0, tiny needs libc" in ended.err
    assert (place / "Cargo.lock").read_bytes() == before
    (lock,) = {job["lock"] for job in ended.json["jobs"]}
    assert lock
    (wheel,) = (place / "dist").glob("*.whl")
    farm("verify", wheel, "--project", place).succeeded()
    again = farm("build", place, *ONE, "--json", environment=cache).succeeded().json
    assert [(job["status"], job["lock"]) for job in again["jobs"]] == [("cached", lock)]


def test_a_lock_that_pins_too_little_is_resolved_only_by_who_insists(
    farm: Farm, project: Project
) -> None:
    place = project("tiny")
    replaced(place / "Cargo.toml", 'pyo3-ffi = "0.30"', 'pyo3-ffi = "0.30"\nitoa = "1"')
    ended = farm("build", place, *ONE).failed(2)
    assert "tiny depends on itoa, not in it" in ended.err
    assert "locked = false" in ended.err
    replaced(place / "Cargo.toml", 'itoa = "1"', "")
    replaced(place / "Cargo.lock", 'version = "0.2.191"', 'version = "0.1.0"')
    ended = farm("build", place, *ONE).failed(2)
    assert "cargo would have to change it, and to take libc 0.2." in ended.err
    with (place / "pyproject.toml").open("a") as file:
        file.write("[tool.farm]\nlocked = false\n")
    ended = farm("build", place, *ONE, "--json").succeeded()
    assert "cargo chose libc 0.2." in ended.err
    assert all(job["lock"] for job in ended.json["jobs"])
    assert any("locked = false" in note for note in ended.json["notes"])


def test_a_crate_that_the_registry_lacks_is_named(farm: Farm, project: Project) -> None:
    place = project("tiny")
    replaced(place / "Cargo.lock", 'version = "0.2.191"', 'version = "0.2.99999"')
    ended = farm("build", place, *ONE).failed(3)
    assert "the registry has no libc 0.2.99999, which Cargo.lock names" in ended.err
    assert "cargo update libc" in ended.err


def test_a_missing_lock_is_told_before_anything_starts(farm: Farm, project: Project) -> None:
    place = project("tiny")
    (place / "Cargo.lock").unlink()
    ended = farm("build", place, *ONE).failed(2)
    assert "Cargo.lock" in ended.err
    assert "cargo generate-lockfile" in ended.err
    assert not (place / ".farm").exists()


def use_a_newer_function(place: Path) -> None:
    """Make the extension call what glibc has since 2.36."""
    replaced(
        place / "src" / "lib.rs",
        "    PyLong_FromLong(42)",
        '    extern "C" { fn arc4random() -> u32; }\n    PyLong_FromLong(arc4random() as _)',
    )


def test_a_function_that_the_policys_glibc_lacks_is_named(farm: Farm, warm: Project) -> None:
    """The linker lets it pass, without a version; the audit must not."""
    place = warm("tiny")
    use_a_newer_function(place)
    ended = farm("build", place, *ONE).failed(1)
    assert "arc4random" in ended.err
    assert "manylinux_2_28" in ended.err
    assert not list((place / "dist").iterdir())


@pytest.mark.slow
def test_symbols_newer_than_the_policy_are_named(farm: Farm, warm: Project) -> None:
    """The project brings a linker with a newer glibc, for the architecture of no build script."""
    place = warm("tiny")
    use_a_newer_function(place)
    linker = place / "linker"
    linker.write_text(
        "#!/bin/sh\n"
        "export CARGO_ZIGBUILD_ZIG_COMMAND=/opt/toolchain/zig/zig\n"
        'exec cargo-zigbuild zig cc -- -target aarch64-linux-gnu.2.36 "$@"\n'
    )
    linker.chmod(0o755)
    with (place / "pyproject.toml").open("a") as file:
        file.write(
            "\n[tool.farm.environment]\n"
            'CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER = "/src/linker"\n'
        )
    ended = farm("build", place, "--arch", "aarch64", "--py", "3.13").failed(1)
    assert "GLIBC_2.36" in ended.err
    assert "manylinux_2_28" in ended.err


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('requires = ["maturin>=1,<2"]', 'requires = ["maturin<1"]', "maturin<1"),
        ('build-backend = "maturin"', 'build-backend = "hatchling.build"', "hatchling"),
        ('requires-python = ">=3.9"', 'requires-python = ">=3.99"', "3.99"),
        ("[project]", "[project", "pyproject.toml"),
        ("[project]", "[tool.farm]\nfeatuers = []\n[project]", "did you mean 'features'?"),
        ("[project]", "[tool.farm]\narch = ['arm46']\n[project]", "did you mean 'arm64'?"),
    ],
)
def test_what_is_wrong_with_pyproject_is_named(
    farm: Farm, project: Project, old: str, new: str, words: str
) -> None:
    place = project("tiny")
    replaced(place / "pyproject.toml", old, new)
    assert words in farm("build", place).failed(2).err


def test_a_python_that_no_image_has_names_those_there_are(farm: Farm, project: Project) -> None:
    ended = farm("build", project("tiny"), "--py", "3.10").failed(2)
    assert "3.10" in ended.err
    assert "3.9, 3.11, 3.13, 3.14, 3.15" in ended.err


def test_an_unknown_architecture_offers_the_nearest(farm: Farm, project: Project) -> None:
    assert "'aarch64'" in farm("build", project("tiny"), "--arch", "aarch46").failed(2).err


def test_a_directory_without_a_project(farm: Farm, tmp_path: Path) -> None:
    assert "no pyproject.toml" in farm("build", cwd=tmp_path).failed(2).err


def test_an_engine_that_does_not_run(farm: Farm, project: Project, tmp_path: Path) -> None:
    dead = {"DOCKER_HOST": f"unix://{tmp_path}/no.sock"}
    ended = farm("build", project("tiny"), environment=dead).failed(3)
    assert "DOCKER_HOST" in ended.err


@pytest.fixture
def dist(warm: Project) -> Iterator[Callable[[str], Path]]:
    """Return a function that mounts a small tmpfs with options over a project's `dist/`."""
    mounted: list[Path] = []

    def mount(options: str) -> Path:
        place = warm("tiny")
        out = place / "dist"
        out.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", options, "none", str(out)], check=True)
        mounted.append(out)
        return place

    yield mount
    for out in mounted:
        subprocess.run(["umount", str(out)], check=True)


def test_a_dist_that_can_not_be_written_is_told_before_anything_starts(
    farm: Farm, dist: Callable[[str], Path]
) -> None:
    place = dist("ro")
    assert "can't be written" in farm("build", place, *ONE).failed(3).err
    assert not (place / ".farm").exists()


def test_a_dist_on_a_full_disk_loses_no_wheel(farm: Farm, dist: Callable[[str], Path]) -> None:
    place = dist("size=16k")
    ended = farm("build", place, *ONE).failed(3)
    assert "No space left" in ended.err
    assert list((place / "dist").iterdir()) == []
    (kept,) = (place / ".farm").rglob("*.whl")
    assert str(kept) in ended.err


def test_a_dependency_without_a_wheel_fails_the_check_by_name_unless_excused(
    farm: Farm, warm: Project
) -> None:
    """No distribution of this name and version has a wheel for any platform."""
    place = warm("tiny")
    with (place / "pyproject.toml").open("a") as file:
        file.write('dependencies = ["pycairo==1.27.0"]\n')
    ended = farm("build", place, *ONE).failed(1)
    assert "pycairo" in ended.err
    with (place / "pyproject.toml").open("a") as file:
        file.write('\n[tool.farm.smoke]\nexcuse = ["3.13"]\n')
    report = farm("build", place, *ONE, "--json").succeeded().json
    (check,) = report["jobs"][0]["checks"]
    assert check["excused"]
    assert not check["passed"]
