"""Failures are told apart by their cause, and only what may pass by itself is tried again."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import Farm, wait_for
from relay import Relay

from farm.model.errors import ExitCode
from farm.model.failures import Cause

pytestmark = pytest.mark.docker

Project = Callable[[str], Path]
ONE = ("--arch", "native", "--py", "3.13")
SETTINGS = "\n[tool.farm.limits]\ncpus = 2\n"

KILLS_ITSELF = """
fn main() {
    std::process::Command::new("sh").args(["-c", "kill -KILL $PPID"]).status().unwrap();
    std::thread::sleep(std::time::Duration::from_secs(60));
}
"""
EATS_MEMORY = 'fn main() { println!("{}", vec![1u8; 2 << 30].iter().max().unwrap()); }'
LINKS = 'fn main() { println!("cargo:rustc-link-lib=foo_missing"); }'
INCLUDES = """
fn main() {
    std::fs::write("/tmp/a.c", "#include <libpq-fe.h>\\n").unwrap();
    let cc = std::env::var("HOST_CC").unwrap();
    let ended = std::process::Command::new(cc).args(["-c", "/tmp/a.c", "-o", "/tmp/a.o"]).status();
    assert!(ended.unwrap().success(), "the C compiler failed");
}
"""
CALLS = """
fn main() {
    let ended = std::process::Command::new("cmake").arg(".").status();
    ended.expect("is `cmake` not installed?");
}
"""
RUNS_GIT = """
fn main() {
    let ended = std::process::Command::new("sh").args(["-c", "git describe"]).status();
    assert!(ended.unwrap().success(), "no version");
}
"""
WANTS_THE_NETWORK = 'fn main() { std::net::TcpStream::connect("crates.invalid:443").unwrap(); }'
TAKES_LONG = "fn main() { std::thread::sleep(std::time::Duration::from_secs(600)); }"
TAKES_A_WHILE = "fn main() { std::thread::sleep(std::time::Duration::from_secs(20)); }"
ON_A_SMALL_ENGINE = """
from farm.__main__ import run
from farm.engine.containers import Workshop

Workshop.default_limits = lambda _: (3 << 30, 2.0)
run()
"""
"""The command as if the engine had 3 GiB: two builds have a half each."""
WITH_A_BUG = """
from farm.__main__ import run
from farm.runs import jobs

audit = jobs.audit

def broken(path, target):
    if "cp313" in path.name:
        raise TypeError("of a bug")
    return audit(path, target)

jobs.audit = broken
run()
"""
"""The command with a bug in the audit of one job."""
DOES_NOT_COMPILE = 'fn main() { let x: u32 = "no number"; }'


ALSO_LONG = pytest.mark.slow


@pytest.mark.parametrize(
    ("script", "limits", "cause", "attempts", "words"),
    [
        pytest.param(KILLS_ITSELF, "", Cause.MEMORY, 2, "SIGKILL", marks=ALSO_LONG),
        (EATS_MEMORY, "memory-gib = 0.75", Cause.MEMORY, 2, "limits.memory-gib"),
        pytest.param(
            LINKS, "", Cause.LIBRARY, 1, "the library foo_missing is missing", marks=ALSO_LONG
        ),
        (INCLUDES, "", Cause.LIBRARY, 1, "the builder image has no libpq-dev"),
        pytest.param(
            CALLS, "", Cause.LIBRARY, 1, "the builder image has no cmake", marks=ALSO_LONG
        ),
        pytest.param(RUNS_GIT, "", Cause.GIT, 1, "neither git nor .git", marks=ALSO_LONG),
        (WANTS_THE_NETWORK, "", Cause.OFFLINE, 1, "network = true in [tool.farm]"),
        (TAKES_LONG, "build-minutes = 0.1", Cause.DEADLINE, 1, "deadline of 0.1 minutes"),
        (DOES_NOT_COMPILE, "", Cause.COMPILE, 1, "mismatched types"),
    ],
)
def test_a_failed_build_has_its_cause_and_as_many_attempts_as_are_of_use(
    farm: Farm,
    warm: Project,
    *,
    script: str,
    limits: str,
    cause: Cause,
    attempts: int,
    words: str,
) -> None:
    place = warm("tiny")
    (place / "build.rs").write_text(script)
    with (place / "pyproject.toml").open("a") as file:
        file.write(f"{SETTINGS}{limits}\n")
    ended = farm("build", place, *ONE, "--json").failed(1)
    (job,) = ended.json["jobs"]
    assert (job["cause"], job["attempts"]) == (cause, attempts), job["reason"]
    assert words in job["reason"]
    log = Path(job["log"]).read_text(encoding="utf-8")
    assert log.count("trying again") == attempts - 1
    if attempts > 1:
        assert f"attempt 1 of 3 failed ({cause}" in ended.err
        assert job["command"]["environment"]["CARGO_BUILD_JOBS"] == "1"


def test_a_failed_smoke_command_is_run_once(farm: Farm, warm: Project) -> None:
    place = warm("tiny")
    with (place / "pyproject.toml").open("a") as file:
        file.write('\n[tool.farm.smoke]\ncommand = ["python", "-c", "import tiny; assert 0, 7"]\n')
    (job,) = farm("build", place, *ONE, "--json").failed(1).json["jobs"]
    assert (job["phase"], job["cause"]) == ("check", Cause.TEST)
    (check,) = job["checks"]
    assert (check["cause"], check["attempts"]) == (Cause.TEST, 1)


def test_an_audit_that_refuses_is_one(farm: Farm, warm: Project) -> None:
    place = warm("tiny")
    source = place / "src" / "lib.rs"
    text = source.read_text(encoding="utf-8").replace(
        "    PyLong_FromLong(42)",
        '    extern "C" { fn arc4random() -> u32; }\n    PyLong_FromLong(arc4random() as _)',
    )
    source.write_text(text, encoding="utf-8")
    (job,) = farm("build", place, *ONE, "--json").failed(1).json["jobs"]
    assert (job["phase"], job["cause"], job["attempts"]) == ("audit", Cause.AUDIT, 1)


def test_a_bug_of_the_farms_costs_the_job_that_it_came_up_in(
    farm: Farm, warm: Project, faults: Callable[[], list[str]]
) -> None:
    place = warm("tiny")
    two = ("--arch", "native", "--py", "3.13", "--py", "3.14", "--no-smoke")
    ended = farm("build", place, *two, "--json", program=WITH_A_BUG).failed(ExitCode.FAULT)
    first, second = ended.json["jobs"]
    assert (first["status"], first["cause"], first["exit_code"]) == ("failed", Cause.FAULT, 70)
    assert "TypeError: of a bug" in first["reason"]
    assert "please report it" in first["reason"]
    assert second["status"] == "built"
    assert [path.name.split("-")[2] for path in (place / "dist").iterdir()] == ["cp314"]
    assert "interrupted" not in ended.err
    assert "Traceback" not in ended.err
    assert len(faults()) == 1


@pytest.mark.slow
def test_a_build_whose_engine_went_away_is_tried_again_by_itself(
    farm: Farm, warm: Project, tmp_path: Path
) -> None:
    """The connection goes, the engine does not: what it was left with must not disturb."""
    place = warm("tiny")
    (place / "build.rs").write_text(TAKES_A_WHILE)
    relay = Relay(tmp_path / "relay.sock")

    def go_and_come() -> None:
        log = wait_for(lambda: next(place.glob(".farm/runs/*/cp313*.log"), None))
        wait_for(lambda: "Compiling tiny" in log.read_text(encoding="utf-8"))
        time.sleep(3)
        relay.go()
        time.sleep(2)
        relay.come()

    interrupter = threading.Thread(target=go_and_come)
    interrupter.start()
    address = {"DOCKER_HOST": f"unix://{tmp_path}/relay.sock"}
    ended = farm("build", place, *ONE, "--json", environment=address).succeeded()
    interrupter.join()
    relay.go()
    assert "attempt 1 of 3 failed (engine gone" in ended.err
    (job,) = ended.json["jobs"]
    assert (job["status"], job["attempts"], job["cause"]) == ("built", 2, "")


@pytest.mark.slow
def test_builds_that_ran_out_of_their_part_of_the_memory_get_all_of_it_alone(
    farm: Farm, project: Project
) -> None:
    place = project("tiny")
    (place / "build.rs").write_text(EATS_MEMORY)
    two = ("--arch", "native", "--py", "3.13", "--py", "3.14", "--no-smoke")
    ended = farm("build", place, *two, "--json", program=ON_A_SMALL_ENGINE).succeeded()
    first, second = ended.json["jobs"]
    assert first["attempts"] == 2
    assert second["attempts"] in {1, 2}  # it may find the answer of the first one's build script
    log = Path(first["log"]).read_text(encoding="utf-8")
    assert f"attempt 1 of 3 failed ({Cause.MEMORY}" in log
    assert "this one gets all of the memory" in log
