"""What a hostile project attempts, on the real engine: every attempt is held.

Which containers are looked at: those of the runs that the tests start, told by their run's label,
since others may be using the engine at the same time.
"""

from __future__ import annotations

import json
import os
import re
import socket
import stat
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import docker
import pytest
from conftest import Farm
from seen import containers_seen

from farm.bases.debian import ZIG_CACHE
from farm.engine.build_cache import held_caches

pytestmark = pytest.mark.docker

Project = Callable[[str], Path]
NATIVE = ("--arch", "native", "--py", "3.13")
BOTH = ("--py", "3.13", "--no-smoke", "--json")
ATTEMPT = re.compile(r"hostile@0\.1\.0: (?P<name>[^:]*(?::\d+)?): (?P<text>.*)")
OF_THE_FARM = {"/src", "/work", "/target", "/tmp", ZIG_CACHE}  # noqa: S108 - a container's
IN_MEMORY = {"/dev", "/dev/shm", "/dev/mqueue", "/sys/fs/cgroup"}  # noqa: S108
"""The engine's own, private to each container: a tmpfs counts to its memory."""


def settle(place: Path, text: str) -> None:
    with (place / "pyproject.toml").open("a", encoding="utf-8") as file:
        file.write(text)


def log_of(report: Any, arch: str) -> str:
    (result,) = [job for job in report["jobs"] if job["job"].endswith(arch)]
    return Path(result["log"]).read_text(encoding="utf-8")


@pytest.fixture
def listeners() -> Iterator[str]:
    """Listen on all of this machine's addresses; return those that a container could try."""
    client = docker.from_env()
    network = client.api.inspect_network("bridge")
    client.close()
    gateway = network["IPAM"]["Config"][0].get("Gateway", "172.17.0.1")
    with socket.create_server(("0.0.0.0", 0)) as server:  # noqa: S104 - to be found, if anything can
        port = server.getsockname()[1]
        with socket.create_connection((gateway, port), timeout=5):
            pass  # so an attempt that is held was not held for want of a listener
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as route:
            route.connect(("192.0.2.1", 9))
            own = route.getsockname()[0]
        yield " ".join(f"{host}:{port}" for host in (gateway, own, "127.0.0.1"))


@pytest.fixture(scope="module")
def native_arch() -> str:
    client = docker.from_env()
    try:
        return {"amd64": "x86_64", "arm64": "aarch64"}[client.version()["Arch"]]
    finally:
        client.close()


def test_whatever_a_build_script_and_a_smoke_test_attempt_is_held(
    farm: Farm,
    project: Project,
    client: docker.DockerClient,
    listeners: str,
    native_arch: str,
) -> None:
    place = project("hostile")
    words = json.dumps(["python", "{project}/attempts.py", *listeners.split()])
    settle(
        place,
        f"\n[tool.farm.environment]\nLISTENERS = {json.dumps(listeners)}\n"
        f"[tool.farm.smoke]\ncommand = {words}\n",
    )
    with containers_seen() as seen:
        report = farm("build", place, *NATIVE, "--json").succeeded().json
    log = log_of(report, native_arch)
    told = dict(ATTEMPT.findall(log))
    attempts = {name: text for name, text in told.items() if name.startswith("attempt ")}
    assert len(attempts) >= 50, log
    assert [each for each in attempts.items() if not each[1].startswith("held: ")] == []
    assert "attempts: all held" in log
    assert set(told["writable"].split()) - IN_MEMORY == OF_THE_FARM
    assert told["limits"].split()[-3:] == ["0", "0", "bytes"]
    (held,) = (each for each in held_caches(client) if each.title == str(place))
    require_own_mounts(told["mounts"].split(), report, held.key)
    require_closed_in([c for c in seen if run_of(c) == report["run"]])


def require_own_mounts(mounts: list[str], report: Any, key: str) -> None:
    """What is mounted is the job's own, its project's, or one of the engine's own files.

    `key` is what the project's own volumes are called by.
    """
    volumes, files = {}, {"/etc/resolv.conf", "/etc/hostname", "/etc/hosts"}
    for mount in mounts:
        source, _, place = mount.rpartition(":")
        if found := re.search(r"/volumes/([^/]+)/_data$", source):
            volumes[place] = found[1]
        else:
            assert place in files or place.endswith("sbin/docker-init"), mount
    run, (job,) = report["run"], report["jobs"]
    assert volumes.pop("/src") == f"farm-{run}-{job['job']}-source"
    assert volumes.pop("/work") == f"farm-{run}-{job['job']}-work"
    project = volumes["/cargo"].removesuffix("-cargo")
    assert project == f"farm-cache-{key}"
    assert re.sub("-[0-9a-f]{8}$", "", volumes["/target"]) == f"{project}-{job['job']}"
    assert re.sub("-[0-9a-f]{8}$", "", volumes[ZIG_CACHE]) == f"{project}-linker"
    assert volumes.keys() == {"/cargo", "/target", ZIG_CACHE}


def run_of(container: Any) -> str | None:
    run: str | None = container["Config"]["Labels"].get("farm.run")
    return run


def require_closed_in(containers: list[dict[str, Any]]) -> None:
    """Assert it of every container of a run, its sentinel included."""
    networked, users = [], set()
    for container in containers:
        host, config = container["HostConfig"], container["Config"]
        assert host["CapDrop"] == ["ALL"]
        assert not host["CapAdd"]
        assert not host["Privileged"]
        assert not host["Devices"]
        assert host["SecurityOpt"] == ["no-new-privileges"]
        assert host["ReadonlyRootfs"]
        assert host["PidsLimit"] > 0
        assert host["Memory"] == host["MemorySwap"] > 0
        assert "host" not in (host["PidMode"], host["UTSMode"], host["UsernsMode"])
        assert host["IpcMode"] in ("private", "none")
        assert not host["Binds"]
        assert all(mount["Source"].startswith("farm-") for mount in host.get("Mounts") or ())
        assert {mount["Type"] for mount in container["Mounts"]} <= {"volume"}
        sentinel = "farm.sentinel" in config["Labels"]
        assert sentinel or host["LogConfig"]["Type"] == "none"
        users.add(config["User"])
        if host["NetworkMode"] != "none":
            networked.append(config["Cmd"][:2])
    assert networked == [["cargo", "fetch"]]
    assert users == {"65534:65534", "0:0", "1000:1000"}


@pytest.mark.parametrize(
    ("attack", "limits", "reason"),
    [
        ("processes", "pids = 200", r"no thread after \d+: .*limits\.pids"),
        ("memory", "memory-gib = 0.5", r"ran out of memory: .*limits\.memory-gib"),
        ("tmp", "memory-gib = 0.5", r"ran out of memory: .*limits\.memory-gib"),
    ],
)
def test_who_uses_up_a_resource_fails_alone_and_is_told_which(
    farm: Farm, project: Project, attack: str, limits: str, reason: str
) -> None:
    place = project("hostile")
    settle(
        place, f'\n[tool.farm]\nenvironment = {{ ATTACK = "{attack}" }}\nlimits = {{ {limits} }}\n'
    )
    native, foreign = farm("build", place, *BOTH).failed(1).json["jobs"]
    assert native["status"] == "built"
    assert foreign["status"] == "failed"
    assert re.search(reason, foreign["reason"]), foreign["reason"]


@pytest.mark.slow
def test_a_flood_of_output_fills_no_disk(farm: Farm, project: Project) -> None:
    """The build writes more than a log holds, in one line, and its failure is told all the same."""
    place = project("hostile")
    settle(place, '\n[tool.farm]\nenvironment = { ATTACK = "log" }\n')
    _native, foreign = farm("build", place, *BOTH).failed(1).json["jobs"]
    assert foreign["reason"]
    assert Path(foreign["log"]).stat().st_size < 300 << 20


def test_a_finished_wheel_is_the_users_own(farm: Farm, project: Project) -> None:
    place = project("program")
    old = os.umask(0o027)
    try:
        wheel = Path(farm("build", place, *NATIVE, "--no-smoke").succeeded().out.strip())
    finally:
        os.umask(old)
    status = wheel.stat()
    assert (status.st_uid, status.st_gid) == (os.getuid(), os.getgid())
    assert stat.S_IMODE(status.st_mode) == 0o640
    assert status.st_mtime >= (place / "pyproject.toml").stat().st_mtime


CONFIG = """
include = ["more.toml"]
paths = []

[build]
rustc = "/src/witness/rustc"
rustc-wrapper = "/src/witness/wrapper"
rustc-workspace-wrapper = "/src/witness/wrapper"

[net]
git-fetch-with-cli = true

[registry]
global-credential-providers = ["/src/witness/wrapper"]
credential-provider = ["/src/witness/wrapper"]

[credential-alias]
mine = ["/src/witness/wrapper"]

[alias]
fetch = "run --release"

[env]
RUSTC_WRAPPER = { value = "/src/witness/wrapper", force = true }
PATH = { value = "/src/witness:/usr/bin:/bin", force = true }
"""
MORE = '[build]\nrustc-wrapper = "/src/witness/wrapper"\n'
TOOLCHAIN = '[toolchain]\npath = "/src/witness"\n'
WITNESS = """#!/bin/sh
echo "witness: $0 ran in $PWD" >&2
(: > /cargo/witness) 2> /dev/null
"""
BUILD_SCRIPT = """fn main() {
    println!("cargo:warning=the fetch left {:?}", std::fs::metadata("/cargo/witness").is_ok());
}
"""


def test_the_fetch_runs_no_program_that_the_project_names(farm: Farm, tmp_path: Path) -> None:
    """A build honours all of it, and has no network; there the very same programs do run.

    The dependency is a git repository: with its own client, cargo would need a `git`, which the
    witnesses' directory on PATH and the project's settings would give it.
    """
    place = hostile_tree(tmp_path / "tree")
    report = farm("build", place, *NATIVE, "--no-smoke", "--json").succeeded().json
    (job,) = report["jobs"]
    build = Path(job["log"]).read_text(encoding="utf-8")
    fetch = Path(job["log"]).with_name("fetch.log").read_text(encoding="utf-8")
    assert "witness: /src/witness/wrapper ran" in build
    assert "the fetch left false" in build
    assert "dependency.git" in fetch
    assert "witness" not in fetch


def hostile_tree(top: Path) -> Path:
    """Make a tree with a project in it whose configuration names programs; return the project."""
    place = top / "project"
    revision = git_dependency(top / "dependency.git")
    source = "git+file:///src/dependency.git"
    files = {
        "project/Cargo.toml": (
            '[package]\nname = "project"\nversion = "0.1.0"\nedition = "2021"\n[workspace]\n'
            '[dependencies]\ndependency = { git = "file:///src/dependency.git" }\n'
        ),
        "project/Cargo.lock": (
            'version = 4\n\n[[package]]\nname = "dependency"\nversion = "0.1.0"\n'
            f'source = "{source}#{revision}"\n\n[[package]]\nname = "project"\n'
            'version = "0.1.0"\ndependencies = [\n "dependency",\n]\n'
        ),
        "project/src/main.rs": "fn main() { dependency::greet() }\n",
        "project/build.rs": BUILD_SCRIPT,
        "project/pyproject.toml": (
            '[build-system]\nrequires = ["maturin"]\nbuild-backend = "maturin"\n'
            '[project]\nname = "project"\nversion = "0.1.0"\n[tool.maturin]\nbindings = "bin"\n'
            "[tool.farm.environment]\n"
            'CARGO_BUILD_RUSTC_WRAPPER = "/src/witness/wrapper"\n'
            'CARGO_NET_GIT_FETCH_WITH_CLI = "true"\n'
            'CARGO_REGISTRY_GLOBAL_CREDENTIAL_PROVIDERS = "/src/witness/wrapper"\n'
        ),
        "witness/wrapper": f'{WITNESS}exec "$@"\n',
        "witness/rustc": f'{WITNESS}exec /opt/toolchain/bin/rustc "$@"\n',
        "witness/git": f"{WITNESS}exit 1\n",
    }
    for directory in ("", "project/"):
        files[f"{directory}.cargo/config.toml"] = CONFIG
        files[f"{directory}.cargo/more.toml"] = MORE
        files[f"{directory}rust-toolchain.toml"] = TOOLCHAIN
    for name, text in files.items():
        path = top / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        if name.startswith("witness/"):
            path.chmod(0o755)
    git(top, "init", "--quiet")
    return place


def git_dependency(bare: Path) -> str:
    """Make a bare repository of a crate; return its commit's id."""
    work = bare.with_suffix(".work")
    (work / "src").mkdir(parents=True)
    (work / "src" / "lib.rs").write_text("pub fn greet() {}\n")
    (work / "Cargo.toml").write_text(
        '[package]\nname = "dependency"\nversion = "0.1.0"\nedition = "2021"\n'
    )
    git(work, "init", "--quiet", "--initial-branch=main")
    git(work, "add", ".")
    git(work, "-c", "user.name=a", "-c", "user.email=a@b", "commit", "--quiet", "-m", "a crate")
    git(bare.parent, "clone", "--quiet", "--bare", str(work), str(bare))
    (bare / "refs" / "heads" / "keep").write_text(git(work, "rev-parse", "HEAD"))
    return git(work, "rev-parse", "HEAD").strip()


def git(place: Path, *arguments: str) -> str:
    return subprocess.run(
        ("git", *arguments), cwd=place, check=True, capture_output=True, text=True
    ).stdout
