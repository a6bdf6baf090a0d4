"""What tests of several kinds share: the command as users run it, and projects to run it on."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import docker
import pytest
from seen import remove_caches, remove_what_is_left

from farm.engine.connection import connect
from farm.host import faults as host_faults

PROJECTS = Path(__file__).parent / "projects"


@dataclass(frozen=True, kw_only=True)
class Finished:
    """One call of the command that has ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    def succeeded(self) -> Finished:
        assert self.code == 0, self.err
        return self

    def failed(self, code: int) -> Finished:
        """Assert the status, and that the user saw no traceback."""
        assert self.code == code, f"status {self.code}: {self.err}"
        assert not re.search(r"^Traceback", self.err, re.MULTILINE), self.err
        assert self.err.strip()
        return self


Farm = Callable[..., Finished]


@pytest.fixture(scope="session")
def _faults_directory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Have every fault of the farm, in this process and in those it starts, written down here."""
    directory = tmp_path_factory.mktemp("faults")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FARM_FAULTS", str(directory))
        yield directory


@pytest.fixture
def faults(_faults_directory: Path) -> Iterator[Callable[[], list[str]]]:
    """Give, to a test that makes faults of the farm, a function that returns and clears them."""

    def take() -> list[str]:
        found = []
        for path in sorted(_faults_directory.glob("fault-*.txt")):
            found.append(path.read_text())
            path.unlink()
        host_faults.forget()
        return found

    yield take
    take()


@pytest.fixture(autouse=True)
def _no_fault_goes_unseen(_faults_directory: Path) -> Iterator[None]:
    """Fail a test in which a bug of the farm's came up, whatever else it asserts."""
    yield
    texts = [path.read_text() for path in _faults_directory.glob("fault-*.txt")]
    for path in _faults_directory.glob("fault-*.txt"):
        path.unlink()
    assert not texts, "\n".join(texts)


def wait_for(found: Callable[[], Any], patience: float = 120) -> Any:
    """Return what `found` returns, once that is true; fail after `patience` seconds."""
    until = time.monotonic() + patience
    while not (value := found()):
        assert time.monotonic() < until
        time.sleep(0.02)
    return value


@pytest.fixture(scope="session")
def farm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Farm]:
    """Give a function that runs `farm` with arguments, as a user would, or as `program` does.

    Each call has an empty cache of wheels, unless its environment names one. What builds of the
    tests' projects left for the next ones is removed in the end.
    """

    def run(
        *arguments: str | Path,
        cwd: Path | None = None,
        environment: Mapping[str, str] | None = None,
        prefix: tuple[str, ...] = (),
        program: str = "",
    ) -> Finished:
        how = ("-c", program) if program else ("-m", "farm")
        ended = subprocess.run(
            [*prefix, sys.executable, *how, *map(str, arguments)],
            cwd=cwd,
            env=os.environ
            | {"XDG_CACHE_HOME": str(tmp_path_factory.mktemp("cache"))}
            | dict(environment or {}),
            capture_output=True,
            text=True,
            check=False,
        )
        return Finished(code=ended.returncode, out=ended.stdout, err=ended.stderr)

    yield run
    remove_caches(tmp_path_factory.getbasetemp())


@pytest.fixture(scope="session")
def client() -> Iterator[docker.DockerClient]:
    """Give a client of the machine's engine."""
    with connect() as made:
        yield made


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Callable[[str], Path]]:
    """Give a function that copies a project of `tests/projects` to where a test may change it.

    What the runs of such a copy have left on the engine is removed in the end.
    """

    def copy(name: str) -> Path:
        return Path(shutil.copytree(PROJECTS / name, tmp_path / name, symlinks=True))

    yield copy
    remove_what_is_left(tmp_path)
    remove_caches(tmp_path)


@pytest.fixture
def warm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Path]]:
    """Give what `project` does, for tests to which it is all the same what is compiled already.

    All copy to one place, and so begin with what builds of the tests before left on the engine.
    """
    top = tmp_path_factory.getbasetemp() / "warm"

    def copy(name: str) -> Path:
        shutil.rmtree(top / name, ignore_errors=True)
        return Path(shutil.copytree(PROJECTS / name, top / name, symlinks=True))

    yield copy
    remove_what_is_left(top)
