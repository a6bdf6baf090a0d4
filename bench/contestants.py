"""How each contestant makes wheels; every one tells what it took, and how exactly it went.

Figures, in seconds: `build` is the build step that everybody has (compile one wheel, crates there,
target directory empty), `whole` all of the command as a user waits for it, `cpu` the CPU seconds
of the machine meanwhile, `ideal` those over the cores. All peers run in the farm's own images, with
the crates fetched before, zig's cache as warm as the image has it, and no checks.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

from containers import Containers
from lab import (
    CA_BUNDLE,
    FOREIGN,
    LABEL,
    ROOT,
    UV_CACHE,
    Failed,
    Lab,
    Ran,
    building,
    certificates,
    environment,
)

from farm.bases.debian import MATURIN
from farm.host.certificates import bundle
from farm.model.plan import TARGET
from farm.model.targets import Arch

CIBUILDWHEEL = "4.3.5"
NATIVE, FOREIGN_ARCH = Arch.X86_64, Arch.AARCH64
_ZIG = "/opt/toolchain/zig"
_AUDITWHEEL = (
    "uv tool run --offline --python /opt/python/cp313-cp313/bin/python3.13 "
    f"auditwheel@{version('auditwheel')}"
)
_FOREIGN_WORDS = (FOREIGN_ARCH.triple, FOREIGN_ARCH.triple.replace("-", "_"))


@dataclass(frozen=True, kw_only=True)
class Found:
    """What one measurement found."""

    figures: Mapping[str, float]
    checked: bool = False
    """Whether checks of the wheels are in it."""
    wheels: tuple[float, ...] = ()
    """Seconds until the first wheel was in place, the second, and so on."""
    configuration: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Subject:
    """A project on this machine that is built."""

    project: Path
    python: str
    """The one that single wheels are for."""


def farm(lab: Lab, subject: Subject, log: Path, *words: str) -> tuple[Any, Ran, tuple[float, ...]]:
    """Run `farm build`; return its report, what it took, and when each wheel was in place."""
    out = lab.directory()
    began = time.time()
    ran = lab.farm(log, "build", subject.project, "--out", out, *words)
    report = json.loads((subject.project / ".farm/runs/latest/report.json").read_bytes())
    placed = sorted(path.stat().st_ctime - began for path in out.glob("*.whl"))
    if len(placed) != len(report["jobs"]):
        raise Failed(f"{len(placed)} wheels of {len(report['jobs'])} jobs; see {log}")
    return report, ran, tuple(round(seconds, 2) for seconds in placed)


def farm_one(lab: Lab, subject: Subject, log: Path, *, arch: Arch, mode: str = "hybrid") -> Found:
    """One wheel, from nothing."""
    words = ("--arch", arch, "--py", subject.python, "--mode", mode)
    report, ran, _ = farm(lab, subject, log, "--force", "--no-smoke", *words)
    return Found(figures={"build": report["jobs"][0]["seconds"]["build"], **_spent(ran)})


def farm_after(lab: Lab, subject: Subject, log: Path) -> Found:
    """The aarch64 wheel by a command of its own, after the x86_64 one, both for the first time.

    In one run their builds overlap. The copy has a line of its own, so that no cache knows it.
    """
    number = time.time_ns()
    place = lab.copy(subject.project, f"{subject.project.name}-{number}")
    with (place / "src" / "lib.rs").open("a", encoding="utf-8") as source:
        source.write(f"// {number}\n")
    copied = Subject(project=place, python=subject.python)
    words = ("--no-smoke", "--py", subject.python)
    farm(lab, copied, log, *words, "--arch", NATIVE)
    report, ran, _ = farm(lab, copied, log, *words, "--arch", FOREIGN_ARCH)
    return Found(figures={"build": report["jobs"][0]["seconds"]["build"], **_spent(ran)})


def farm_many(lab: Lab, subject: Subject, log: Path, *, arches: Sequence[Arch]) -> Found:
    """All wheels of some architectures, from nothing."""
    words = [word for arch in arches for word in ("--arch", arch)]
    _, ran, wheels = farm(lab, subject, log, "--force", "--no-smoke", *words)
    return Found(figures=_spent(ran), wheels=wheels)


def farm_watched(lab: Lab, subject: Subject, log: Path) -> Found:
    """All wheels with their checks, from nothing, and what the controller itself needs.

    `controller` is, for each job, the time in which none of the jobs' containers ran.
    """
    with Containers(lab.client).watched() as containers:
        report, ran, wheels = farm(lab, subject, log, "--force")
    own = (ran.seconds - containers.busy(report["run"])) / len(wheels)
    return Found(figures={**_spent(ran), "controller": own}, wheels=wheels, checked=True)


def farm_changed(lab: Lab, subject: Subject, log: Path) -> Found:
    """All wheels, after one line of the crate was changed since all were built.

    The line is code, in a copy that nothing else builds. That the state before is whole is seen to
    first: by a build that no cache of wheels can answer, once for each copy.
    """
    place = lab.copy(subject.project, f"{subject.project.name}-changing")
    changing = Subject(project=place, python=subject.python)
    built = lab.scratch / f"{place.name}.built"
    if not built.exists():
        _change(place)
        farm(lab, changing, log, "--no-smoke")
        built.touch()
    _change(place)
    _, ran, wheels = farm(lab, changing, log, "--no-smoke")
    return Found(figures=_spent(ran), wheels=wheels)


def farm_unchanged(lab: Lab, subject: Subject, log: Path) -> Found:
    """All wheels once more, with nothing changed since they were built."""
    farm(lab, subject, log, "--no-smoke")
    _, ran, _ = farm(lab, subject, log, "--no-smoke")
    return Found(figures=_spent(ran))


def _change(project: Path) -> None:
    """Change one line of the crate's code, and no line that an earlier call has left."""
    source = project / "src" / "lib.rs"
    head, _, count = source.read_text(encoding="utf-8").partition("\nconst _: u32 = ")
    number = int(count.rstrip(";\n") or 0) + 1
    source.write_text(f"{head.rstrip()}\n\nconst _: u32 = {number};\n", encoding="utf-8")


def plain(
    lab: Lab, subject: Subject, log: Path, *, arches: Sequence[Arch], pythons: str = "one"
) -> Found:
    """`docker run … maturin build` for each wheel, one after the other, as maturin-action does.

    Each has an empty target directory, as every invocation of maturin-action has on a runner of
    its own. For aarch64 maturin cross-compiles with `--zig`, which is cargo-zigbuild.
    """
    times: list[Ran] = []
    for line in _lines(lab, subject, pythons):
        for arch in arches:
            lab.volume("target", empty=True)
            times.append(_maturin(lab, subject, log, line, arch, new=not times))
    return Found(figures=_sum(times))


def zigbuild_after(lab: Lab, subject: Subject, log: Path) -> Found:
    """The aarch64 wheel by `maturin --zig`, after the x86_64 one in the same target directory."""
    (line,) = _lines(lab, subject, "one")
    lab.volume("target", empty=True)
    _maturin(lab, subject, log, line, NATIVE, new=True)
    return Found(figures=_sum([_maturin(lab, subject, log, line, FOREIGN_ARCH, new=False)]))


def _lines(lab: Lab, subject: Subject, pythons: str) -> list[Any]:
    """Return the farm's commands for the native wheels: what a plain build runs as well."""
    only = ("--py", subject.python) if pythons == "one" else ()
    jobs = lab.plan(subject.project, "--arch", NATIVE, *only)["jobs"]
    return [job["build"]["command"] | {"python": job["target"]["interpreter"]} for job in jobs]


def _maturin(lab: Lab, subject: Subject, log: Path, line: Any, arch: Arch, *, new: bool) -> Ran:
    """Run maturin in the native builder; with `new`, on a cache of zig's as the image has it."""
    image = lab.image(f"builder-{NATIVE}")
    words = [lab.crates(subject.project, image, log), lab.linker_cache(image, log, anew=new)]
    work = lab.directory()
    words += building(subject.project, work, lab.volume("target"))
    if arch is FOREIGN_ARCH:
        line = _cross(line)
        words.append(lab.foreign_pythons())
    ran = lab.container(image, line["argv"], log, *words, *environment(line))
    if not list(work.glob("out/*/*.whl")):
        raise Failed(f"maturin left no wheel; see {log}")
    return ran


def _cross(line: Any) -> Any:
    """Return the native command as one that cross-compiles for aarch64 by `maturin --zig`.

    maturin sets linker and C compiler of the target itself, so none is told.
    """
    argv = [word.replace(NATIVE.triple, FOREIGN_ARCH.triple) for word in line["argv"]]
    python = f"python{line['python']}"
    argv[argv.index("--interpreter") + 1] = python
    name = f"cp{line['python'].replace('.', '')}"
    library = f"{FOREIGN}/{name}-{name}/lib/{python}"
    told = {
        key: value
        for key, value in line["environment"].items()
        if not any(word.lower() in key.lower() for word in _FOREIGN_WORDS)
    }
    path = f"{told['PATH']}:{_ZIG}:/opt/python/{name}-{name}/bin"
    told |= {"PATH": path, "PYO3_CROSS_LIB_DIR": library}
    return line | {"argv": [*argv, "--zig"], "environment": told}


def cibuildwheel(lab: Lab, subject: Subject, log: Path, *, pythons: str = "one") -> Found:
    """Cibuildwheel of the native wheels, in the farm's builder, with uv as its frontend.

    Like the farm it gets the crates, zig's cache and a target directory on volumes, and maturin
    in uv's cache. Its wheels are repaired as it does by default, by auditwheel, which is there too,
    as the farm audits each of its own; they are not tested.
    """
    program = _cibuildwheel(lab, log)
    image = lab.image(f"builder-{NATIVE}")
    lines = _lines(lab, subject, pythons)
    lab.volume("target", empty=True)
    volumes = [
        lab.crates(subject.project, image, log),
        lab.linker_cache(image, log, anew=True),
        f"--volume={lab.volume('target')}:{TARGET}",
        _uv_cache(lab, lines[0], image, log),
    ]
    inside = lines[0]["environment"] | {
        "HOME": "/root",
        "MATURIN_PEP517_ARGS": _pep517(lines[0]["argv"]),
        "UV_CACHE_DIR": UV_CACHE,
        "UV_LINK_MODE": "copy",
        "UV_PYTHON_DOWNLOADS": "never",
    }
    inside.pop("PATH")  # the image's own: cibuildwheel puts each interpreter before it
    inside |= {"SSL_CERT_FILE": CA_BUNDLE} if bundle() else {}
    builds = (f"cp{line['python'].replace('.', '')}-manylinux_{NATIVE}" for line in lines)
    options = (f"--label={LABEL}", "--tmpfs=/tmp:exec,mode=1777", *volumes, *certificates())
    configuration = {
        "CIBW_PLATFORM": "linux",
        "CIBW_ARCHS": str(NATIVE),
        "CIBW_BUILD": " ".join(builds),
        f"CIBW_MANYLINUX_{NATIVE.upper()}_IMAGE": image,
        "CIBW_BUILD_FRONTEND": "uv",
        "CIBW_CONTAINER_ENGINE": "docker; create_args: "
        + " ".join(options)
        + "; disable_host_mount: true",
        "CIBW_ENVIRONMENT": " ".join(f'{key}="{value}"' for key, value in inside.items()),
        "CIBW_REPAIR_WHEEL_COMMAND": f"{_AUDITWHEEL} repair -w {{dest_dir}} {{wheel}}",
        "CIBW_TEST_COMMAND": "",
    }
    out = lab.directory()
    argv = [str(program), "--output-dir", str(out), "."]
    ran = lab.run(argv, log, more=configuration, cwd=subject.project)
    wheels = list(out.glob("*.whl"))
    if len(wheels) != len(lines):
        raise Failed(f"cibuildwheel left {len(wheels)} wheels of {len(lines)}; see {log}")
    return Found(figures=_spent(ran), configuration=configuration)


def _pep517(argv: Sequence[str]) -> str:
    """Return those of maturin's arguments that a build frontend is not the one to give."""
    kept = []
    for option in ("--target", "--compatibility"):
        kept += [option, argv[argv.index(option) + 1]]
    return " ".join(["--locked", "--offline", *kept])


def _cibuildwheel(lab: Lab, log: Path) -> Path:
    """Return cibuildwheel's program, in a virtual environment of the bench's own."""
    venv = ROOT / "bench" / "results" / f"cibuildwheel-{CIBUILDWHEEL}"
    program = venv / "bin" / "cibuildwheel"
    if not program.exists():
        lab.run([sys.executable, "-m", "venv", "--clear", str(venv)], log)
        trusted = bundle()
        more = {"PIP_CERT": str(trusted)} if trusted else {}
        pip = (str(venv / "bin" / "python"), "-m", "pip", "install", "--quiet")
        lab.run([*pip, f"cibuildwheel=={CIBUILDWHEEL}"], log, more=more)
    return program


def _uv_cache(lab: Lab, line: Any, image: str, log: Path) -> str:
    """Return the volume with uv's cache, which has maturin and auditwheel."""
    option = f"--volume={lab.volume('uv')}:{UV_CACHE}"
    words = (option, f"--env=UV_CACHE_DIR={UV_CACHE}", *certificates())
    argv = ("uv", "pip", "install", "--quiet", "--target=/tmp/maturin", f"maturin=={MATURIN}")
    python = f"--python={line['argv'][line['argv'].index('--interpreter') + 1]}"
    lab.container(image, [*argv, python], log, *words, network=True)
    environment = ("--env=UV_TOOL_DIR=/tmp/tools", "--env=UV_PYTHON_DOWNLOADS=never")
    auditwheel = _AUDITWHEEL.replace("--offline ", "").split()
    lab.container(image, [*auditwheel, "--version"], log, *words, *environment, network=True)
    return option


def _spent(ran: Ran) -> dict[str, float]:
    return {
        "whole": ran.seconds,
        "cpu": ran.cpu,
        "ideal": ran.cpu / (os.cpu_count() or 1),
        "peak MiB": ran.peak_kib / 1024,
    }


def _sum(times: Sequence[Ran]) -> dict[str, float]:
    seconds, cpu = sum(ran.seconds for ran in times), sum(ran.cpu for ran in times)
    return {"build": seconds, "whole": seconds, "cpu": cpu, "ideal": cpu / (os.cpu_count() or 1)}
