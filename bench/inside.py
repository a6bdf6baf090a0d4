"""What the farm itself takes for a check: seconds, and starts of an emulated interpreter."""

from __future__ import annotations

from pathlib import Path

from contestants import FOREIGN_ARCH, NATIVE, Found, Subject, farm
from lab import Lab
from watch import Watch


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
        emulated = [p for p in watch.programs if p.emulated and p.name.startswith("python")]
        figures[f"emulated interpreters {arch}"] = len(emulated)
    return Found(figures=figures, checked=True)
