"""Hundreds of jobs through the real engine, one in five sabotaged: `make soak`.

    .venv/bin/python bench/soak.py [--jobs 200] [--seed 1] [--minutes 15] [--farms 3]

First, several farms begin at once on an engine without images; see `cold.py`. Then each builds a
project of its own, round after round: five jobs a run, of which one is sabotaged as `sabotage.py`
says, or the whole run is. What must come of it stands in `aftermath.py`.
Ends with status 1 and every breach if anything was lost, left behind or grew.
"""

from __future__ import annotations

import argparse
import json
import secrets
import shutil
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from statistics import median
from typing import Any

import docker

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "bench"), str(ROOT / "tests")]

from aftermath import (  # noqa: E402
    KILLED,
    STARTED,
    Dist,
    clean_up,
    engine_memory,
    files,
    gone,
    judge,
    orphans,
    volume_bytes,
    volumes,
)
from cold import cold  # noqa: E402
from controller import Ended, Live, remove_container, run  # noqa: E402
from sabotage import NONE, TARGETS, Round, rounds  # noqa: E402

from farm.engine.connection import connect  # noqa: E402
from farm.model.results import Status  # noqa: E402

PROJECT = ROOT / "tests" / "projects" / "sabotaged"
GROWTH = 1.1
"""How much more memory controllers may need at the end than at the start."""
CACHED_EVERY = 6
"""After so many rounds, one is asked for again, and must come out of the cache."""
LAST = 60.0
"""Seconds before the end in which no round is started."""


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One round in the report."""

    number: int
    sabotage: str
    victim: str
    run: str
    seconds: float
    peak_kib: int
    statuses: dict[str, str]
    faults: tuple[str, ...]

    @property
    def started(self) -> int:
        """How many jobs the engine was at work on."""
        return sum(status in STARTED for status in self.statuses.values())

    @property
    def sabotaged(self) -> int:
        """How many of those were sabotaged; by a signal, those that it ended."""
        if self.signalled:
            return sum(status in (Status.CANCELLED, KILLED) for status in self.statuses.values())
        return int(self.statuses.get(self.victim) in STARTED)

    @property
    def signalled(self) -> bool:
        """Whether the controller got a signal."""
        return self.sabotage.startswith("SIG")


@dataclass(kw_only=True)
class Soak:
    """What the farms share."""

    client: docker.DockerClient
    goal: int
    end: float
    mark: dict[str, str]
    coming: Iterator[Round]
    entries: list[Entry] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def next(self) -> Round | None:
        """Return the next round, None when there were enough or time is up."""
        with self._lock:
            started = sum(entry.started for entry in self.entries)
            if started >= self.goal or time.monotonic() > self.end - LAST:
                return None
            return next(self.coming)

    def note(self, entry: Entry) -> None:
        """Keep what came of a round, and say so."""
        with self._lock:
            self.entries.append(entry)
            total = sum(each.started for each in self.entries)
        counts = dict(Counter(entry.statuses.values()))
        print(f"{total:4} {entry.number:3} {entry.sabotage}: {counts}", file=sys.stderr, flush=True)
        for fault in entry.faults:
            print(f"     BREACH {fault}", file=sys.stderr, flush=True)


@dataclass(kw_only=True)
class Lane:
    """One farm, with its project."""

    soak: Soak
    project: Path
    dist: Dist
    killed: set[str] = field(default_factory=set)
    seconds: list[float] = field(default_factory=list)
    """What undisturbed rounds took."""

    def go(self) -> None:
        """Build whole, then round after round, then whole again."""
        chosen = Round(number=0, sabotage=NONE, victim=TARGETS[0], checked=True, moment=0)
        self.round(chosen)
        count = 0
        while (each := self.soak.next()) is not None:
            entry = self.round(each)
            count += 1
            if count % CACHED_EVERY == 0:
                self.again(each, entry)
        self.round(replace(chosen, number=-1))
        faults = files(self.project)
        if faults:
            self.soak.note(_entry(replace(chosen, number=-2), None, {}, faults))

    def round(self, each: Round) -> Entry:
        """Run one round, and note what came of it."""
        base = (PROJECT / "pyproject.toml").read_text(encoding="utf-8")
        text = base + each.settings
        (self.project / "pyproject.toml").write_text(text, encoding="utf-8")
        words = ["--force", *(f"--only={target.id}" for target in TARGETS)]
        words += [] if each.checked else ["--no-smoke"]
        ended = run(self.project, tuple(words), self.disturbance(each), self.soak.mark)
        outcome = judge(self.soak.client, self.project, each, ended)
        faults = [*outcome.faults, *self.dist.judge(_made(outcome.statuses))]
        faults += gone(self.soak.client, self.killed)
        self.killed = {ended.run} if ended.code < 0 else set()
        if each.sabotage is NONE:
            self.seconds.append(ended.seconds)
        entry = _entry(each, ended, dict(outcome.statuses), faults)
        self.soak.note(entry)
        return entry

    def again(self, each: Round, before: Entry) -> None:
        """Ask for what the round built once more: the cache has it."""
        built = [job for job, status in before.statuses.items() if status == Status.BUILT]
        if not built or before.faults:
            return
        words = [f"--only={job}" for job in built] + ([] if each.checked else ["--no-smoke"])
        ended = run(self.project, tuple(words), lambda _: True, self.soak.mark)
        outcome = judge(self.soak.client, self.project, each, ended)
        statuses = {job: outcome.statuses[job] for job in built}
        faults = [f"{job}: {s}, not cached" for job, s in statuses.items() if s != Status.CACHED]
        faults += self.dist.judge(())
        plain = replace(each, sabotage=replace(NONE, name="none, again"))
        self.soak.note(_entry(plain, ended, statuses, faults))

    def disturbance(self, each: Round) -> Callable[[Live], bool]:
        """Return what disturbs the round from outside."""
        harm, job = each.sabotage, each.victim.id
        if harm.removes:
            return lambda live: remove_container(self.soak.client, live, job)
        if harm.signal is None:
            return lambda _: True
        number, moment = harm.signal, each.moment * median(self.seconds)

        def send(live: Live) -> bool:
            if live.seconds < moment:
                return False
            live.process.send_signal(number)
            return True

        return send


def _made(statuses: Mapping[str, str]) -> set[str]:
    """Return the jobs whose wheels may be new."""
    return {job for job, status in statuses.items() if status in {Status.BUILT, KILLED}}


def _entry(each: Round, ended: Ended | None, statuses: dict[str, str], faults: list[str]) -> Entry:
    return Entry(
        number=each.number,
        sabotage=each.sabotage.name,
        victim="" if each.sabotage.name.startswith(NONE.name) else each.victim.id,
        run=ended.run if ended else "",
        seconds=round(ended.seconds, 1) if ended else 0,
        peak_kib=ended.peak if ended else 0,
        statuses=statuses,
        faults=tuple(faults),
    )


def soak(options: argparse.Namespace, scratch: Path) -> dict[str, Any]:
    """Run all of it; return the report."""
    began = time.monotonic()
    mark = {"XDG_CACHE_HOME": str(scratch / "cache"), "FARM_SOAK": secrets.token_hex(8)}
    with connect() as client:
        all_before, bytes_before = volumes(client), volume_bytes(client)
        engine_before = engine_memory()
        shared = Soak(
            client=client,
            goal=options.jobs,
            end=began + options.minutes * 60,
            mark=mark,
            coming=rounds(options.seed),
        )
        left = cold(client, scratch, mark, farms=options.farms)
        try:
            _go(shared, scratch, options.farms)
        finally:
            mine = {entry.run for entry in shared.entries} - {""}
            left += clean_up(client, mine, scratch)
        left += orphans(mark)
        left += _new_volumes(all_before, volumes(client), mine)
        seconds = time.monotonic() - began
        figures = {
            "seconds": round(seconds),
            "engine_kib": [engine_before, engine_memory()],
            "volume_bytes": [bytes_before, volume_bytes(client)],
        }
    return _report(options, shared.entries, left, figures)


def _go(shared: Soak, scratch: Path, farms: int) -> None:
    lanes = []
    for number in range(farms):
        project = Path(shutil.copytree(PROJECT, scratch / f"farm-{number}"))
        lanes.append(Lane(soak=shared, project=project, dist=Dist(directory=project / "dist")))
    with ThreadPoolExecutor(farms) as pool:
        try:
            for lane in [pool.submit(lane.go) for lane in lanes]:
                lane.result()
        except BaseException:
            shared.end = 0  # a farm ends its round, and builds whole once more
            raise


def _new_volumes(before: dict[str, str], after: dict[str, str], mine: set[str]) -> list[str]:
    """Return what is new and either ours or nobody's; others may work on the engine too."""
    return [
        f"new volume: {name}"
        for name, run in after.items()
        if name not in before and (not run or run in mine)
    ]


def _report(
    options: argparse.Namespace,
    entries: list[Entry],
    left: list[str],
    figures: dict[str, Any],
) -> dict[str, Any]:
    started = [
        job for entry in entries for job, status in entry.statuses.items() if status in STARTED
    ]
    statuses = Counter(status for entry in entries for status in entry.statuses.values())
    first, last = _memory(entries)
    faults = [f"round {e.number} ({e.sabotage}): {f}" for e in entries for f in e.faults] + left
    if last > first * GROWTH:
        faults.append(f"controllers' memory grew: {first:.0f} KiB, then {last:.0f} KiB")
    if len(started) < options.jobs:
        faults.append(f"only {len(started)} of {options.jobs} jobs in {options.minutes:g} minutes")
    if figures["seconds"] > options.minutes * 60:
        faults.append(f"took {figures['seconds']} s")
    return {
        "seed": options.seed,
        "jobs": len(started),
        "sabotaged": sum(entry.sabotaged for entry in entries),
        "aarch64": sum(job.endswith("aarch64") for job in started),
        "statuses": dict(sorted(statuses.items())),
        "kinds": dict(sorted(Counter(entry.sabotage for entry in entries).items())),
        "controller_kib": [round(first), round(last)],
        **figures,
        "faults": faults,
        "rounds": [asdict(entry) for entry in entries],
    }


def _memory(entries: list[Entry]) -> tuple[float, float]:
    """Return the median peak of the first quarter's controllers and of the last quarter's.

    Those that were killed had not come to their peak.
    """
    peaks = [e.peak_kib for e in entries if not e.signalled]
    quarter = max(len(peaks) // 4, 1)
    return median(peaks[:quarter]), median(peaks[-quarter:])


def show(report: dict[str, Any]) -> None:
    """Print the short table, and every breach."""
    first, last = (kib / 1024 for kib in report["controller_kib"])
    engine = " / ".join(f"{kib / 1024:.0f}" for kib in report["engine_kib"])
    held = " / ".join(f"{size / 1e6:.0f}" for size in report["volume_bytes"])
    jobs, seconds = report["jobs"], report["seconds"]
    print(f"| jobs | {jobs} in {seconds} s: {jobs / seconds * 60:.1f} a minute |")
    print(f"| sabotaged / aarch64 | {report['sabotaged']} / {report['aarch64']} |")
    print(f"| how they ended | {_counted(report['statuses'])} |")
    print(f"| rounds | {_counted(report['kinds'])} |")
    print(f"| controllers' peak, first / last quarter | {first:.1f} / {last:.1f} MiB |")
    print(f"| dockerd's memory before / after | {engine} MiB |")
    print(f"| the engine's volumes before / after | {held} MB |")
    print(f"| breaches | {len(report['faults'])} |")
    for fault in report["faults"]:
        print(fault)


def _counted(counts: dict[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in counts.items())


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--minutes", type=float, default=15)
    parser.add_argument("--farms", type=int, default=3)
    parser.add_argument("--out", type=Path, default=ROOT / "bench" / "results" / "soak.json")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="farm-soak-") as scratch:
        report = soak(options, Path(scratch))
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    show(report)
    return 1 if report["faults"] else 0


if __name__ == "__main__":
    sys.exit(main())
