"""No secret that a user may have appears anywhere: told, kept, or seen while the farm is at work.

Each is planted once, under a word of its own, so that a leak names its source. An index answers
every request with a refusal, for cargo and uv to complain about with its URL.
"""

from __future__ import annotations

import json
import secrets
import subprocess
import tarfile
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

import docker
import psutil
import pytest
from conftest import Farm, Finished
from seen import containers_seen

from farm.bases.recipes import Recipe
from farm.engine import bake
from farm.model.targets import Arch

pytestmark = pytest.mark.docker

Project = Callable[[str], Path]
NATIVE = ("--arch", "native", "--py", "3.13")
SHOWS_ALL = """fn main() {
    for (name, value) in std::env::vars() {
        println!("cargo:warning=environment {name} is {value}");
    }
    for entry in std::fs::read_dir("/src").unwrap().flatten() {
        println!("cargo:warning=file {:?}", entry.file_name());
    }
}
"""


class Planted:
    """Secrets by the place that they are planted in."""

    def __init__(self) -> None:
        self._words: dict[str, str] = {}

    def __call__(self, place: str) -> str:
        return self._words.setdefault(place, f"planted-{secrets.token_hex(8)}")

    def found_in(self, text: bytes | str) -> list[str]:
        data = text.encode() if isinstance(text, str) else text
        return [place for place, word in self._words.items() if word.encode() in data]


@pytest.fixture
def planted() -> Planted:
    return Planted()


class _Refusing(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_error(403)

    def do_POST(self) -> None:
        self.send_error(403)

    def do_CONNECT(self) -> None:
        self.send_error(403)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def index() -> Iterator[str]:
    """Return `host:port` of an index that refuses everything, as containers reach it."""
    client = docker.from_env()
    network = client.api.inspect_network("bridge")
    client.close()
    gateway = network["IPAM"]["Config"][0].get("Gateway", "172.17.0.1")
    with ThreadingHTTPServer((gateway, 0), _Refusing) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"{gateway}:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.fixture
def surroundings(tmp_path: Path, planted: Planted, index: str) -> dict[str, str]:
    """Return an environment with a secret wherever a user may have one."""
    home = tmp_path / "home"
    (home / ".cargo").mkdir(parents=True)
    token = planted("cargo's credentials")
    (home / ".cargo" / "credentials.toml").write_text(f'[registry]\ntoken = "{token}"\n')
    (home / ".netrc").write_text(f"machine h login me password {planted('.netrc at home')}\n")
    urls = {
        name: f"http://me:{planted(name)}@{index}/{name}"
        for name in ("UV_DEFAULT_INDEX", "UV_INDEX_URL", "UV_EXTRA_INDEX_URL", "HTTPS_PROXY")
    }
    return {
        **urls,
        "UV_INDEX": f"mine=http://{planted('UV_INDEX')}@{index}/mine",
        "ALL_PROXY": f"me:{planted('ALL_PROXY')}@{index}",
        "NO_PROXY": index.partition(":")[0],
        "CARGO_REGISTRIES_MINE_TOKEN": planted("CARGO_REGISTRIES_MINE_TOKEN"),
        "CARGO_REGISTRY_TOKEN": planted("CARGO_REGISTRY_TOKEN"),
        "UV_INDEX_MINE_PASSWORD": planted("UV_INDEX_MINE_PASSWORD"),
        "CARGO_HOME": str(home / ".cargo"),
        "HOME": str(home),
        "XDG_CACHE_HOME": str(tmp_path / "cache"),
    }


@pytest.fixture
def place(project: Project, planted: Planted, index: str) -> Path:
    """Return a repository whose files and settings hold secrets, and which shows what it gets."""
    place = project("program")
    (place / "build.rs").write_text(SHOWS_ALL)
    (place / ".gitignore").write_text(".env\n.netrc\n")
    (place / ".env").write_text(f"PASSWORD={planted('.env')}\n")
    (place / ".netrc").write_text(f"machine h password {planted('.netrc')}\n")
    (place / ".cargo").mkdir()
    url = f"sparse+http://me:{planted('.cargo/config.toml')}@{index}/index/"
    patch = f"http://me:{planted('a key of .cargo/config.toml')}@{index}/git"
    (place / ".cargo" / "config.toml").write_text(
        f'[registries.mine]\nindex = "{url}"\n[patch."{patch}"]\n'
    )
    with (place / "pyproject.toml").open("a") as file:
        file.write(
            "\n[tool.farm.environment]\n"
            f'SERVICE_TOKEN = "{planted("[tool.farm] environment")}"\n'
            f'DATABASE = "postgres://me:{planted("a URL in [tool.farm] environment")}@db/name"\n'
        )
    remote = f"https://me:{planted('.git/config')}@example.com/program"
    for arguments in (("init", "--quiet"), ("remote", "add", "origin", remote)):
        subprocess.run(["git", *arguments], cwd=place, check=True)
    return place


@contextmanager
def command_lines() -> Iterator[set[str]]:
    """Collect every command line of this machine's that is there in the block."""
    seen: set[str] = set()
    ended = threading.Event()

    def look() -> None:
        while not ended.wait(0.02):
            for program in psutil.process_iter():
                try:
                    seen.add(" ".join(program.cmdline()))
                except (psutil.NoSuchProcess, psutil.ZombieProcess):
                    continue

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield seen
    finally:
        ended.set()
        thread.join()


@dataclass(frozen=True, kw_only=True)
class Watched:
    """One call of the farm, with all that could be seen of it."""

    ended: Finished
    commands: set[str]
    containers: list[dict[str, Any]]


def watched(farm: Farm, place: Path, surroundings: Mapping[str, str], *arguments: str) -> Watched:
    with command_lines() as commands, containers_seen() as containers:
        ended = farm("build", place, *NATIVE, *arguments, environment=surroundings)
    return Watched(ended=ended, commands=commands, containers=containers)


def require_nothing_told(
    run: Watched, place: Path, surroundings: Mapping[str, str], planted: Planted
) -> str:
    """Assert that nothing told, kept or seen holds a secret; return all that was written."""
    ids = [path.name for path in (place / ".farm" / "runs").glob("2*")]
    written = run.ended.out + run.ended.err
    assert planted.found_in(written) == [], written
    for top in (place / ".farm", place / "dist", Path(surroundings["XDG_CACHE_HOME"])):
        for path in top.rglob("*"):
            if path.is_file() and not path.is_symlink():
                content = path.read_bytes()
                assert planted.found_in(content) == [], path
                written += content.decode(errors="replace")
    assert planted.found_in("\n".join(run.commands)) == []
    for container in run.containers:
        shown = [container["Config"]["Labels"], container["Config"]["Cmd"], container["HostConfig"]]
        assert planted.found_in(json.dumps(shown)) == []
    for left in left_on_engine(ids):
        assert planted.found_in(json.dumps(left)) == []
    return written


def left_on_engine(runs: list[str]) -> Iterator[Any]:
    """Yield what the engine says of all that `runs` left, and of the images of its containers."""
    client = docker.from_env()
    try:
        for run in runs:
            wanted = {"label": f"farm.run={run}"}
            for container in client.containers.list(all=True, filters=wanted):
                yield container.attrs
                yield container.image.attrs
                yield container.image.history()
            yield client.api.volumes(filters=wanted)
    finally:
        client.close()


def test_a_build_that_passes_tells_and_keeps_no_secret(
    farm: Farm, place: Path, surroundings: Mapping[str, str], planted: Planted
) -> None:
    run = watched(farm, place, surroundings, "--keep", "--json")
    run.ended.succeeded()
    written = require_nothing_told(run, place, surroundings, planted)
    assert "environment SERVICE_TOKEN is ***" in written
    assert "environment DATABASE is postgres://***@db/name" in written
    assert 'file "build.rs"' in written
    for name in (".git", ".env", ".netrc"):
        assert f'file "{name}"' not in written
    plan = farm("plan", place, *NATIVE, "--json", environment=surroundings).succeeded().out
    assert planted.found_in(plan) == []
    kept = [left for left in left_on_engine([run.ended.json["run"]]) if "HostConfig" in left]
    assert kept
    for container in kept:
        names = {pair.partition("=")[0] for pair in container["Config"]["Env"]}
        assert not names & surroundings.keys() - {"HOME", "CARGO_HOME"}


def depend_on_git(place: Path, url: str) -> None:
    with (place / "Cargo.toml").open("a") as file:
        file.write(f'\n[dependencies]\nabsent = {{ git = "{url}" }}\n')
    (place / "Cargo.lock").write_text(
        'version = 4\n\n[[package]]\nname = "absent"\nversion = "0.1.0"\n'
        f'source = "git+{url}#{"0" * 40}"\n\n[[package]]\nname = "program"\nversion = "0.1.0"\n'
        'dependencies = [\n "absent",\n]\n'
    )


def test_a_fetch_that_fails_tells_no_secret(
    farm: Farm, place: Path, surroundings: Mapping[str, str], planted: Planted, index: str
) -> None:
    depend_on_git(place, f"http://me:{planted('Cargo.toml')}@{index}/absent")
    run = watched(farm, place, surroundings, "--json")
    assert run.ended.code in (2, 3)
    assert f"http://***@{index}/absent" in require_nothing_told(run, place, surroundings, planted)


@pytest.mark.parametrize(
    ("old", "new", "phase"),
    [
        ('requires = ["maturin>=1,<2"]', 'requires = ["maturin>=1,<2", "absent"]', "build"),
        ('command = ["program"]', 'command = ["program"]\nrequires = ["absent"]', "check"),
    ],
)
def test_an_index_that_refuses_is_told_without_the_password(
    farm: Farm,
    place: Path,
    surroundings: Mapping[str, str],
    planted: Planted,
    index: str,
    old: str,
    new: str,
    phase: str,
) -> None:
    settings = (place / "pyproject.toml").read_text()
    assert old in settings
    (place / "pyproject.toml").write_text(settings.replace(old, new))
    run = watched(farm, place, surroundings, "--json")
    (job,) = run.ended.json["jobs"]
    assert (job["status"], job["phase"]) == ("failed", phase)
    written = require_nothing_told(run, place, surroundings, planted)
    assert index in written
    assert "absent" in written


DOCKERFILE = """
ARG SEED
FROM ${SEED} AS work
COPY . /farm/
RUN --mount=type=secret,id=ca,target=/run/ca \
    echo "${#HTTPS_PROXY} $(wc --bytes < /run/ca)" > /seen # /farm/
FROM scratch
COPY --from=work /seen /seen
"""


def test_an_image_holds_neither_proxies_nor_authorities(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, planted: Planted
) -> None:
    """Its steps have both: one of them writes down how long they are, and only that."""
    recipes, authorities = tmp_path / "images", tmp_path / "ca.pem"
    (recipes / "probe").mkdir(parents=True)
    (recipes / "common").mkdir()
    (recipes / "probe" / "Dockerfile").write_text(DOCKERFILE)
    bundled = bake.recipes_directory() / bake.BAKE_FILE
    (recipes / bake.BAKE_FILE).write_bytes(bundled.read_bytes())
    authorities.write_text(planted("the CA bundle"))
    proxy = f"http://me:{planted('HTTPS_PROXY')}@192.0.2.1:3128"
    monkeypatch.setenv("HTTPS_PROXY", proxy)
    monkeypatch.setenv("SSL_CERT_FILE", str(authorities))
    monkeypatch.setattr(bake, "recipes_directory", lambda: recipes)
    client = docker.from_env()
    tag = f"farm-test/secrets:{secrets.token_hex(4)}"
    (seed,) = client.images.list("farm/seed")[:1]
    order = bake.Order(
        recipe=Recipe(name="probe-test", folder="probe", platform=Arch.X86_64),
        reference=tag,
        labels={},
        parents={"SEED": seed.tags[0]},
        inputs="{}",
    )
    said: list[str] = []
    oven = bake.Oven(client)
    try:
        with command_lines() as commands:
            oven.bake(order, said.append)
        image = client.images.get(tag)
        told = [said, image.attrs, image.history(), sorted(commands), [*map(str, oven.cache())]]
        assert planted.found_in(json.dumps(told)) == []
        layers = saved(image)
        assert f"{len(proxy)} {authorities.stat().st_size}".encode() in layers
        assert planted.found_in(layers) == []
    finally:
        client.images.remove(tag)
        oven.forget(record for record in oven.cache() if "192.0.2.1" in record.of)
        oven.sweep()
        client.close()


def saved(image: Any) -> bytes:
    """Return all that `docker save` writes of an image, its layers unpacked."""
    found = b""
    with TemporaryFile() as file:
        for chunk in image.save():
            file.write(chunk)
        file.seek(0)
        with tarfile.open(fileobj=file) as archive:
            for member in archive:
                content = archive.extractfile(member)
                found += content.read() if content else b""
    return found
