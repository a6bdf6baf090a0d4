"""Measures the farm against a plain `docker run … maturin build`, side by side in one run.

    .venv/bin/python bench/run.py [--rounds 2] [--out bench/results.json]

Everything is a ratio to the plain build of the same crate in the same image, on the same machine,
in the same minutes. Needs root, for counting program starts from outside.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

import docker

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))

from sdists import unpacked  # noqa: E402 - they lie beside the tests
from watch import Watch  # noqa: E402

from farm.bases.debian import ZIG_CACHE  # noqa: E402
from farm.engine import images  # noqa: E402
from farm.engine.connection import connect  # noqa: E402
from farm.host.certificates import bundle  # noqa: E402

CRATE, VERSION = "rpds-py", "2026.9.1"
PYTHON = "3.13"
PLAIN_VOLUMES = {"bench-cargo": "/cargo", "bench-work": "/work", "bench-linker": ZIG_CACHE}


class Containers:
    """When each container of the farm's ran: (start, end) in seconds, and its command."""

    def __init__(self) -> None:
        self.spans: list[tuple[float, float, str]] = []
        self._started: dict[str, float] = {}

    @contextmanager
    def watched(self) -> Iterator[Containers]:
        client = docker.from_env()
        events = client.events(decode=True, filters={"type": "container", "label": "farm.run"})

        def listen() -> None:
            for event in events:
                moment = event["timeNano"] / 1e9
                if event["Action"] == "start":
                    self._started[event["id"]] = moment
                elif event["Action"] == "die" and event["id"] in self._started:
                    self.spans.append((self._started.pop(event["id"]), moment, event["from"]))

        thread = threading.Thread(target=listen, daemon=True)
        thread.start()
        try:
            yield self
        finally:
            time.sleep(0.5)
            events.close()
            thread.join()
            client.close()

    def busy(self) -> float:
        """Seconds in which at least one of them ran."""
        total, until = 0.0, 0.0
        for start, end, _ in sorted(self.spans):
            total += max(0.0, end - max(start, until))
            until = max(until, end)
        return total


def farm(*arguments: str | Path) -> dict[str, Any]:
    """Run `farm build` and return its report, with the wall time of the whole command."""
    before = time.monotonic()
    report: dict[str, Any] = cli("build", *arguments)
    report["wall"] = time.monotonic() - before
    return report


def build_seconds(report: dict[str, Any]) -> list[float]:
    return [job["seconds"]["build"] for job in report["jobs"]]


def cli(*arguments: str | Path) -> Any:
    """Run `farm` and return its JSON."""
    argv = [sys.executable, "-m", "farm", *map(str, arguments), "--json"]
    return json.loads(subprocess.run(argv, stdout=subprocess.PIPE, check=True).stdout)


def plain(project: Path) -> float:
    """Time `docker run … maturin build` for x86_64, crates fetched, target directory empty."""
    plan = cli("plan", project, "--arch", "native", "--py", PYTHON)
    command = plan["jobs"][0]["build"]["command"]
    with connect() as client:
        image = images.find(client, [command["image"]])[command["image"]].reference
    run = ["docker", "run", "--rm", "-v", f"{project}:/src"]
    for name, path in PLAIN_VOLUMES.items():
        subprocess.run(["docker", "volume", "create", name], check=True, stdout=subprocess.DEVNULL)
        run += ["-v", f"{name}:{path}"]
    run += [f"--env={key}={value}" for key, value in command["environment"].items()]
    fetch = [*run, "-v", f"{bundle()}:/ca.pem:ro", "-e", "CARGO_HTTP_CAINFO=/ca.pem", image]
    build = [*run, "--network=none", "-w", command["cwd"], image, *command["argv"]]
    try:
        subprocess.run([*fetch, *plan["fetch"][0]["argv"]], check=True, stderr=subprocess.DEVNULL)
        started = time.monotonic()
        subprocess.run(build, check=True, capture_output=True)
        return time.monotonic() - started
    finally:
        argv = ["docker", "volume", "rm", *PLAIN_VOLUMES]
        subprocess.run(argv, check=True, stdout=subprocess.DEVNULL)


def measure(project: Path, tiny: Path, rounds: int) -> dict[str, Any]:
    figures: dict[str, list[float]] = {}

    def note(name: str, value: float) -> None:
        figures.setdefault(name, []).append(round(value, 3))
        print(f"{name}: {value:.2f}", file=sys.stderr, flush=True)

    for _ in range(rounds):
        note("plain x86_64 build, s", plain(project))
        both = farm(project, "--py", PYTHON)
        first, second = build_seconds(both)
        note("x86_64 build in the farm, s", first)
        note("aarch64 build straight after, s", second)
        alone = farm(project, "--py", PYTHON, "--arch", "aarch64")
        note("aarch64 build alone and cold, s", build_seconds(alone)[0])
    with Containers().watched() as containers:
        ten = farm(ROOT / "crate", "--out", tempfile.mkdtemp())
    note("ten wheels of crate/, checks included, s", ten["wall"])
    note("controller's own, s a job", (ten["wall"] - containers.busy()) / len(ten["jobs"]))
    for arch in ("x86_64", "aarch64"):
        with Watch() as watch:
            one = farm(tiny, "--py", PYTHON, "--arch", arch, "--out", tempfile.mkdtemp())
        note(
            f"check of a wheel without dependencies, {arch}, s",
            one["jobs"][0]["checks"][0]["seconds"],
        )
        starts = [p for p in watch.programs if p.emulated and p.name.startswith("python")]
        note(f"emulated interpreter starts in a job, {arch}", len(starts))
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    note("controller's peak memory, MiB", peak)
    return {"figures": figures, "ratios": ratios(figures), "machine": machine()}


def ratios(figures: dict[str, list[float]]) -> dict[str, float]:
    plain_build = median(figures["plain x86_64 build, s"])

    def ratio(name: str) -> float:
        return round(median(figures[name]) / plain_build, 2)

    return {
        "aarch64 straight after x86_64 / plain": ratio("aarch64 build straight after, s"),
        "aarch64 alone and cold / plain": ratio("aarch64 build alone and cold, s"),
        "ten wheels with checks / plain": ratio("ten wheels of crate/, checks included, s"),
    }


def machine() -> dict[str, str | int]:
    model = next(
        line.partition(":")[2].strip()
        for line in Path("/proc/cpuinfo").read_text().splitlines()
        if line.startswith("model name")
    )
    return {"cpu": model, "cores": os.cpu_count() or 0, "kernel": os.uname().release}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--out", type=Path, default=ROOT / "bench" / "results.json")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        project = unpacked(CRATE, VERSION, Path(scratch))
        tiny = shutil.copytree(ROOT / "tests" / "projects" / "tiny", Path(scratch) / "tiny")
        found = measure(project, Path(tiny), arguments.rounds)
    arguments.out.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(found["ratios"], indent=2))


if __name__ == "__main__":
    main()
