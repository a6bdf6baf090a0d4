"""The images themselves, on the real engine. What is there is used; nothing is made twice."""

from __future__ import annotations

import io
import tarfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import docker
import pytest
from conftest import Farm, wait_for
from docker.models.containers import Container

from farm.bases import debian
from farm.bases.archive import DEFAULT
from farm.bases.debian import Selection, Suite
from farm.bases.recipes import Need, Recipe
from farm.engine import images
from farm.engine.bake import Oven
from farm.engine.lost import Why
from farm.engine.resolve import Question
from farm.model.events import Event
from farm.model.targets import Arch

pytestmark = pytest.mark.docker

IMPORTS = "import bz2, ctypes, curses, hashlib, lzma, readline, sqlite3, ssl, sys, uuid, zoneinfo"
X86, ARM = (f"cp313-manylinux_2_28_{arch}" for arch in (Arch.X86_64, Arch.AARCH64))
ELF_MACHINES = {Arch.X86_64: 62, Arch.AARCH64: 183}


@pytest.fixture(scope="module")
def engine() -> Iterator[docker.DockerClient]:
    client = docker.from_env()
    yield client
    client.close()


@pytest.fixture(scope="module")
def native(engine: docker.DockerClient) -> Arch:
    return Arch.parse(engine.version()["Arch"])


@pytest.fixture(scope="module")
def stock(engine: docker.DockerClient, native: Arch) -> dict[str, images.Image]:
    return images.ensure(engine, images.names_for(native, Arch), emit=lambda _: None)


def run(
    engine: docker.DockerClient, image: images.Image, script: str, *, user: str | None = None
) -> str:
    """Run a script as the farm runs its containers: no network, no capability, read-only root."""
    output: bytes = engine.containers.run(
        image.id,
        ["bash", "-euc", script],
        network_mode="none",
        read_only=True,
        cap_drop=["ALL"],
        tmpfs={"/tmp": "exec,mode=1777"},  # noqa: S108
        user=user,
        labels={"farm": "1"},
        remove=True,
    )
    return output.decode()


_MEMBERS: dict[str, dict[str, tarfile.TarInfo]] = {}


def members(engine: docker.DockerClient, image: images.Image) -> dict[str, tarfile.TarInfo]:
    """Return every file of an image, of whatever architecture; nothing in it runs."""
    if image.id not in _MEMBERS:
        _MEMBERS[image.id] = _exported(engine, image)
    return _MEMBERS[image.id]


def _exported(engine: docker.DockerClient, image: images.Image) -> dict[str, tarfile.TarInfo]:
    platform = engine.api.inspect_image(image.id)["Architecture"]
    container: Container = engine.containers.create(
        image.id, "true", platform=f"linux/{platform}", labels={"farm": "1"}
    )
    try:
        stream = _Stream(container.export(chunk_size=1 << 20))
        with tarfile.open(fileobj=stream, mode="r|") as archive:
            return {member.name: member for member in archive}
    finally:
        container.remove()


class _Stream(io.RawIOBase):
    """A file that reads chunks as they come."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks, self._rest = chunks, b""

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        while 0 <= len(self._rest) < size:
            chunk = next(self._chunks, b"")
            if not chunk:
                break
            self._rest += chunk
        taken, self._rest = self._rest[:size], self._rest[size:]
        return taken


def test_every_image_tells_what_it_is_made_from(stock: dict[str, images.Image]) -> None:
    for name, image in stock.items():
        assert image.reference == f"farm/{name}:{image.inputs[:16]}"
        assert image.labels["farm"] == "1"
        assert set(image.interpreters) <= set(debian.INTERPRETERS)
        assert {i.prefix.rpartition("/")[2] for i in image.interpreters} <= set(image.versions)
        assert image.versions["glibc"] == "2.31"
    for name in (name for name in stock if name.startswith("builder")):
        assert stock[name].versions["maturin"] == debian.MATURIN
        assert {"rustc", "cargo", "ziglang", "cargo-zigbuild", "uv"} <= set(stock[name].versions)


def test_an_image_is_of_the_architecture_that_it_is_for(
    engine: docker.DockerClient, stock: dict[str, images.Image]
) -> None:
    for name, image in stock.items():
        arch = Arch(name.partition("-")[2])
        assert engine.api.inspect_image(image.id)["Architecture"] == arch.debian


def test_what_is_there_is_found_at_once(
    engine: docker.DockerClient, stock: dict[str, images.Image]
) -> None:
    events: list[Event] = []
    begun = time.monotonic()
    assert images.ensure(engine, stock, emit=events.append) == stock
    assert time.monotonic() - begun < 0.2
    assert [e for e in events if "made without" not in getattr(e, "text", "")] == []


@pytest.mark.parametrize("arch", Arch)
def test_a_check_image_is_clean(
    engine: docker.DockerClient, stock: dict[str, images.Image], arch: Arch
) -> None:
    names = members(engine, stock[f"check-{arch}"])
    assert not [n for n in names if n.endswith((".h", ".a", ".deb"))]
    assert not [n for n in names if n.startswith(("opt/toolchain", "opt/zig-cache"))]
    programs = {Path(name).name for name in names if Path(name).parent.name in {"bin", "sbin"}}
    assert not {"rustc", "cargo", "maturin", "cc", "gcc", "zig", "pip"} & programs
    assert "opt/uv/bin/uv" in names


@pytest.mark.parametrize("arch", Arch)
def test_a_builder_has_headers_and_what_the_engines_programs_need_to_run(
    engine: docker.DockerClient, stock: dict[str, images.Image], native: Arch, arch: Arch
) -> None:
    image = stock[f"builder-{arch}"]
    names = members(engine, image)
    for interpreter in image.interpreters:
        include = f"{interpreter.prefix[1:]}/include/python{interpreter.version}"
        assert {f"{include}/Python.h", f"{include}/pyconfig.h"} <= set(names)
    assert f"usr/include/{arch}-linux-gnu/sys/cdefs.h" in names
    loader = {
        Arch.X86_64: "usr/lib64/ld-linux-x86-64.so.2",
        Arch.AARCH64: "usr/lib/ld-linux-aarch64.so.1",
    }[native]
    if arch is not native:
        assert names[loader].linkname == f"/opt/toolchain/lib/{Path(loader).name}"
        assert names[f"usr/lib/{native}-linux-gnu"].linkname == "/opt/toolchain/lib"


@pytest.mark.parametrize("kind", ["builder", "check"])
def test_every_interpreter_imports_what_needs_other_libraries(
    engine: docker.DockerClient, stock: dict[str, images.Image], native: Arch, kind: str
) -> None:
    image = stock[f"{kind}-{native}"]
    for interpreter in image.interpreters:
        program = f"{IMPORTS}; zoneinfo.ZoneInfo('Europe/Berlin'); print(sys.prefix, sys.version)"
        said = run(engine, image, f'{interpreter.path} -c "{program}"')
        assert said.startswith(f"{interpreter.prefix} {interpreter.version}.")


def test_a_check_happens_as_an_ordinary_user_with_a_venv_of_uvs(
    engine: docker.DockerClient, stock: dict[str, images.Image], native: Arch
) -> None:
    image = stock[f"check-{native}"]
    said = run(
        engine,
        image,
        f"id -u; uv venv -q --no-config --python {image.interpreters[0].path} /tmp/v;"
        "/tmp/v/bin/python -c 'import sys; print(sys.prefix)'",  # noqa: S108
    )
    assert said.split() == ["1000", "/tmp/v"]  # noqa: S108


@pytest.mark.parametrize("arch", Arch)
def test_each_compiler_makes_programs_of_its_own_architecture(
    engine: docker.DockerClient, stock: dict[str, images.Image], native: Arch, arch: Arch
) -> None:
    said = run(
        engine,
        stock[f"builder-{native}"],
        "cp -r /opt/zig-cache /tmp/zig; export ZIG_GLOBAL_CACHE_DIR=/tmp/zig; cd /tmp;"
        "echo 'int main(void) { return 0; }' > a.c;"
        f"cc-{arch} --target={arch.triple} a.c -o a; od -An -j18 -N2 -tu2 a;",
    )
    assert int(said) == ELF_MACHINES[arch]


def test_the_machines_authorities_are_in_no_layer(
    engine: docker.DockerClient, stock: dict[str, images.Image]
) -> None:
    for image in stock.values():
        assert not [n for n in members(engine, image) if n.endswith("ca-certificates.crt")]
    seed = images.find(engine, ["seed"])["seed"]
    known = run_in_seed(engine, seed, "cat /usr/share/ca-certificates/mozilla/*.crt")
    assert run_in_seed(engine, seed, "cat /etc/ssl/certs/ca-certificates.crt") == known


def run_in_seed(engine: docker.DockerClient, seed: images.Image, script: str) -> str:
    output: bytes = engine.containers.run(
        seed.id, ["sh", "-c", script], network_mode="none", labels={"farm": "1"}, remove=True
    )
    return output.decode()


def test_nothing_is_left_of_the_building_but_images(
    engine: docker.DockerClient, stock: dict[str, images.Image]
) -> None:
    assert stock
    assert not engine.api.images(filters={"dangling": True, "label": "farm.image"})
    Oven(engine).sweep()
    left = {record.of for record in Oven(engine).cache() if not record.shared}
    assert not [step for step in left if "/farm/make.py" in step or "/farm/common/" in step]


@pytest.mark.slow
def test_jobs_begin_while_images_that_others_need_are_made(
    engine: docker.DockerClient,
    stock: dict[str, images.Image],
    farm: Farm,
    warm: Callable[[str], Path],
) -> None:
    names = ("builder-aarch64", "check-aarch64")
    for name in names:
        for each in images.existing(engine):
            if each.name == name:
                engine.images.remove(each.reference or each.id)
    engine.api.prune_builds(all=True)  # or BuildKit has them again at once
    ended = farm("build", warm("tiny"), "--py", "3.13", "--json").succeeded()
    lines = ended.err.splitlines()
    ready = {name: _line(lines, f"image {name}: ready") for name in names}
    assert _line(lines, f"{X86}: build") < max(ready.values()) < _line(lines, f"{ARM}: build")
    assert set(names) <= set(ended.json["images"])
    assert [job["status"] for job in ended.json["jobs"]] == ["built", "built"]
    stock |= images.ensure(engine, stock, emit=lambda _: None)


def test_what_is_edited_while_images_are_made_is_not_of_the_run(
    engine: docker.DockerClient, farm: Farm, warm: Callable[[str], Path]
) -> None:
    place, name = warm("tiny"), "probe-aarch64"
    engine.images.remove(images.ensure(engine, [name], emit=lambda _: None)[name].reference)
    with ThreadPoolExecutor(1) as aside:
        words = ("--arch", "aarch64", "--py", "3.13", "--no-smoke")
        building = aside.submit(farm, "build", place, *words)
        wait_for(lambda: building.done() or any(map(_whole, place.glob(".farm/runs/*/source.tar"))))
        (place / "src" / "lib.rs").write_text("no Rust")
        ended = building.result().succeeded()
    assert f"image {name}: ready" in ended.err


def _whole(archive: Path) -> bool:
    return archive.read_bytes().endswith(bytes(2 * tarfile.BLOCKSIZE))


def _line(lines: list[str], start: str) -> int:
    """Return the number of the line that begins so."""
    return next(number for number, line in enumerate(lines) if line.startswith(start))


def test_a_suite_that_does_not_exist_costs_only_what_is_wanted_of_it(
    engine: docker.DockerClient, stock: dict[str, images.Image], native: Arch
) -> None:
    assert stock
    nowhere = Suite(name="no-such-suite", pockets=("no-such-suite-security",))
    gone = Selection(suite=nowhere, arch=native, packages=("bash",))
    there = Selection(suite=debian.TRIXIE, arch=native, packages=("busybox-static",))
    recipe = Recipe(
        name="test",
        folder="probe",
        platform=native,
        needs=(
            Need(slot="lost", candidates=(gone,), optional=True),
            Need(slot="second", candidates=(gone, there)),
        ),
    )
    seed = images.find(engine, ["seed"])["seed"]
    question = Question(recipes=(recipe,), archive=DEFAULT)
    resolved = question.answered(
        Oven(engine).resolve(seed.reference, question.spoken(), lambda _: None)
    )
    assert list(resolved.had) == [("test", "second")]
    assert resolved.had["test", "second"].suite == "trixie"
    assert {lost.why for lost in resolved.lost["test", "lost"]} == {Why.GONE}
    assert "no-such-suite" in resolved.lost["test", "lost"][0].text
    assert all(len(package.sha256) == 64 for package in resolved.had["test", "second"].packages)


def test_prune_takes_stale_images_of_the_farm_and_no_others(
    engine: docker.DockerClient, stock: dict[str, images.Image]
) -> None:
    stale = {"farm": "1", "farm.image": "probe-aarch64", "farm.recipe": "of yesterday"}
    build(engine, "farm/probe-aarch64:stale", stale)
    build(engine, "other/of-someone:1", {"someone": "else"})
    try:
        gone = images.prune(engine, emit=lambda _: None)
        assert "farm/probe-aarch64:stale" in {image.reference for image in gone}
        assert engine.images.get("other/of-someone:1")
        assert images.find(engine, stock) == stock
    finally:
        engine.images.remove("other/of-someone:1")


def build(engine: docker.DockerClient, tag: str, labels: dict[str, str]) -> None:
    """Build an image with nothing in it but labels, which tell it from all others."""
    engine.images.build(
        fileobj=io.BytesIO(b'FROM scratch\nCMD ["none"]\n'), tag=tag, labels=labels, rm=True
    )
