"""A failed job can be entered, read, run again, and is kept until nobody wants it any more."""

from __future__ import annotations

import os
import pty
import select
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import docker
import pytest

from farm.engine.leftovers import Kept, held, look, release
from tests.conftest import Farm

JOB = "cp313-manylinux_2_28_x86_64"
FOREIGN = "cp313-manylinux_2_28_aarch64"
PATIENCE = 120.0
Project = Callable[[str], Path]


@pytest.fixture
def kept(client: docker.DockerClient) -> Iterator[Callable[[Path], tuple[Kept, ...]]]:
    """Return a function that tells what is kept of a project's jobs; in the end nothing is."""
    places: list[Path] = []

    def find(place: Path) -> tuple[Kept, ...]:
        places.append(place)
        runs = {path.name for path in (place / ".farm" / "runs").iterdir()}
        return tuple(each for each in look(client).kept if each.run in runs)

    yield find
    for place in set(places):
        release(client, find(place))


def spoil(place: Path) -> str:
    """Break the crate; return what it was."""
    source = place / "src" / "lib.rs"
    sound = source.read_text()
    source.write_text(f'{sound}\nlet broken = "x";\n')
    return sound


def break_the_check(place: Path) -> None:
    with (place / "pyproject.toml").open("a") as file:
        file.write('\n[tool.farm.smoke]\ncommand = ["python", "-c", "raise SystemExit(7)"]\n')


def test_a_failed_build_is_entered_as_it_failed_on_both_architectures(
    farm: Farm, warm: Project, kept: Callable[[Path], tuple[Kept, ...]]
) -> None:
    place = warm("tiny")
    spoil(place)
    failed = farm("build", place, "--py", "3.13", "--json").failed(1)
    commands = {job["job"]: job["command"] for job in failed.json["jobs"]}
    assert f"farm shell {JOB} --project {place}" in failed.err.replace("__main__.py", "farm")
    assert {(each.job, each.step) for each in kept(place)} == {(JOB, "build"), (FOREIGN, "build")}
    for job, machine in ((JOB, "x86_64"), (FOREIGN, "aarch64")):
        look_around = 'uname -m; pwd; tail -1 "$HOME/.bash_history"; tail -1 src/lib.rs; env'
        entered = farm("shell", job, "--project", place, "--", "sh", "-c", look_around).succeeded()
        told, directory, history, source, *environment = entered.out.splitlines()
        assert told == machine
        assert directory == commands[job]["cwd"]
        assert history == " ".join(commands[job]["argv"])
        assert source == 'let broken = "x";'
        wanted = {f"{key}={value}" for key, value in commands[job]["environment"].items()}
        assert wanted <= set(environment)
        assert history in entered.err
    again = farm("shell", JOB, "--project", place, "--", "sh", "-c", history_runs())
    assert again.code == 1
    assert "expected item, found keyword `let`" in again.err + again.out


def history_runs() -> str:
    """Return a shell's command that runs the last one of its history."""
    return 'eval "$(tail -1 "$HOME/.bash_history")"'


def test_a_failed_check_is_entered_as_it_failed(
    farm: Farm, warm: Project, kept: Callable[[Path], tuple[Kept, ...]]
) -> None:
    place = warm("tiny")
    break_the_check(place)
    farm("build", place, "--py", "3.13", "--arch", "native").failed(1)
    assert {each.step for each in kept(place)} == {"build", "check"}
    inside = (
        f"id -u; {history_runs()}; echo status $?; python -c 'import tiny; print(tiny.answer())'"
    )
    entered = farm("shell", JOB, "--project", place, "--", "sh", "-c", inside).succeeded()
    assert entered.out.splitlines() == ["1000", "status 7", "42"]
    built = farm("shell", JOB, "--project", place, "--at", "build", "--", "ls", "/work/out")
    assert built.succeeded().out.split() == [JOB]


def test_a_job_that_is_not_kept_is_brought_up_to_its_command_anew(
    farm: Farm, warm: Project, kept: Callable[[Path], tuple[Kept, ...]]
) -> None:
    place = warm("tiny")
    break_the_check(place)
    farm("build", place, "--py", "3.13", "--arch", "native").failed(1)
    farm("clean", "--kept").succeeded()
    assert kept(place) == ()
    fresh = farm("shell", JOB, "--project", place, "--", "sh", "-c", f"{history_runs()}; echo $?")
    assert fresh.succeeded().out.splitlines() == ["7"]
    fresh = farm("shell", JOB, "--project", place, "--at", "build", "--", "cat", "src/lib.rs")
    assert fresh.succeeded().out == (place / "src" / "lib.rs").read_text()
    assert "brought" in fresh.err or "bringing it up" in fresh.err


def test_a_shell_has_no_network_and_ends_with_its_commands_status(
    farm: Farm, warm: Project, kept: Callable[[Path], tuple[Kept, ...]]
) -> None:
    place = warm("tiny")
    spoil(place)
    farm("build", place, "--py", "3.13", "--arch", "native").failed(1)
    interfaces = farm("shell", JOB, "--project", place, "--", "ls", "/sys/class/net")
    assert interfaces.succeeded().out.split() == ["lo"]
    assert farm("shell", JOB, "--project", place, "--", "sh", "-c", "exit 5").code == 5
    assert farm("shell", JOB, "--project", place, "--at", "chek").failed(2)
    unknown = farm("shell", JOB.replace("313", "331"), "--project", place, "--", "true").failed(2)
    assert f"did you mean {JOB!r}" in unknown.err
    assert len(kept(place)) == 1


def test_a_shell_on_a_terminal(
    farm: Farm, warm: Project, kept: Callable[[Path], tuple[Kept, ...]]
) -> None:
    place = warm("tiny")
    spoil(place)
    farm("build", place, "--py", "3.13", "--arch", "native").failed(1)
    assert kept(place)
    terminal, end = pty.openpty()
    termios.tcsetwinsize(end, (24, 80))
    shell = subprocess.Popen(
        [sys.executable, "-m", "farm", "shell", JOB],
        cwd=place,
        stdin=end,
        stdout=end,
        stderr=end,
        env=os.environ | {"TERM": "xterm"},
    )
    os.close(end)
    screen = Screen(terminal)
    prompt = f"[{JOB}] /src# "
    screen.wait_for(prompt)
    os.write(terminal, b"\x1b[A")  # the arrow up: the last command of the history
    screen.wait_for("maturin build --release")
    os.write(terminal, b"\x03")  # Ctrl-C: not this one
    screen.wait_for("^C")  # it takes what is typed before it with it
    screen.wait_for(prompt)
    os.write(terminal, b"echo $((6 * 7)); exit 3\r")
    screen.wait_for("42")
    assert shell.wait(PATIENCE) == 3
    os.close(terminal)


class Screen:
    """What came out of a pseudo terminal, and was not waited for yet."""

    def __init__(self, terminal: int) -> None:
        self._terminal = terminal
        self._text = ""

    def wait_for(self, text: str) -> None:
        deadline = time.monotonic() + PATIENCE
        while text not in self._text:
            left = deadline - time.monotonic()
            assert select.select([self._terminal], [], [], max(left, 0))[0], self._text
            self._text += os.read(self._terminal, 4096).decode(errors="replace")
        self._text = self._text.partition(text)[2]


def test_retry_runs_what_failed_and_nothing_else_as_it_was_planned(
    farm: Farm, project: Project, kept: Callable[[Path], tuple[Kept, ...]]
) -> None:
    place = project("tiny")
    sound = spoil(place)
    first = farm(
        *("build", place, "--py", "3.13", "--py", "3.14", "--arch", "native"),
        *("--no-smoke", "--fail-fast", "--json"),
    ).failed(1)
    statuses = {job["job"]: job["status"] for job in first.json["jobs"]}
    other = JOB.replace("313", "314")
    assert statuses.pop(JOB) == "failed"
    assert statuses in ({other: "skipped"}, {other: "cancelled"})  # it begins beside the first
    again = farm("retry", JOB, "--project", place, "--json").failed(1).json
    (job,) = again["jobs"]
    assert job["command"] == next(j["command"] for j in first.json["jobs"] if j["job"] == JOB)
    (place / "src" / "lib.rs").write_text(sound)
    first_run = first.json["run"]
    last = farm("retry", "--run", first_run, "--project", place, "--json").succeeded().json
    assert {job["job"]: job["status"] for job in last["jobs"]} == {JOB: "built", other: "built"}
    assert not last["checked"]
    nothing = farm("retry", "--project", place).succeeded()
    assert "Nothing failed" in nothing.err
    assert kept(place)


def test_what_is_kept_stays_within_its_quota_the_newest_longest(
    farm: Farm, project: Project, kept: Callable[[Path], tuple[Kept, ...]]
) -> None:
    place = project("tiny")
    arguments = ("build", place, "--arch", "native", "--no-smoke", "--force")
    farm(*arguments, "--py", "3.13", "--keep").succeeded()
    (first,) = kept(place)
    assert first.step == "build"
    assert held((first,)) > 1 << 20
    gib = held((first,)) * 1.5 / (1 << 30)
    with (place / "pyproject.toml").open("a") as file:
        file.write(f"\n[tool.farm.limits]\nkeep-gib = {gib:f}\n")
    said = farm(*arguments, "--py", "3.14", "--keep").succeeded().err
    (second,) = kept(place)
    assert second.run != first.run
    assert f"{JOB} of run {first.run} is kept no longer" in said


def test_one_failing_job_is_told_with_the_commands_to_go_on_with(
    farm: Farm, warm: Project, kept: Callable[[Path], tuple[Kept, ...]]
) -> None:
    place = warm("tiny")
    spoil(place)
    farm("build", "--py", "3.13", "--arch", "native", cwd=place).failed(1)
    assert kept(place)
    report = farm("report", cwd=place).succeeded().out
    assert f"{JOB}: failed at build (compile error): error: expected item" in report
    assert f"shell {JOB}" in report
    assert "retry" in report
    markdown = farm("report", "--markdown", cwd=place).succeeded().out
    assert "compile error" in markdown
    logs = farm("logs", cwd=place).succeeded().out
    assert "expected item, found keyword `let`" in logs
    (run,) = farm("runs", "--json", cwd=place).succeeded().json
    assert run["counts"] == {"failed": 1}
