"""Projects that are not ours, unchanged as PyPI has them, for both architectures."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest
from conftest import Farm
from sdists import unpacked

from farm.model.targets import Arch

pytestmark = [pytest.mark.docker, pytest.mark.emulated]


@dataclass(frozen=True, kw_only=True)
class Sdist:
    project: str
    version: str
    python: str = "3.13"
    tag: str = "cp313-cp313"
    arches: tuple[Arch, ...] = tuple(Arch)

    def __str__(self) -> str:
        return self.project


ALSO_LONG = pytest.mark.slow
SDISTS = [
    # procedural macros and a build script
    Sdist(project="rpds-py", version="2026.9.1"),
    # C and assembler through cc, with a file for each set of instructions
    pytest.param(Sdist(project="blake3", version="1.0.9"), marks=ALSO_LONG),
    # abi3, with manifest and lock below the directory of pyproject.toml, and a path dependency
    pytest.param(Sdist(project="safetensors", version="0.8.0", tag="cp310-abi3"), marks=ALSO_LONG),
    # a program; its lock names members of the workspace that the sdist leaves out
    pytest.param(
        Sdist(project="rust-just", version="1.59.0", tag="py3-none", arches=(Arch.X86_64,)),
        marks=ALSO_LONG,
    ),
    # crates in its own tree, as its cargo configuration says
    pytest.param(
        Sdist(project="orjson", version="3.13.0", arches=(Arch.AARCH64,)), marks=ALSO_LONG
    ),
]


@pytest.mark.parametrize("sdist", SDISTS, ids=str)
def test_a_project_as_it_is_published_gives_wheels_that_work(
    farm: Farm, tmp_path: Path, sdist: Sdist
) -> None:
    place = unpacked(sdist.project, sdist.version, tmp_path)
    arches = [word for arch in sdist.arches for word in ("--arch", arch)]
    report = farm("build", place, *arches, "--py", sdist.python, "--json").succeeded().json
    name = f"{sdist.project.replace('-', '_')}-{sdist.version}-{sdist.tag}"
    assert {Path(job["wheel"]["path"]).name for job in report["jobs"]} == {
        f"{name}-manylinux_2_28_{arch}.whl" for arch in sdist.arches
    }
    for job in report["jobs"]:
        assert job["policy"].startswith("manylinux_2_")
        assert [(c["interpreter"], c["passed"]) for c in job["checks"]] == [(sdist.python, True)]
