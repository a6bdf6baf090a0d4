from __future__ import annotations

from pathlib import Path

import pytest
from nobody import nobody

from farm.cli.doctor import lines
from farm.doctor import examine as doctor
from farm.doctor import foreign
from farm.doctor.findings import Diagnosis, Finding, Level, Repair
from farm.engine import connection
from farm.engine.connection import Facts
from farm.engine.emulation import GUESTS, Emulation, Handler, State
from farm.host import binfmt, packages, plugin
from farm.host.ledger import Ledger
from farm.model.errors import ExitCode, SurroundingsError
from farm.model.targets import Arch

FACTS = Facts(
    id="ID",
    host="here",
    version="20.10.24",
    kernel="6.1",
    arch=Arch.X86_64,
    cpus=2,
    memory=8 << 30,
    storage="overlay2",
    root=Path("/var/lib/docker"),
    local=True,
)
THEIRS = Handler(
    name="qemu-aarch64",
    enabled=True,
    interpreter="/usr/bin/qemu-aarch64-static",
    flags="F",
    magic=GUESTS[Arch.AARCH64].magic,
    mask=GUESTS[Arch.AARCH64].mask,
)


def _judge(
    state: State, *, handler: Handler | None = None, error: str = "", was_ours: bool = False
) -> Finding:
    found = Emulation(arch="aarch64", state=state, handler=handler, error=error, version="7.2.0")
    return foreign.judge(found, Arch.AARCH64, FACTS, was_ours=was_ours)


def test_emulation_that_is_missing_says_what_to_do() -> None:
    finding = _judge(State.MISSING)
    assert finding.level is Level.FAULT
    assert finding.text == "no aarch64 emulation on this engine"
    assert finding.commands == ("farm doctor --fix",)
    assert "farm-aarch64" in finding.change


def test_a_handler_that_went_with_a_restart_is_told_apart() -> None:
    assert "as after a restart" in _judge(State.MISSING, was_ours=True).text


def test_a_broken_handler_is_named_with_its_owner_and_its_complaint() -> None:
    finding = _judge(State.BROKEN, handler=THEIRS, error="exec /bin/sh: no such file")
    assert finding.level is Level.FAULT
    assert "qemu-aarch64 (F), not the farm's, which fails with: exec /bin/sh" in finding.text
    assert "other handlers stay" in finding.change


def test_binfmt_misc_that_is_not_mounted_gives_the_command() -> None:
    finding = _judge(State.UNMOUNTED)
    assert finding.repair is Repair.MOUNT
    assert finding.commands[0] == "mount -t binfmt_misc binfmt_misc /proc/sys/fs/binfmt_misc"


def test_emulation_that_works_tells_its_qemu_and_its_handler() -> None:
    finding = _judge(State.WORKS, handler=THEIRS)
    assert (finding.level, finding.repair) == (Level.OK, None)
    assert finding.text == "QEMU 7.2.0, by qemu-aarch64 (F)"


def test_an_older_qemu_than_the_farms_is_to_be_superseded() -> None:
    found = Emulation(arch="aarch64", state=State.WORKS, handler=THEIRS, version="7.2.0")
    finding = foreign.judge(found, Arch.AARCH64, FACTS, was_ours=False, newest="11.1.3")
    assert (finding.level, finding.repair) == (Level.WARNING, Repair.EMULATION)


@pytest.mark.parametrize(
    ("version", "newest", "older"),
    [
        ("7.2.0", "11.1.3", True),
        ("11.1.3", "11.1.3", False),
        ("12.0", "11.1.3", False),
        ("", "11.1.3", False),
        ("7.2", "", False),
    ],
)
def test_versions_are_compared_as_versions(version: str, newest: str, *, older: bool) -> None:
    assert foreign.is_older(version, newest) is older


def test_an_arm64_engine_runs_aarch64_itself_and_emulates_x86_64() -> None:
    finding = foreign.judge(
        Emulation(arch="x86_64", state=State.MISSING), Arch.X86_64, FACTS, was_ours=False
    )
    assert "no x86_64 emulation" in finding.text
    assert "farm-x86_64" in finding.change


def test_every_fault_is_told_at_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/no.sock")
    monkeypatch.setenv("PATH", str(tmp_path))
    diagnosis = doctor.examine(tuple(Arch), ledger=Ledger(path=tmp_path / "changes.json"))
    assert [f.subject for f in diagnosis.faults] == ["engine", "buildx"]
    with pytest.raises(SurroundingsError) as caught:
        diagnosis.require()
    assert caught.value.exit_code is ExitCode.SURROUNDINGS
    assert "there is no" in caught.value.message
    assert "not on PATH" in caught.value.message
    assert "systemctl start docker" in caught.value.remedy


def test_an_engine_that_is_not_running_says_how_to_start_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("DOCKER_HOST", "tcp://127.0.0.1:1")
    with pytest.raises(SurroundingsError, match="not running") as caught, connection.connect():
        pass
    assert "DOCKER_HOST" in caught.value.remedy


@pytest.mark.parametrize("address", ["nonsense://x", "tcp://"])
def test_an_address_that_is_none_is_an_error_that_names_it(
    monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    monkeypatch.setenv("DOCKER_HOST", address)
    with pytest.raises(SurroundingsError) as caught, connection.connect():
        pass
    assert address in caught.value.message
    assert caught.value.remedy


def test_an_engine_older_than_20_10_is_refused() -> None:
    connection._require_api("1.41", "here")
    with pytest.raises(SurroundingsError, match="too old") as caught:
        connection._require_api("1.40", "here")
    assert "20.10" in caught.value.remedy


def test_without_apt_the_very_first_image_needs_other_means(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert not packages.available()
    finding = doctor._mmdebstrap(seed=False)
    assert finding.level is Level.FAULT
    assert finding.repair is None
    assert "load images" in finding.remedy
    assert doctor._mmdebstrap(seed=True).level is Level.OK


def test_dockers_own_setting_says_where_the_plugin_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_CONFIG", "/elsewhere")
    assert plugin.home() == Path("/elsewhere/cli-plugins/docker-buildx")


def test_the_report_puts_remedy_and_commands_under_the_fault() -> None:
    report = lines(Diagnosis(findings=(_judge(State.MISSING),)))
    assert report == [
        "FAULT   aarch64    no aarch64 emulation on this engine",
        "                   Register the farm's QEMU:",
        "                     farm doctor --fix",
        "1 fault. `farm doctor --fix` repairs what it can.",
    ]


def test_the_report_of_a_machine_without_fault_ends_well() -> None:
    assert lines(Diagnosis(findings=(_judge(State.NATIVE),)))[-1] == "All is well."


def test_who_is_not_root_is_told_what_to_type_with_sudo(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(packages, "available", lambda: True)
    monkeypatch.setenv("PATH", str(tmp_path))
    with nobody():
        typed = doctor._mmdebstrap(seed=False).commands
        mount = _judge(State.UNMOUNTED).commands[0]
        with pytest.raises(SurroundingsError) as caught:
            packages.install(("git",), ledger=Ledger(path=tmp_path / "changes"), emit=print)
        last = lines(Diagnosis(findings=(_judge(State.MISSING),)))[-1]
    install = "apt-get install --no-install-recommends"
    assert typed[0] == "sudo apt-get update"
    assert typed[1].startswith(f"sudo {install} mmdebstrap ")
    assert mount == f"sudo {' '.join(binfmt.MOUNT)}"
    assert f"sudo apt-get update && sudo {install} git" in caught.value.remedy
    assert last.endswith("What is told with sudo above it leaves to you.")
