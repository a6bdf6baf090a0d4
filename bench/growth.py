"""How the controller's own time and memory grow with the number of jobs.

    .venv/bin/python bench/growth.py JOBS

Prints JSON of one run on work that is done at once: scheduler, console without a terminal, journal
and report are the farm's own, and each job says as many lines as a build of a small crate does.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from io import StringIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NoReturn

from controller import peak_kib
from rich.console import Console

from farm.model.events import JobLine, JobPhase, Phase
from farm.model.plan import Build, Command, Job
from farm.model.results import JobResult, Report, Status
from farm.model.targets import Arch, Interpreter, Mode, Target
from farm.report.console import Progress
from farm.report.summary import show_report
from farm.runs.directory import append_result, new_run, write_report
from farm.runs.scheduler import Schedule, Work, run_jobs

JOBS = (10, 100, 1000)
_LINES = 40


def main(count: int) -> None:
    """Run `count` jobs, and tell what that took."""
    began, cpu = time.monotonic(), time.process_time()
    with TemporaryDirectory(prefix="farm-bench-") as place:
        console = Console(file=StringIO(), width=100)
        jobs = tuple(_job(number) for number in range(count))
        run, directory = new_run(Path(place))
        progress = Progress(console)
        with progress.shown(tuple(job.id for job in jobs)):
            results, _ = run_jobs(jobs, _work(progress, directory), Schedule(builders=2))
        report = _report(run, results)
        show_report(console, report, str(write_report(report, directory)))
    told = {
        "jobs": count,
        "seconds": time.monotonic() - began,
        "cpu": time.process_time() - cpu,
        "peak MiB": peak_kib(os.getpid()) / 1024,
    }
    print(json.dumps(told))


def measured(environment: dict[str, str]) -> list[dict[str, float]]:
    """Return what a process of its own tells for each number of jobs."""
    argv = (sys.executable, __file__)
    return [
        json.loads(
            subprocess.run(
                (*argv, str(count)), env=environment, check=True, capture_output=True
            ).stdout
        )
        for count in JOBS
    ]


def _job(number: int) -> Job:
    target = Target(interpreter=Interpreter(minor=number), arch=list(Arch)[number % 2])
    command = Command(image="builder", arch=target.arch, argv=("maturin", "build"), cwd="/src")
    build = Build(mode=Mode.NATIVE, linker="zig", prepare=(), command=command)
    return Job(id=target.id, target=target, build=build, fallback=None, checks=(), out="/work")


def _work(emit: Callable[[Any], None], directory: Path) -> Work[Job]:
    def build(job: Job) -> Job:
        emit(JobPhase(job=job.id, phase=Phase.BUILD))
        for number in range(_LINES):
            emit(JobLine(job=job.id, line=f"   Compiling crate-{number} v1.0.{number}"))
        return job

    def finish(job: Job) -> JobResult:
        for phase in (Phase.AUDIT, Phase.CHECK, Phase.PUBLISH, Phase.BUILT):
            emit(JobPhase(job=job.id, phase=phase))
        result = _result(job, Status.BUILT)
        append_result(directory, result)
        return result

    return Work(
        build=build,
        finish=finish,
        skipped=lambda job: _result(job, Status.SKIPPED),
        broken=_raise,
        stop=lambda _: None,
    )


def _raise(_job: Job, error: Exception) -> NoReturn:
    raise error


def _result(job: Job, status: Status) -> JobResult:
    return JobResult(
        job=job.id,
        status=status,
        mode=job.build.mode,
        linker=job.build.linker,
        command=job.build.command,
        seconds={"build": 1.0, "audit": 0.1, "check": 1.0, "publish": 0.1},
    )


def _report(run: str, results: tuple[JobResult, ...]) -> Report:
    return Report(
        run=run,
        farm="",
        project="growth",
        version="1",
        source="",
        source_date_epoch=0,
        engine={},
        emulation={},
        images={},
        jobs=results,
    )


if __name__ == "__main__":
    main(int(sys.argv[1]))
