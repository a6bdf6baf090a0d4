"""What builds leave for the next ones: quick, and never the wrong code."""

from __future__ import annotations

import os
import re
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import docker
import pytest

from farm.engine import images
from farm.engine.build_cache import Held, drop_caches, held_caches
from farm.engine.leftovers import CACHE_LABEL

X86 = "cp313-manylinux_2_28_x86_64"
ARM = "cp313-manylinux_2_28_aarch64"
BOTH = ("--py", "3.13")
ONE = (*BOTH, "--arch", "native", "--no-smoke")

Farm = Callable[..., object]


@pytest.fixture
def place(warm: Callable[[str], Path]) -> Path:
    return warm("tiny")


@pytest.fixture
def new(project: Callable[[str], Path]) -> Path:
    """Return a project of which nothing was ever built."""
    return project("tiny")


def compiled(place: Path, job: str) -> list[str]:
    """Return the crates that cargo compiled for `job` in the last run."""
    log = (place / ".farm" / "runs" / "latest" / f"{job}.log").read_text()
    return re.findall(r"Compiling (\S+) v", log)


def answer(place: Path, value: int, *, old: bool = False) -> None:
    """Have the module answer `value`; with `old`, in a file from the year 2001."""
    source = place / "src" / "lib.rs"
    source.write_text(re.sub(r"FromLong\(\d+\)", f"FromLong({value})", source.read_text()))
    if old:
        os.utime(source, (1e9, 1e9))


def library(place: Path, job: str = X86) -> bytes:
    python, _, platform = job.partition("-")
    (wheel,) = (place / "dist").glob(f"*-{python}-{python}-{platform}.whl")
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith(".so"))
        return archive.read(name)


def held(client: docker.DockerClient, place: Path) -> list[Held]:
    return [each for each in held_caches(client) if each.title == str(place)]


def test_one_changed_line_compiles_that_crate_only_for_every_target(
    farm: Farm, place: Path
) -> None:
    farm("build", place, *BOTH, "--py", "3.14").succeeded()
    before = library(place)
    answer(place, 43)
    farm("build", place, *BOTH, "--py", "3.14").succeeded()
    for job in (X86, ARM, X86.replace("313", "314"), ARM.replace("313", "314")):
        assert compiled(place, job) == ["tiny"], job
    assert library(place) != before


@pytest.mark.slow
def test_what_all_targets_share_is_compiled_once_in_a_run(farm: Farm, new: Path) -> None:
    farm("build", new, *BOTH, "--py", "3.14").succeeded()
    assert "pyo3-build-config" in compiled(new, X86)
    assert "libc" in compiled(new, X86)
    assert "pyo3-build-config" not in compiled(new, ARM)
    assert "libc" in compiled(new, ARM)
    for job in (X86, ARM):
        assert compiled(new, job.replace("313", "314")) == ["pyo3-ffi", "tiny"]


SLOW = """
#[allow(long_running_const_eval)]
const SLOW: u64 = {
    let mut turns = 0;
    while turns < 4_000_000 {
        turns += 1;
    }
    turns
};
#[used]
static KEPT: u64 = SLOW;
"""


def test_other_jobs_begin_while_the_first_compiles_its_last_crate(farm: Farm, new: Path) -> None:
    source = new / "src" / "lib.rs"
    source.write_text(source.read_text() + SLOW)
    words = (*BOTH, "--py", "3.14", "--no-smoke")
    lines = farm("build", new, *words).succeeded().err.splitlines()
    x86, arm = (job.replace("313", "314") for job in (X86, ARM))
    assert lines.index(f"{ARM}: build") < lines.index(f"{X86}: audit")
    assert "libc" in compiled(new, ARM)
    assert "pyo3-build-config" not in compiled(new, ARM)
    for job in (x86, arm):
        assert compiled(new, job) == ["pyo3-ffi", "tiny"]


def test_what_nothing_holds_is_known_and_can_be_removed(
    farm: Farm, place: Path, client: docker.DockerClient
) -> None:
    """As `docker container prune` leaves it: the next build goes on with it all the same."""
    farm("build", place, *ONE).succeeded()
    (mine,) = held(client, place)
    for container in client.containers.list(all=True, filters={"label": f"farm.cache={mine.key}"}):
        container.remove()
    assert (mine.key, 0) in {(each.key, each.bytes) for each in held_caches(client)}
    answer(place, 43)
    farm("build", place, *ONE).succeeded()
    assert compiled(place, X86) == ["tiny"]
    assert [each.key for each in held(client, place)] == [mine.key]
    drop_caches(client, held(client, place))
    assert mine.key not in {each.key for each in held_caches(client)}


def test_crates_are_fetched_when_there_are_others_and_not_before(farm: Farm, new: Path) -> None:
    log = new / ".farm" / "runs" / "latest" / "fetch.log"
    farm("build", new, *ONE).succeeded()
    assert "cargo fetch" in log.read_text()
    answer(new, 43)
    farm("build", new, *ONE).succeeded()
    assert not log.exists()
    farm("build", new, *ONE, "--force").succeeded()
    assert not log.exists()
    with (new / "Cargo.toml").open("a") as file:
        file.write("# changed\n")
    farm("build", new, *ONE).succeeded()
    assert log.exists()


def test_older_files_put_back_are_compiled(farm: Farm, place: Path) -> None:
    """As `mv`, `cp -p` or an older sdist puts them: cargo alone would ship the newer code."""
    farm("build", place, *ONE).succeeded()
    first = library(place)
    answer(place, 43, old=True)
    farm("build", place, *ONE).succeeded()
    second = library(place)
    assert second != first
    answer(place, 42, old=True)
    farm("build", place, *ONE).succeeded()
    assert library(place) == first


def test_files_that_only_got_another_time_are_not_compiled(farm: Farm, place: Path) -> None:
    farm("build", place, *ONE).succeeded()
    for path in (place / "src").iterdir():
        os.utime(path)
    (place / "README.md").write_text("A file that no compiler reads.")
    farm("build", place, *ONE).succeeded()
    assert compiled(place, X86) == []


def test_a_file_that_vanished_is_missed(farm: Farm, place: Path) -> None:
    (place / "src" / "more.rs").write_text("")
    source = place / "src" / "lib.rs"
    source.write_text(source.read_text() + "mod more;\n")
    farm("build", place, *ONE).succeeded()
    (place / "src" / "more.rs").unlink()
    assert "E0583" in farm("build", place, *ONE).failed(1).err


def test_another_environment_in_the_settings_begins_anew(farm: Farm, place: Path) -> None:
    """A build script need not tell cargo what it reads."""
    farm("build", place, *ONE).succeeded()
    settings = place / "pyproject.toml"
    settings.write_text(settings.read_text() + '\n[tool.farm.environment]\nMINE = "1"\n')
    farm("build", place, *ONE).succeeded()
    assert "pyo3-build-config" in compiled(place, X86)


def test_force_begins_with_nothing(farm: Farm, place: Path) -> None:
    farm("build", place, *ONE).succeeded()
    farm("build", place, *ONE, "--force").succeeded()
    assert "pyo3-build-config" in compiled(place, X86)
    other = ("--py", "3.14", *ONE[2:])
    farm("build", place, *other, "--force").succeeded()
    assert "pyo3-build-config" in compiled(place, X86.replace("313", "314"))


LINKS = """
use std::{env, fs, process::Command};

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    let out = env::var("OUT_DIR").unwrap();
    fs::write(format!("{out}/other.c"), "int other(void) { return 42; }").unwrap();
    let compiler = env::var("CC_x86_64_unknown_linux_gnu").unwrap();
    let words = ["-shared", "-fPIC", "-Wl,-soname,libother.so.1", "-o", "libother.so", "other.c"];
    assert!(Command::new(compiler).args(words).current_dir(&out).status().unwrap().success());
    fs::copy(format!("{out}/libother.so"), format!("{out}/libother.so.1")).unwrap();
    println!("cargo:rustc-link-search=native={out}");
    println!("cargo:rustc-link-lib=dylib=other");
}
"""


def test_a_repaired_library_is_not_what_the_next_build_takes(farm: Farm, place: Path) -> None:
    """Maturin repairs the very file that cargo takes for its own."""
    (place / "build.rs").write_text(LINKS)
    source = place / "src" / "lib.rs"
    text = source.read_text().replace("FromLong(42)", "FromLong(other().into())")
    source.write_text(text + '\nextern "C" {\n    fn other() -> i32;\n}\n')
    words = (*BOTH, "--arch", "native")
    contents = []
    for number in range(3):
        (place / "NOTES").write_text(f"Another wheel's key, and the same code: {number}")
        (wheel,) = farm("build", place, *words).succeeded().out.split()
        with zipfile.ZipFile(wheel) as archive:
            names = sorted(name for name in archive.namelist() if ".so" in name)
            contents.append({name: archive.read(name) for name in names})
    assert any(".libs/" in name for name in contents[0]), list(contents[0])
    assert contents[0] == contents[1] == contents[2]


def test_projects_share_nothing(
    farm: Farm, new: Path, client: docker.DockerClient, tmp_path: Path
) -> None:
    other = Path(shutil.copytree(new, tmp_path / "other" / "tiny"))
    for each in (new, other):
        farm("build", each, *ONE).succeeded()
        assert "pyo3-build-config" in compiled(each, X86)
    keys = {each.key for where in (new, other) for each in held(client, where)}
    assert len(keys) == 2


def test_an_upgraded_dependency_is_compiled_once_for_all(farm: Farm, place: Path) -> None:
    words = ("--arch", "native", "--no-smoke", *BOTH, "--py", "3.14")
    farm("build", place, *words).succeeded()
    lock = place / "Cargo.lock"
    lock.write_text(lock.read_text() + "\n# as after an upgrade\n")
    farm("build", place, *words).succeeded()
    assert compiled(place, X86) == []
    assert compiled(place, X86.replace("313", "314")) == ["pyo3-ffi", "tiny"]


def test_clean_takes_away_what_builds_left(
    farm: Farm, place: Path, client: docker.DockerClient
) -> None:
    farm("build", place, *ONE).succeeded()
    (there,) = held(client, place)
    assert there.bytes > 1 << 20
    assert str(place) in farm("clean").succeeded().out
    wanted = {"label": [f"{CACHE_LABEL}={there.key}"]}
    assert client.api.volumes(filters=wanted)["Volumes"]
    drop_caches(client, [there])
    assert not client.api.volumes(filters=wanted)["Volumes"]
    assert held(client, place) == []
    farm("build", place, *ONE).succeeded()


def test_a_run_beside_another_of_the_project_begins_with_nothing_and_says_so(
    farm: Farm, place: Path, client: docker.DockerClient
) -> None:
    farm("build", place, *ONE).succeeded()
    (there,) = held(client, place)
    (image,) = images.find(client, ("builder-x86_64",)).values()
    taken = client.containers.create(image.reference, name=f"farm-cache-{there.key}")
    try:
        ended = farm("build", place, *ONE, "--force").succeeded()
    finally:
        taken.remove()
    assert "another run uses what earlier builds of this project left" in ended.err
