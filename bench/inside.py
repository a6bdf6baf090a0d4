"""What the farm itself takes for a check: seconds, and starts of an emulated interpreter."""

from __future__ import annotations

from pathlib import Path

from contestants import FOREIGN_ARCH, NATIVE, Found, Subject, farm
from lab import Lab
from watch import Program, Watch


def check(lab: Lab, subject: Subject, log: Path) -> Found:
    """The check of one wheel of each architecture, and all that is emulated in its job.

    Needs root, for counting program starts from outside.
    """
    figures: dict[str, float] = {}
    for arch in (NATIVE, FOREIGN_ARCH):
        with Watch() as watch:
            words = ("--force", "--arch", arch, "--py", subject.python)
            report, _, _ = farm(lab, subject, log, *words)
        figures[f"check {arch}"] = report["jobs"][0]["checks"][0]["seconds"]
        figures[f"emulated interpreters {arch}"] = len(_emulated(watch, report["run"]))
    return Found(figures=figures, checked=True)


def _emulated(watch: Watch, run: str) -> list[Program]:
    """Return the starts of emulated interpreters in the containers of `run`."""
    names = {p.name for p in watch.programs if p.emulated and p.name.startswith("python")}
    starts = [p for name in names for p in watch.of(run, where=name) if p.name == name]
    return [p for p in starts if p.emulated]
