"""Results and reports of runs that never were."""

from __future__ import annotations

from farm.model.plan import Command
from farm.model.results import JobResult, Report, Status
from farm.model.targets import Arch, Mode


def result(job: str, status: Status, **more: object) -> JobResult:
    command = Command(image="builder-x86_64", arch=Arch.X86_64, argv=("maturin",), cwd="/src")
    fields: dict[str, object] = {"mode": Mode.HYBRID, "linker": "zig", "image": "sha256:0"} | more
    return JobResult(job=job, status=status, command=command, log=f"/logs/{job}.log", **fields)  # type: ignore[arg-type]


def report(*jobs: JobResult, **more: object) -> Report:
    return Report(  # type: ignore[arg-type]
        **{
            "run": "r",
            "farm": "0",
            "project": "tiny",
            "version": "0",
            "source": "",
            "source_date_epoch": 0,
            "engine": {},
            "emulation": {},
            "images": {},
            "jobs": jobs,
            "seconds": 61.0,
        }
        | more
    )
