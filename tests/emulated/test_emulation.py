"""Emulation of the engine's foreign architecture, taken away for real and put back."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import docker
import pytest

from farm.bases.recipes import tools_for
from farm.doctor import examine as doctor
from farm.doctor import foreign, repair
from farm.engine import connection, emulation, images
from farm.engine.connection import Facts
from farm.engine.emulation import DIRECTORY, GUESTS, State
from farm.engine.images import Image
from farm.host.ledger import Ledger, Registered, default_path
from farm.model.events import Event, Note
from farm.model.targets import Arch

pytestmark = [pytest.mark.docker, pytest.mark.emulated]


@pytest.fixture(scope="module")
def facts(client: docker.DockerClient) -> Facts:
    return connection.facts(client)


@pytest.fixture(scope="module")
def other(facts: Facts) -> Arch:
    return next(arch for arch in Arch if arch is not facts.arch)


@pytest.fixture(scope="module")
def tools(client: docker.DockerClient, other: Arch) -> dict[str, Image]:
    return images.ensure(client, tools_for((other,)), emit=_ignore)


@pytest.fixture
def _whole(other: Arch) -> Iterator[None]:
    """Emulation works before the test, and does again after it, whatever the test did."""
    book = Ledger(path=default_path())
    assert not repair.fix((other,), ledger=book, emit=_ignore).faults
    yield
    assert not repair.fix((other,), ledger=book, emit=_ignore).faults


@pytest.mark.usefixtures("_whole")
def test_foreign_programs_run_on_the_farms_own_newest_qemu(
    client: docker.DockerClient, facts: Facts, other: Arch, tools: dict[str, Image]
) -> None:
    found = foreign.emulation_of(client, facts, other, tools)
    assert found.state is State.WORKS
    assert found.handler is not None
    assert found.handler.name == f"farm-{other}"
    assert found.version == foreign.newest_qemu(other, tools) != ""


@pytest.mark.usefixtures("_whole")
def test_a_foreign_program_sees_its_machine_and_the_name_it_was_called_by(
    client: docker.DockerClient, other: Arch, tools: dict[str, Image]
) -> None:
    image = tools[f"probe-{other}"].reference
    script = "uname -m; (exec -a echo /bin/busybox called as echo); echo end"
    said = client.containers.run(
        image, ["/bin/sh", "-c", script], platform=other.platform, network="none", remove=True
    )
    assert said.decode().split("\n")[:2] == [other.value, "called as echo"]


@pytest.mark.usefixtures("_whole")
def test_a_handler_that_is_gone_is_found_missing_and_fixed_and_taken_back(
    client: docker.DockerClient,
    facts: Facts,
    other: Arch,
    tools: dict[str, Image],
    tmp_path: Path,
) -> None:
    book = Ledger(path=tmp_path / "changes.json")
    handler = GUESTS[other].handler
    emulation.unregister(client, handler, tools=tools[f"qemu-{other}"].reference)
    _need_no_other_emulator(client, facts, other, tools)

    (fault,) = doctor.examine((other,), ledger=book).faults
    assert fault.text == f"no {other} emulation on this engine"
    assert (
        "as after a restart"
        in foreign.judge(
            foreign.emulation_of(client, facts, other, tools), other, facts, was_ours=True
        ).text
    )

    said: list[Event] = []
    diagnosis = repair.fix((other,), ledger=book, emit=said.append)
    assert not diagnosis.faults
    announced, done = (
        next(i for i, event in enumerate(said) if isinstance(event, Note) and verb in event.text)
        for verb in ("registers QEMU", "registering QEMU")
    )
    assert announced < done, "what will change is told before it is done"
    change = Registered(name=handler, engine=facts.id, host=facts.host, local=facts.local)
    assert book.changes() == (change,)

    said.clear()
    repair.fix((other,), ledger=book, emit=said.append)
    assert said == [], "a second time sets nothing up"

    assert repair.undo(ledger=book, emit=_ignore) == ()
    assert not (DIRECTORY / handler).exists()
    assert book.changes() == ()
    assert repair.undo(ledger=book, emit=_ignore) == ()


@pytest.mark.usefixtures("_whole")
def test_undo_needs_no_engine_on_the_machine_itself(
    facts: Facts, other: Arch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    book = Ledger(path=tmp_path / "changes.json")
    handler = GUESTS[other].handler
    book.add(Registered(name=handler, engine=facts.id, host=facts.host, local=True))
    with monkeypatch.context() as patch:
        patch.setenv("DOCKER_HOST", f"unix://{tmp_path}/no.sock")
        assert repair.undo(ledger=book, emit=_ignore) == ()
    assert not (DIRECTORY / handler).exists()
    assert book.changes() == ()


def test_a_handler_on_another_machine_is_left_in_the_ledger_with_the_command(
    tmp_path: Path,
) -> None:
    book = Ledger(path=tmp_path / "changes.json")
    change = Registered(name="farm-aarch64", engine="another", host="far-away", local=False)
    book.add(change)
    (left,) = repair.undo(ledger=book, emit=_ignore)
    assert "far-away, which is not in reach from here" in left
    assert "echo -1 > /proc/sys/fs/binfmt_misc/farm-aarch64" in left
    assert book.changes() == (change,)


def _need_no_other_emulator(
    client: docker.DockerClient, facts: Facts, other: Arch, tools: dict[str, Image]
) -> None:
    """Fail where somebody else's emulation is there, which these tests must not touch."""
    found = foreign.emulation_of(client, facts, other, tools)
    assert not found.works, f"{found.handler} is not the farm's: these tests need a machine without"


def _ignore(_: Event) -> None:
    pass
