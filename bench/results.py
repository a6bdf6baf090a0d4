"""The figures on disk, one file a measurement, and what they come to."""

from __future__ import annotations

import hashlib
import json
import os
import platform
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

from contestants import Found
from lab import ROOT
from scenarios import FARM, ONE_PLAIN, OWN, RATIOS, SCENARIOS, Cell, Ratio, Step

IDENTITY = "identity.json"
_COLUMNS = {"build": "build step, s", "whole": "whole command, s", "cpu": "CPU, s"}
_MADE = frozenset({"target", "dist", ".farm", "__pycache__"})
"""What builds leave in a clone, and no figure depends on."""
GROWTH = "growth.json"


@dataclass(frozen=True, kw_only=True)
class Store:
    """The directory of one benchmark: figures, and beside each its log."""

    directory: Path

    def open(self, identity: Mapping[str, Any]) -> None:
        """Begin, or go on with what was measured of the very same farm on the same machine.

        Raises SystemExit where the figures are of another.
        """
        self.directory.mkdir(parents=True, exist_ok=True)
        path = self.directory / IDENTITY
        if not path.exists():
            _write(path, identity)
        elif json.loads(path.read_bytes()) != identity:
            raise SystemExit(
                f"{self.directory} has figures of another farm or machine; --fresh removes them"
            )

    def log(self, step: Step) -> Path:
        """Return where the log of a measurement is."""
        return self.directory / f"{step.name}.log"

    def has(self, step: Step) -> bool:
        """Tell whether a measurement was made."""
        return self._path(step).exists()

    def write(
        self, step: Step, found: Found, *, took: float, commands: Sequence[str], load: float
    ) -> None:
        """Keep what a measurement found.

        `took` are the seconds of all of it, `load` the load of the machine before.
        """
        record = {
            "project": step.project.name,
            "scenario": step.scenario,
            "contestant": step.contestant,
            "round": step.round,
            **asdict(found),
            "took": round(took, 1),
            "load": load,
            "ended": datetime.now(UTC).isoformat(timespec="seconds"),
            "log": self.log(step).name,
            "commands": commands,
        }
        _write(self._path(step), record)

    def records(self) -> list[dict[str, Any]]:
        """Return what was measured, the oldest first."""
        found = (json.loads(path.read_bytes()) for path in self.directory.glob("*.*.*.*.json"))
        return sorted(found, key=lambda record: str(record["ended"]))

    def keep_growth(self, growth: Sequence[Mapping[str, float]]) -> None:
        """Keep what the controller took for ever more jobs."""
        _write(self.directory / GROWTH, {"growth": growth})

    def growth(self) -> list[dict[str, float]]:
        """Return what `keep_growth` kept."""
        path = self.directory / GROWTH
        return json.loads(path.read_bytes())["growth"] if path.exists() else []

    def guess(self, step: Step) -> float:
        """Return about how many seconds a measurement takes: as long as it took before.

        One that is new takes as many plain builds of its project as the scenario says.
        """
        records = self.records()
        if took := [r["took"] for r in records if _is(r, step.project.name, step)]:
            return float(max(took))
        plain = figures(records, step.project.name, ONE_PLAIN).values()
        return SCENARIOS[step.scenario].builds * max(plain, default=step.project.weight)

    def _path(self, step: Step) -> Path:
        return self.directory / f"{step.name}.json"


def identity(images: Mapping[str, str]) -> dict[str, Any]:
    """Return what figures of one benchmark have in common: machine, farm and images."""
    whole = hashlib.sha256()
    for top in ("farm", "images", "crate"):
        for path in sorted((ROOT / top).rglob("*")):
            if path.is_file() and path.suffix != ".so" and not _MADE & set(path.parts):
                whole.update(f"{path.relative_to(ROOT)}\0".encode() + path.read_bytes())
    model = next(
        line.partition(":")[2].strip()
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        if line.startswith("model name")
    )
    return {
        "farm": whole.hexdigest()[:16],
        "images": dict(images),
        "cpu": model,
        "cores": os.cpu_count(),
        "kernel": platform.release(),
    }


@dataclass(frozen=True, kw_only=True)
class Seen:
    """A ratio as it was measured for one project."""

    ratio: Ratio
    project: str
    value: float
    low: float
    """The least of all rounds'."""
    high: float
    rounds: int

    @property
    def holds(self) -> bool:
        """Tell whether the median is within the bounds."""
        return self.ratio.holds(self.value)


def ratios(records: Sequence[Mapping[str, Any]]) -> list[Seen]:
    """Return the ratios that there are figures for: of medians, with those of each round.

    Only rounds count in which both were measured.
    """
    seen = []
    for ratio in RATIOS:
        for project in ratio.projects:
            over = figures(records, project, ratio.over)
            under = dict.fromkeys(over, 1.0)
            if ratio.under is not None:
                under = figures(records, project, ratio.under)
            both = sorted(over.keys() & under.keys())
            if not both:
                continue
            each = [over[number] / under[number] for number in both]
            value = median(over[n] for n in both) / median(under[n] for n in both)
            seen.append(
                Seen(
                    ratio=ratio,
                    project=project,
                    value=value,
                    low=min(each),
                    high=max(each),
                    rounds=len(both),
                )
            )
    return seen


def figures(records: Iterable[Mapping[str, Any]], project: str, cell: Cell) -> dict[int, float]:
    """Return a cell's figures by round."""
    return {
        record["round"]: record["figures"][cell.figure]
        for record in records
        if _is(record, project, cell) and cell.figure in record["figures"]
    }


def _is(record: Mapping[str, Any], project: str, cell: Cell | Step) -> bool:
    told = (record["project"], record["scenario"], record["contestant"])
    return told == (project, cell.scenario, cell.contestant)


def table(records: Sequence[Mapping[str, Any]], growth: Sequence[Mapping[str, float]]) -> str:
    """Return all that was measured as Markdown."""
    parts = (
        _ratio_table(ratios(records)),
        _figure_table(records),
        _own_table(records),
        _wheel_table(records),
        _growth_table(growth),
    )
    return "\n\n".join(parts)


def _ratio_table(seen: Sequence[Seen]) -> str:
    lines = [
        "| ratio | project | seen | spread | rounds | bound |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for each in seen:
        bound = each.ratio.bound
        verdict = f"{bound}{'' if each.holds else ', **broken**'}"
        spread = f"{each.low:.2f} to {each.high:.2f}"
        lines.append(
            f"| {each.ratio.title} | {each.project} | {each.value:.2f} | {spread} "
            f"| {each.rounds} | {verdict} |"
        )
    return "\n".join(lines)


def _figure_table(records: Sequence[Mapping[str, Any]]) -> str:
    """Return what each contestant took: medians, with the least and the most."""
    columns = " | ".join(_COLUMNS.values())
    lines = [
        f"| project | what | contestant | {columns} | rounds | checks |",
        f"| --- | --- | --- |{' --- |' * len(_COLUMNS)} --- | --- |",
    ]
    for project, scenario, contestant in dict.fromkeys(map(_key, records)):
        mine = [r for r in records if _key(r) == (project, scenario, contestant)]
        cells = " | ".join(_spread([r["figures"].get(name) for r in mine]) for name in _COLUMNS)
        checks = "included" if mine[0]["checked"] else "left out"
        lines.append(
            f"| {project} | {SCENARIOS[scenario].title} | {contestant} "
            f"| {cells} | {len(mine)} | {checks} |"
        )
    return "\n".join(lines)


def _own_table(records: Sequence[Mapping[str, Any]]) -> str:
    """Return what only the farm has figures of."""
    lines = ["| the farm's own | project | seen |", "| --- | --- | --- |"]
    projects = dict.fromkeys(record["project"] for record in records)
    lines += [
        f"| {title} | {project} | {_spread(values)} |"
        for title, cell in OWN.items()
        for project in projects
        if (values := list(figures(records, project, cell).values()))
    ]
    return "\n".join(lines)


def _key(record: Mapping[str, Any]) -> tuple[str, str, str]:
    return record["project"], record["scenario"], record["contestant"]


def _spread(values: Sequence[float | None]) -> str:
    """Return the median, with the least and the most where there are several."""
    there = [value for value in values if value is not None]
    if not there:
        return ""
    text = f"{median(there):.2f}"
    return f"{text} ({min(there):.2f} to {max(there):.2f})" if len(there) > 1 else text


def _wheel_table(records: Sequence[Mapping[str, Any]]) -> str:
    """Return when the first wheel was in place, the second, and so on."""
    lines = ["| project | wheels | in place after, s |", "| --- | --- | --- |"]
    for project in dict.fromkeys(record["project"] for record in records):
        runs = [r["wheels"] for r in records if _key(r) == (project, "matrix", FARM)]
        lines += [
            f"| {project} | {number} | {_spread(moments)} |"
            for number, moments in enumerate(zip(*runs, strict=True), start=1)
        ]
    return "\n".join(lines)


def _growth_table(growth: Sequence[Mapping[str, float]]) -> str:
    """Return what the controller takes for jobs whose work is done at once."""
    lines = ["| jobs | seconds | CPU seconds | peak, MiB |", "| --- | --- | --- | --- |"]
    lines += [
        f"| {each['jobs']:.0f} | {each['seconds']:.2f} | {each['cpu']:.2f} "
        f"| {each['peak MiB']:.1f} |"
        for each in growth
    ]
    return "\n".join(lines)


def _write(path: Path, value: Mapping[str, Any]) -> None:
    """Write JSON, whole or not at all."""
    part = path.with_suffix(".part")
    part.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")
    part.replace(path)
