"""`farm build` end to end, on the real engine."""

from __future__ import annotations

import json
import re
import zipfile
from collections.abc import Callable
from pathlib import Path

import docker
import pytest
from conftest import Farm
from seen import containers_seen

from farm.engine.leftovers import RUN_LABEL
from farm.runs.directory import find_run

pytestmark = pytest.mark.docker

Project = Callable[[str], Path]
LOCK_WITH_LAZY_STATIC = """version = 4

[[package]]
name = "lazy_static"
version = "1.5.0"
source = "registry+https://github.com/rust-lang/crates.io-index"
checksum = "bbd2bcb4c963f2ddae06a2efc7e9f3591312473c50c6685e1f298068316e66fe"

[[package]]
name = "program"
version = "0.1.0"
dependencies = [
 "lazy_static",
]
"""
USES_LAZY_STATIC = """
lazy_static::lazy_static! { static ref NAME: String = "program".to_string(); }
fn main() { println!("{}", *NAME); }
"""


def left_on_engine(run: str) -> list[str]:
    client = docker.from_env()
    try:
        wanted = {"label": f"farm.run={run}"}
        containers = client.containers.list(all=True, filters=wanted)
        return [c.name for c in containers] + [v.name for v in client.volumes.list(filters=wanted)]
    finally:
        client.close()


def test_what_runs_is_what_the_plan_says_and_nothing_is_left(farm: Farm, warm: Project) -> None:
    place = warm("tiny")
    selectors = ("--arch", "native", "--py", "3.13")
    plan = farm("plan", place, *selectors, "--json").succeeded().json
    with containers_seen() as seen:
        report = farm("build", place, *selectors, "--json").succeeded().json
    (job,) = plan["jobs"]
    build = job["build"]["command"]
    mine = [c["Config"] for c in seen if c["Config"]["Labels"].get(RUN_LABEL) == report["run"]]
    (built,) = [config for config in mine if config["Cmd"][:2] == ["maturin", "build"]]
    assert built["Cmd"] == build["argv"]
    assert built["WorkingDir"] == build["cwd"]
    assert dict(e.split("=", 1) for e in built["Env"]).items() >= build["environment"].items()
    (result,) = report["jobs"]
    assert result["command"] == build
    assert result["status"] == "built"
    assert find_run(place).planned == (job["id"],)
    assert [check["passed"] for check in result["checks"]] == [True]
    assert [w.name for w in (place / "dist").iterdir()] == [
        "tiny-0.1.0-cp313-cp313-manylinux_2_28_x86_64.whl"
    ]
    assert left_on_engine(report["run"]) == []


def test_a_report_names_what_it_takes_to_build_a_wheel_again(farm: Farm, warm: Project) -> None:
    place = warm("tiny")
    report = farm("build", place, "--arch", "aarch64", "--py", "3.9", "--json").succeeded().json
    kept = place / ".farm" / "runs" / report["run"] / "report.json"
    assert json.loads(kept.read_text(encoding="utf-8")) == report
    (result,) = report["jobs"]
    assert result["mode"] == "hybrid"
    assert result["wheel"]["path"] == str(
        place / "dist" / "tiny-0.1.0-cp39-cp39-manylinux_2_28_aarch64.whl"
    )
    assert result["wheel"]["size"] == Path(result["wheel"]["path"]).stat().st_size
    assert re.fullmatch(r"\d+\.\d+\S*", report["emulation"]["aarch64"])
    versions = report["images"]["builder-aarch64"]
    assert versions["id"] == result["image"]
    assert {"rustc", "maturin", "ziglang"} <= versions.keys()
    assert len(report["source"]) == len(versions["inputs"]) == 64
    assert [command["argv"][:2] for command in report["fetch"]] == [["cargo", "fetch"]]


def test_an_abi3_wheel_is_checked_on_every_python_that_it_claims(farm: Farm, warm: Project) -> None:
    place = warm("tiny")
    with (place / "pyproject.toml").open("a") as file:
        file.write('\n[tool.farm]\nfeatures = ["abi3"]\n')
    report = farm("build", place, "--arch", "native", "--json").succeeded().json
    (result,) = report["jobs"]
    assert result["wheel"]["path"].endswith("tiny-0.1.0-cp39-abi3-manylinux_2_28_x86_64.whl")
    assert [c["interpreter"] for c in result["checks"]] == ["3.9", "3.11", "3.13", "3.14", "3.15"]


def test_a_program_is_a_wheel_for_every_python(farm: Farm, project: Project) -> None:
    report = farm("build", project("program"), "--py", "3.13", "--json").succeeded().json
    names = [Path(job["wheel"]["path"]).name for job in report["jobs"]]
    assert names == [
        "program-0.1.0-py3-none-manylinux_2_28_x86_64.whl",
        "program-0.1.0-py3-none-manylinux_2_28_aarch64.whl",
    ]
    for job in report["jobs"]:
        assert f"program for {job['job'].rpartition('28_')[2]}" in Path(job["log"]).read_text()


def test_a_cffi_library_gets_the_build_environment_that_it_asks_for(
    farm: Farm, project: Project
) -> None:
    report = farm("build", project("library"), "--py", "3.11", "--json").succeeded().json
    assert [job["status"] for job in report["jobs"]] == ["built", "built"]
    for job in report["jobs"]:
        assert [c["argv"][:2] for c in job["prepare"]] == [["uv", "venv"], ["uv", "pip"]]


def test_a_workspace_member_is_built_with_what_lies_beside_it(farm: Farm, project: Project) -> None:
    member = project("workspace") / "python"
    report = farm("build", member, "--py", "3.13", "--json").succeeded().json
    assert [job["status"] for job in report["jobs"]] == ["built", "built"]


def test_a_crate_that_a_dependencys_feature_brings_is_got_though_no_lock_has_it(
    farm: Farm, project: Project
) -> None:
    place = project("program")
    with (place / "Cargo.toml").open("a") as file:
        file.write('[dependencies]\nlazy_static = "1.5"\n')
    (place / "Cargo.lock").write_text(LOCK_WITH_LAZY_STATIC)
    (place / "src" / "main.rs").write_text(USES_LAZY_STATIC)
    with (place / "pyproject.toml").open("a") as file:
        file.write('[tool.farm]\nfeatures = ["lazy_static/spin_no_std"]\n')
    ended = farm("build", place, "--arch", "native", "--py", "3.13", "--json").succeeded()
    (warning,) = ended.json["warnings"]
    assert re.match(r"Cargo\.lock does not pin spin 0\.9\.\d+, which a depend", warning)
    assert f"warning: {warning}" in ended.err
    assert "Compiling spin v0.9" in Path(ended.json["jobs"][0]["log"]).read_text()


def test_one_failing_job_leaves_the_others_wheels(farm: Farm, warm: Project) -> None:
    """The extension refuses one interpreter at import; its wheel is kept, out of dist/."""
    place = warm("tiny")
    library = place / "src" / "lib.rs"
    broken = "    if Py_GetVersion().cast::<u8>().add(2).read() == b'9' { return null_mut(); }\n"
    marker = "    PyModule_Create("
    library.write_text(library.read_text().replace(marker, broken + marker))
    ended = farm("build", place, "--arch", "native", "--json").failed(1)
    results = {job["job"]: job for job in ended.json["jobs"]}
    bad = results.pop("cp39-manylinux_2_28_x86_64")
    assert {job["status"] for job in results.values()} == {"built"}
    assert len(list((place / "dist").iterdir())) == len(results)
    assert (bad["status"], bad["phase"]) == ("failed", "check")
    assert "tiny" in bad["reason"]
    assert zipfile.is_zipfile(bad["wheel"]["path"])
    assert bad["wheel"]["path"] in ended.err
    assert bad["log"] in ended.err


def test_a_wheel_that_exists_can_be_tested(farm: Farm, warm: Project, tmp_path: Path) -> None:
    place = warm("tiny")
    wheel = farm("build", place, "--arch", "aarch64", "--py", "3.13", "--no-smoke").out.strip()
    ended = farm("test", wheel, "--json", cwd=tmp_path).succeeded()
    (checks,) = ended.json
    assert [c["interpreter"] for c in checks["checks"]] == ["3.13"]
    damaged = tmp_path / Path(wheel).name
    damaged.write_bytes(Path(wheel).read_bytes()[:-100])
    farm("test", damaged, cwd=tmp_path).failed(1)
