"""How long `farm build` takes where nothing changed: the whole command, Python's start included.

    .venv/bin/python bench/nothing_changed.py [PROJECT] [--rounds 15]

The first build, which is not counted, makes what the cache lacks. A round in which anything was
built, or any container of the run's started, is no measurement: exit status 1.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import docker

CRATE = Path(__file__).parent.parent / "crate"
MOST = 0.6
"""Seconds that ten wheels may take."""


@dataclass(frozen=True, kw_only=True)
class Round:
    wall: float
    cpu: float
    """Seconds of the farm's own processes; what the engine spends is not among them."""
    report: Any


def farm_build(project: Path, out: str) -> Round:
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "farm", "build", str(project), "--out", out, "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        check=True,
    )
    wall, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
    return Round(wall=wall, cpu=cpu, report=json.loads(done.stdout))


def faults(rounds: list[Round], since: float) -> Iterator[str]:
    """Yield what makes `rounds` no measurement of nothing changed."""
    with closing(docker.from_env()) as client:
        for each in rounds:
            run = each.report["run"]
            built = [job["job"] for job in each.report["jobs"] if job["status"] != "cached"]
            if built:
                yield f"run {run} built {' '.join(built)}"
            seen = client.events(
                since=int(since),
                until=int(time.time()) + 1,
                filters={"type": "container", "label": f"farm.run={run}"},
            )
            if any(seen):
                yield f"run {run} had a container"


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("project", nargs="?", type=Path, default=CRATE)
    parser.add_argument("--rounds", type=int, default=15)
    asked = parser.parse_args()
    with TemporaryDirectory() as out:
        farm_build(asked.project, out)
        since = time.time()
        rounds = [farm_build(asked.project, out) for _ in range(asked.rounds)]
    for fault in (found := list(faults(rounds, since))):
        print(fault, file=sys.stderr)
    wheels = len(rounds[0].report["jobs"])
    load = os.getloadavg()[0]
    print(f"{wheels} wheels, nothing changed, {asked.rounds} rounds, load {load:.1f}")
    for name in ("wall", "cpu"):
        values = sorted(getattr(each, name) for each in rounds)
        median = statistics.median(values)
        print(f"{name}: median {median:.3f} s, least {values[0]:.3f} s, most {values[-1]:.3f} s")
    print(f"at most {MOST} s, on a machine that does nothing else")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
