"""Which mode compiled a wheel, from the programs that were seen at work: nothing is echoed back."""

from __future__ import annotations

import base64
import hashlib
import shutil
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import docker
import pytest
from conftest import PROJECTS, Farm
from watch import Program, Watch

from farm.engine import connection
from farm.model.failures import Cause
from farm.model.targets import Arch

pytestmark = [pytest.mark.docker, pytest.mark.emulated]

Project = Callable[[str], Path]
ENGINES_OWN = "docker-init"
"""The first process of each container, which the engine brings with it."""
TOOLS = frozenset({"maturin", "cargo", "rustc", "zig"})
ASKS_THE_HOST = """fn main() {
    println!("cargo:rustc-env=SEEN={}", if cfg!(target_arch = "%s") { "%s" } else { "other" });
}
"""
LOCK_WITH_ASKS = """version = 4

[[package]]
name = "asks"
version = "0.1.0"

[[package]]
name = "program"
version = "0.1.0"
dependencies = [
 "asks",
]
"""
NEEDS_THE_TARGET = """fn main() {
    assert_eq!(std::env::consts::ARCH, std::env::var("CARGO_CFG_TARGET_ARCH").unwrap());
}
"""
IS_COMPILED = """from pathlib import Path
assert Path(__spec__.cached).exists()  # no program of the check writes any
"""


@dataclass(frozen=True, kw_only=True)
class Seen:
    """A build that has ended, and what was seen of it."""

    report: Any
    job: Any
    building: tuple[Program, ...]
    """What started in the containers that maturin ran in."""
    checking: tuple[Program, ...]
    """What started in the other containers in which uv or Python ran."""


@pytest.fixture(scope="module")
def native(client: docker.DockerClient) -> Arch:
    return connection.arch(client)


@pytest.fixture(scope="module")
def foreign(native: Arch) -> Arch:
    return next(arch for arch in Arch if arch is not native)


def watched(farm: Farm, place: Path, *arguments: str) -> Seen:
    with Watch() as watch:
        report = farm("build", place, *arguments, "--py", "3.13", "--json").succeeded().json
    (job,) = report["jobs"]
    building, making, running = (
        tuple(p for p in watch.of(report["run"], where=tool) if p.name != ENGINES_OWN)
        for tool in ("maturin", "uv", "python")
    )
    checks = {p.container for p in (*making, *running)} - {p.container for p in building}
    checking = dict.fromkeys(p for p in (*making, *running) if p.container in checks)
    return Seen(report=report, job=job, building=building, checking=tuple(checking))


@pytest.fixture(scope="module")
def hybrid(farm: Farm, foreign: Arch, tmp_path_factory: pytest.TempPathFactory) -> Seen:
    place = shutil.copytree(PROJECTS / "tiny", tmp_path_factory.mktemp("modes") / "tiny")
    return watched(farm, place, "--arch", foreign)


def interpreters(programs: tuple[Program, ...]) -> list[Program]:
    return [p for p in programs if p.emulated and p.name.startswith("python")]


def test_native_builds_run_the_engines_own_programs_and_emulate_none(
    farm: Farm, project: Project, native: Arch
) -> None:
    seen = watched(farm, project("tiny"), "--arch", "native")
    assert {p.name for p in seen.building} >= TOOLS
    assert {p.machine for p in (*seen.building, *seen.checking)} == {native}
    assert not any(p.emulated for p in (*seen.building, *seen.checking))
    assert seen.job["mode"] == "native"


def test_hybrid_builds_compile_and_link_by_the_engines_own_programs_in_a_foreign_container(
    hybrid: Seen, client: docker.DockerClient, native: Arch, foreign: Arch
) -> None:
    image = client.images.get(hybrid.job["image"])
    assert f"linux/{image.attrs['Architecture']}" == foreign.platform
    tools = [p for p in hybrid.building if p.name in TOOLS]
    assert {p.name for p in tools} == TOOLS
    assert {(p.machine, p.emulated) for p in tools} == {(native, False)}
    assert len({p.container for p in hybrid.building}) == 1
    assert hybrid.job["mode"] == "hybrid"


def test_a_hybrid_build_emulates_nothing_but_the_two_interpreters_that_maturin_starts(
    hybrid: Seen,
) -> None:
    emulated = [p for p in hybrid.building if p.emulated]
    assert emulated == interpreters(hybrid.building)
    assert {p.path for p in emulated} == {"/opt/python/cp313-cp313/bin/python"}
    assert len(emulated) == 2


def test_a_check_without_dependencies_starts_one_emulated_interpreter_in_a_container_of_its_own(
    hybrid: Seen, native: Arch, foreign: Arch
) -> None:
    (started,) = interpreters(hybrid.checking)
    assert started.machine == foreign
    making = [p for p in hybrid.checking if p.container != started.container]
    assert "uv" in {p.name for p in making}
    assert {(p.machine, p.emulated) for p in making} == {(native, False)}


def test_a_foreign_check_imports_what_was_compiled_for_it_and_still_tells_what_is_wrong(
    farm: Farm, foreign: Arch, tmp_path: Path
) -> None:
    modules = {"compiled.py": IS_COMPILED, "raises.py": "1 / 0\n", "warns.py": "'\\d'\n"}
    home = "pkg-1.0.dist-info"
    tag = f"py3-none-manylinux_2_28_{foreign}"
    texts = modules | {
        f"{home}/METADATA": "Metadata-Version: 2.1\nName: pkg\nVersion: 1.0\n",
        f"{home}/WHEEL": f"Wheel-Version: 1.0\nRoot-Is-Purelib: false\nTag: {tag}\n",
    }
    record = "".join(f"{name},{_sha256(text)},{len(text)}\n" for name, text in texts.items())
    wheel = tmp_path / f"pkg-1.0-{tag}.whl"
    with zipfile.ZipFile(wheel, "w") as zipped:
        for name, text in (texts | {f"{home}/RECORD": f"{record}{home}/RECORD,,\n"}).items():
            zipped.writestr(name, text)
    (told,) = farm("test", wheel, "--py", "3.13", "--json", cwd=tmp_path).failed(1).json
    (check,) = told["checks"]
    assert check["reason"] == "raises: ZeroDivisionError: division by zero"
    log = Path(told["log"]).read_text()
    assert "compiled 2 of 3 modules" in log
    assert f" on {foreign}, glibc" in log


def _sha256(text: str) -> str:
    digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest())
    return f"sha256={digest.decode().rstrip('=')}"


def test_a_project_with_nothing_to_warn_of_is_not_warned_of(hybrid: Seen) -> None:
    assert hybrid.report["warnings"] == []


@pytest.mark.slow
def test_emulated_builds_run_programs_of_the_target_by_qemu_and_no_others(
    farm: Farm, project: Project, foreign: Arch
) -> None:
    seen = watched(farm, project("tiny"), "--arch", foreign, "--mode", "emulated")
    assert {p.name for p in seen.building} >= TOOLS
    assert {(p.machine, p.emulated) for p in seen.building} == {(foreign, True)}
    assert seen.job["mode"] == "emulated"
    assert [check["passed"] for check in seen.job["checks"]] == [True]


def test_a_build_script_that_asks_for_its_own_architecture_gets_the_hosts_and_a_warning(
    farm: Farm, warm: Project, native: Arch, foreign: Arch
) -> None:
    """That of a crate which only a feature brings."""
    place = warm("program")
    asks = place / "asks"
    (asks / "src").mkdir(parents=True)
    (asks / "build.rs").write_text(ASKS_THE_HOST % (native, native))
    (asks / "src" / "lib.rs").write_text('pub const SEEN: &str = env!("SEEN");\n')
    (asks / "Cargo.toml").write_text('[package]\nname = "asks"\nversion = "0.1.0"\n')
    with (place / "Cargo.toml").open("a") as file:
        file.write('[dependencies]\nasks = { path = "asks", optional = true }\n')
    (place / "Cargo.lock").write_text(LOCK_WITH_ASKS)
    with (place / "pyproject.toml").open("a") as file:
        file.write('[tool.farm]\nfeatures = ["asks"]\n')
    main = place / "src" / "main.rs"
    main.write_text('fn main() { println!("a build script on {}", asks::SEEN); }\n')
    ended = farm("build", place, "--arch", foreign, "--py", "3.13", "--json").succeeded()
    (warning,) = ended.json["warnings"]
    assert warning.startswith("asks 0.1.0 (/src/asks/build.rs): asks its own target_arch")
    assert f"warning: {warning}" in ended.err
    assert f"a build script on {native}" in Path(ended.json["jobs"][0]["log"]).read_text()


def test_a_hybrid_build_that_fails_is_not_tried_otherwise_unless_the_settings_say_so(
    farm: Farm, warm: Project, foreign: Arch
) -> None:
    place = warm("program")
    (place / "build.rs").write_text(NEEDS_THE_TARGET)
    ended = farm("build", place, "--arch", foreign, "--py", "3.13", "--json").failed(1)
    (job,) = ended.json["jobs"]
    assert (job["status"], job["phase"], job["mode"]) == ("failed", "build", "hybrid")
    assert "trying" not in ended.err


def test_a_hybrid_build_that_fails_is_tried_emulated_where_the_settings_say_so(
    farm: Farm, project: Project, native: Arch, foreign: Arch
) -> None:
    place = project("program")
    (place / "build.rs").write_text(NEEDS_THE_TARGET)
    with (place / "pyproject.toml").open("a") as file:
        file.write('\n[tool.farm]\nfallback = "emulated"\n')
    with Watch() as watch:
        ended = farm("build", place, "--arch", foreign, "--py", "3.13", "--json").succeeded()
    (job,) = ended.json["jobs"]
    assert (job["status"], job["mode"]) == ("built", "emulated")
    (said,) = [line for line in ended.err.splitlines() if "hybrid build failed" in line]
    assert said.startswith(f"warning: {job['job']}: ")
    assert said.endswith("; trying emulated")
    assert f"program for {foreign}" in Path(job["log"]).read_text()
    tools = [p for p in watch.of(ended.json["run"], where="maturin") if p.name in TOOLS]
    first, second = dict.fromkeys(p.container for p in tools)
    assert {(p.machine, p.emulated) for p in tools if p.container == first} == {(native, False)}
    assert {(p.machine, p.emulated) for p in tools if p.container == second} == {(foreign, True)}
    assert {p.name for p in tools if p.container == second} == TOOLS


def test_a_crash_under_emulation_is_tried_again_and_may_be_qemus(
    farm: Farm, warm: Project, foreign: Arch
) -> None:
    place = warm("tiny")
    source = place / "src" / "lib.rs"
    text = source.read_text(encoding="utf-8")
    crash = "std::ptr::null::<u8>().read_volatile(); PyModule_Create("
    source.write_text(text.replace("PyModule_Create(", crash), encoding="utf-8")
    ended = farm("build", place, "--arch", foreign, "--py", "3.13", "--json").failed(1)
    (job,) = ended.json["jobs"]
    assert (job["phase"], job["cause"], job["attempts"]) == ("check", Cause.QEMU, 1)
    (check,) = job["checks"]
    assert (check["cause"], check["attempts"]) == (Cause.QEMU, 3)
    assert "attempt 2 of 3 failed (QEMU crash" in ended.err
