"""The doctor on the real engine and the real host: broken for real, and repaired for real.

Handlers are tried on a machine architecture that does not exist, so that nobody's programs are
touched: its "programs" begin like ELF files of machine 0xFA12, and its "emulator" is busybox.
"""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import docker
import pytest

from farm.doctor import repair
from farm.engine import connection, emulation, images
from farm.engine.emulation import DIRECTORY, Guest, State
from farm.host import commands, packages, plugin
from farm.host.ledger import Ledger, Packages, Written
from farm.model.errors import SurroundingsError
from farm.model.events import Event, Note
from farm.model.targets import Arch

pytestmark = pytest.mark.docker

ROOT = Path(__file__).resolve().parents[2]
NOBODY = 65534
GUEST = Guest(
    name="busybox-test",  # busybox goes by the name it is called by, and takes this one
    platform="",
    magic=b"\x7fELF\x02\x01\x01" + bytes(9) + b"\x02\x00\x12\xfa",
    mask=b"\xff" * 20,
)
OTHERS = replace(GUEST, name="busybox-others")


@pytest.fixture(scope="module")
def native(client: docker.DockerClient) -> Arch:
    return connection.arch(client)


@pytest.fixture(scope="module")
def guest(native: Arch) -> Guest:
    return replace(GUEST, platform=native.platform)


@pytest.fixture(scope="module")
def tools(client: docker.DockerClient, native: Arch) -> str:
    """An image with a native busybox."""
    name = next(f"qemu-{arch}" for arch in Arch if arch is not native)
    return images.ensure(client, (name,), emit=_ignore)[name].reference


@pytest.fixture(scope="module")
def program(client: docker.DockerClient) -> Iterator[str]:
    """An image whose shell is a program of the made-up architecture.

    Busybox, its emulator, takes the program `/bin/sh` for a shell script, of which the first line
    makes no sense, and the second runs what follows `-c`.
    """
    shell = GUEST.magic + b'\neval "$2"\n'
    files = {
        "Dockerfile": (b"FROM scratch\nADD root.tar /\n", 0o644),
        "root.tar": (_tar({"bin/sh": (shell, 0o755)}), 0o644),
    }
    image, _ = client.images.build(fileobj=io.BytesIO(_tar(files)), custom_context=True, rm=True)
    yield str(image.id)
    client.images.remove(str(image.id), force=True)


@pytest.fixture
def _clean(client: docker.DockerClient, tools: str) -> Iterator[None]:
    assert (DIRECTORY / "status").exists(), "binfmt_misc is not mounted: run farm doctor --fix"
    yield
    for handler in (GUEST.handler, OTHERS.handler):
        emulation.unregister(client, handler, tools=tools)


@pytest.mark.usefixtures("_clean")
def test_a_handler_is_missing_then_works_then_is_missing_again(
    client: docker.DockerClient, guest: Guest, program: str, tools: str
) -> None:
    before = emulation.probe(client, guest, image=program, tools=tools)
    assert before.state is State.MISSING
    assert "exec format error" in before.error

    emulation.register(client, guest, image=tools, interpreter="/bin/busybox")
    found = emulation.probe(client, guest, image=program, tools=tools)
    assert found.state is State.WORKS, found.error
    assert found.handler is not None
    assert (found.handler.name, set(found.handler.flags)) == (guest.handler, set("OPF"))

    for _ in range(2):  # a second time does no harm
        emulation.unregister(client, guest.handler, tools=tools)
    after = emulation.probe(client, guest, image=program, tools=tools)
    assert after.state is State.MISSING


@pytest.mark.usefixtures("_clean")
def test_a_broken_handler_is_named_and_the_farms_comes_before_it(
    client: docker.DockerClient, guest: Guest, program: str, tools: str
) -> None:
    theirs = emulation.registration(OTHERS, "/no/such/interpreter").removesuffix("OPF")
    register = DIRECTORY / "register"
    register.write_text(theirs)  # its interpreter is looked for in each container: not there
    found = emulation.probe(client, guest, image=program, tools=tools)
    assert found.state is State.BROKEN
    assert found.handler is not None
    assert found.handler.name == OTHERS.handler
    assert "no such file or directory" in found.error

    emulation.register(client, guest, image=tools, interpreter="/bin/busybox")
    assert emulation.probe(client, guest, image=program, tools=tools).state is State.WORKS
    assert (DIRECTORY / OTHERS.handler).exists(), "what others registered stays"


@pytest.mark.usefixtures("_clean")
def test_a_handler_outlives_the_image_that_it_came_from(
    client: docker.DockerClient, guest: Guest, program: str, tools: str
) -> None:
    copy = _copy_of(client, tools)
    try:
        emulation.register(client, guest, image=copy, interpreter="/bin/busybox")
    finally:
        client.images.remove(copy, force=True)
    found = emulation.probe(client, guest, image=program, tools=tools)
    assert found.state is State.WORKS, found.error


@pytest.mark.usefixtures("_clean")
def test_the_farms_handler_is_replaced_by_a_newer_one_of_its_own(
    client: docker.DockerClient, guest: Guest, program: str, tools: str
) -> None:
    for _ in range(2):
        emulation.register(client, guest, image=tools, interpreter="/bin/busybox")
    assert emulation.probe(client, guest, image=program, tools=tools).works


def test_an_emulator_that_is_not_there_cannot_be_registered(
    client: docker.DockerClient, guest: Guest, tools: str
) -> None:
    with pytest.raises(SurroundingsError, match="could not register QEMU for busybox-test"):
        emulation.register(client, guest, image=tools, interpreter="/usr/bin/no-such-qemu")
    assert not (DIRECTORY / guest.handler).exists()


def test_nothing_is_left_on_the_engine(
    client: docker.DockerClient, guest: Guest, program: str, tools: str
) -> None:
    before = {c["Id"] for c in client.api.containers(all=True)}
    emulation.probe(client, guest, image=program, tools=tools)
    made = {c["Id"] for c in client.api.containers(all=True, filters={"ancestor": program})}
    assert made <= before


def test_a_fit_machine_is_set_up_once_and_then_has_no_fault() -> None:
    _farm("doctor", "--fix")
    began = time.monotonic()
    done = _farm("doctor", "--fix")
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    assert done.stdout.splitlines()[-1] == "All is well."
    assert time.monotonic() - began < 5  # under a second on a machine that does nothing else


def test_nobody_has_no_right_to_the_socket_and_is_told_how_to_get_it() -> None:
    done = _farm("doctor", user=NOBODY)
    assert done.returncode == 3
    assert "has no right to the engine's socket" in done.stdout
    assert "usermod -aG docker" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr


def test_who_is_not_root_gets_every_command_and_changes_nothing() -> None:
    """With a client that has no plugin, no mmdebstrap, and an engine that is not there."""
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        place.chmod(0o755)
        for program in ("docker", "apt-get"):
            (place / program).symlink_to(str(shutil.which(program)))
        environment = {
            "PATH": name,
            "DOCKER_HOST": f"unix://{name}/no.sock",
            "DOCKER_CONFIG": f"{name}/config",
            "HOME": name,
        }
        for words in (("doctor",), ("doctor", "--fix")):
            done = _farm(*words, user=NOBODY, environment=environment)
            assert done.returncode == 3
            assert "no Docker engine is running here" in done.stdout
            assert "sudo apt-get install --no-install-recommends mmdebstrap" in done.stdout
            assert "mmdebstrap --quiet --variant=extract --mode=chrootless" in done.stdout
            assert "Traceback" not in done.stdout + done.stderr
        assert {path.name for path in place.iterdir()} == {"docker", "apt-get"}


def test_the_plugin_is_fetched_put_in_place_and_taken_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    ledger = Ledger(path=tmp_path / "changes.json")
    plugin.install(ledger=ledger, emit=_ignore)
    assert plugin.version().startswith("github.com/docker/buildx")
    assert [type(change) for change in ledger.changes()] == [Written]
    assert repair.undo(ledger=ledger, emit=_ignore) == ()
    assert not plugin.home().exists()
    assert ledger.changes() == ()
    assert repair.undo(ledger=ledger, emit=_ignore) == ()


def test_packages_are_told_installed_counted_and_purged(tmp_path: Path) -> None:
    name = next(n for n in ("hello", "sl", "cowsay") if not _installed(n))
    ledger = Ledger(path=tmp_path / "changes.json")
    said: list[Event] = []
    packages.install((name,), ledger=ledger, emit=said.append)
    assert Note(text=f"apt-get installs {name}") in said
    assert ledger.changes() == (Packages(names=(name,)),)
    packages.install((name,), ledger=ledger, emit=said.append)  # there already: no change
    assert ledger.changes() == (Packages(names=(name,)),)
    assert packages.purge((name,), emit=said.append)
    assert not _installed(name)
    assert packages.purge((name,), emit=said.append)


def test_packages_that_others_need_by_now_are_kept() -> None:
    said: list[Event] = []
    assert not packages.purge(("libgcc-s1",), emit=said.append)
    assert "kept libgcc-s1" in str(said)


def test_a_package_that_no_archive_has_is_an_error(tmp_path: Path) -> None:
    ledger = Ledger(path=tmp_path / "changes.json")
    with pytest.raises(SurroundingsError, match="no package for one of no-such-package-at-all"):
        packages.install(("no-such-package-at-all",), ledger=ledger, emit=_ignore)
    assert ledger.changes() == ()


def test_binfmt_misc_is_mounted_where_it_is_missing_and_kept_while_it_is_used(
    tmp_path: Path,
) -> None:
    """In mount and process namespaces of its own, where /proc is fresh."""
    script = f"""
from pathlib import Path
from farm.host import binfmt
from farm.host.ledger import Ledger
ledger = Ledger(path=Path({str(tmp_path / "changes.json")!r}))
said = []
assert not (binfmt.DIRECTORY / "status").exists()
binfmt.mount(ledger=ledger, emit=said.append)
assert (binfmt.DIRECTORY / "status").exists()
binfmt.mount(ledger=ledger, emit=said.append)
(mounted,) = ledger.changes()
assert len(said) == 1, said
used = {{f.name for f in binfmt.DIRECTORY.iterdir()}} != {{"register", "status"}}
assert binfmt.unmount(mounted, emit=said.append) is not used
assert (binfmt.DIRECTORY / "status").exists() is used
"""
    argv = ("unshare", "--mount", "--pid", "--fork", "--mount-proc", sys.executable, "-c", script)
    done = commands.run(argv, deadline=60, environment={"PYTHONPATH": str(ROOT)})
    assert done.code == 0, done.error


def _farm(
    *words: str, user: int | None = None, environment: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run `farm`, as another user if asked, who may read what only root may: the interpreter."""
    argv = [sys.executable, "-c", "from farm.__main__ import run; run()", *words]
    if user is not None:
        assert os.geteuid() == 0, "only root can become another user"
        setpriv = ("--reuid", str(user), "--regid", str(user), "--clear-groups")
        read = ("--inh-caps", "+dac_read_search", "--ambient-caps", "+dac_read_search")
        argv = [str(shutil.which("setpriv")), *setpriv, *read, *argv]
    env = os.environ | {"PYTHONPATH": str(ROOT)} | (environment or {})
    return subprocess.run(argv, env=env, capture_output=True, text=True, check=False, cwd="/")


def _installed(package: str) -> bool:
    return commands.run(("dpkg", "-s", package), deadline=60).code == 0


def _tar(files: dict[str, tuple[bytes, int]]) -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as archive:
        for name, (content, mode) in files.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(content), mode
            archive.addfile(entry, io.BytesIO(content))
    return made.getvalue()


def _copy_of(client: docker.DockerClient, image: str) -> str:
    """Return an image with the files of `image` and none of its layers."""
    container = client.containers.create(image)
    try:
        content = b"".join(container.export())
    finally:
        container.remove()
    repository = "farm-test/copy"
    client.api.import_image_from_data(content, repository=repository, tag="latest")
    return f"{repository}:latest"


def _ignore(_: Event) -> None:
    pass
