"""One run of `farm build`, watched and disturbed from outside."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import docker
from docker.errors import APIError

from farm.engine.leftovers import JOB_LABEL, RUN_LABEL

PATIENCE = 240.0
"""Seconds after which a run hangs."""
_LOOK = 0.05


@dataclass(frozen=True, kw_only=True)
class Ended:
    """A run that has ended."""

    run: str
    """Its id; empty for one that ended before it had any."""
    code: int
    said: str
    seconds: float
    peak: int
    """The most memory that the controller held, in KiB."""


@dataclass(frozen=True, kw_only=True)
class Live:
    """A run under way."""

    process: subprocess.Popen[bytes]
    project: Path
    run: str
    seconds: float


Disturb = Callable[[Live], bool]
"""Called again and again once the run has its id, until it says that it has done its harm."""


def run(project: Path, words: tuple[str, ...], disturb: Disturb, mark: Mapping[str, str]) -> Ended:
    """Run `farm build` of `project` to its end; `mark` is more environment of all its processes."""
    before = runs(project)
    started = time.monotonic()
    errors = project.parent / f"{project.name}.err"
    with errors.open("wb") as said:
        process = subprocess.Popen(
            ["env", "--default-signal=INT", sys.executable, "-m", "farm", "build", ".", *words],
            cwd=project,
            env=os.environ | mark,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=said,
            start_new_session=True,
        )
        peak, done, name = 0, False, ""
        while process.poll() is None:
            peak = max(peak, peak_kib(process.pid))
            name = name or max(runs(project) - before, default="")
            seconds = time.monotonic() - started
            if name and not done:
                done = disturb(Live(process=process, project=project, run=name, seconds=seconds))
            if seconds > PATIENCE:
                process.kill()
            time.sleep(_LOOK)
    return Ended(
        run=name,
        code=process.returncode,
        said=errors.read_text(encoding="utf-8", errors="replace"),
        seconds=time.monotonic() - started,
        peak=peak,
    )


def runs(project: Path) -> set[str]:
    """Return the ids of the runs of `project`."""
    return {path.name for path in project.glob(".farm/runs/*") if not path.is_symlink()}


def remove_container(client: docker.DockerClient, live: Live, job: str) -> bool:
    """Remove the container of `job` once its build script runs; tell whether that is done."""
    log = live.project / ".farm" / "runs" / live.run / f"{job}.log"
    if not log.exists() or b"Compiling sabotaged" not in log.read_bytes():
        return False
    wanted = {"label": [f"{RUN_LABEL}={live.run}", f"{JOB_LABEL}={job}"], "status": "running"}
    for container in client.api.containers(filters=wanted):
        try:
            client.api.remove_container(container["Id"], force=True)
        except APIError:
            continue  # it had just ended
        return True
    return False


def peak_kib(pid: int) -> int:
    """Return the high-water mark of a process's memory in KiB; 0 for one that has just ended.

    Not what `wait4` tells: that begins with what the parent held as it forked.
    """
    try:
        status = Path(f"/proc/{pid}/status").read_text(encoding="ascii", errors="replace")
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in status.splitlines() if "VmHWM" in line), 0)
