"""What is measured, in which order, and which ratios come of it: all of it as data."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from contestants import (
    FOREIGN_ARCH,
    NATIVE,
    Found,
    Subject,
    cibuildwheel,
    farm_after,
    farm_changed,
    farm_many,
    farm_one,
    farm_unchanged,
    farm_watched,
    plain,
    zigbuild_after,
)
from inside import check
from lab import ROOT, Lab
from sdists import unpacked

Measure = Callable[[Lab, Subject, Path], Found]
FARM, PLAIN, CIBW, ZIG = "farm", "plain", "cibuildwheel", "cargo-zigbuild"


@dataclass(frozen=True, kw_only=True)
class Project:
    """A project that is built."""

    name: str
    weight: float
    """About how many seconds one plain build takes, until that was measured."""
    path: str = ""
    """Below this clone; empty for a source distribution."""
    version: str = ""
    python: str = "3.13"

    def subject(self, lab: Lab) -> Subject:
        """Return a copy of it to build."""
        place = lab.scratch / self.name
        if self.path:
            lab.copy(ROOT / self.path, self.name)
        elif not place.exists():
            shutil.move(unpacked(self.name, self.version, lab.directory()), place)
        return Subject(project=place, python=self.python)


CRATE = Project(name="crate", path="crate", weight=22)
RPDS = Project(name="rpds-py", version="2026.9.1", weight=22)
HEAVY = Project(name="pydantic-core", version="2.50.5", weight=240)
TINY = Project(name="tiny", path="tests/projects/tiny", weight=8)


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """What is asked of some contestants."""

    title: str
    builds: float
    """About as many plain builds take one of them as long: what is planned by."""
    contestants: Mapping[str, Measure]


_BOTH = (NATIVE, FOREIGN_ARCH)
SCENARIOS = {
    "x86_64": Scenario(
        title="one x86_64 wheel, cold",
        builds=1.3,
        contestants={
            FARM: partial(farm_one, arch=NATIVE),
            PLAIN: partial(plain, arches=(NATIVE,)),
            CIBW: cibuildwheel,
        },
    ),
    "aarch64": Scenario(
        title="one aarch64 wheel, cold",
        builds=1.4,
        contestants={
            FARM: partial(farm_one, arch=FOREIGN_ARCH),
            ZIG: partial(plain, arches=(FOREIGN_ARCH,)),
        },
    ),
    "after": Scenario(
        title="one aarch64 wheel straight after x86_64",
        builds=2.2,
        contestants={FARM: farm_after, ZIG: zigbuild_after},
    ),
    "half": Scenario(
        title="all x86_64 wheels, cold",
        builds=4,
        contestants={
            FARM: partial(farm_many, arches=(NATIVE,)),
            PLAIN: partial(plain, arches=(NATIVE,), pythons="all"),
            CIBW: partial(cibuildwheel, pythons="all"),
        },
    ),
    "matrix": Scenario(
        title="all wheels, cold",
        builds=6,
        contestants={
            FARM: partial(farm_many, arches=_BOTH),
            PLAIN: partial(plain, arches=_BOTH, pythons="all"),
        },
    ),
    "checked": Scenario(
        title="all wheels, cold, with checks", builds=6, contestants={FARM: farm_watched}
    ),
    "changed": Scenario(
        title="all wheels, one line changed", builds=8, contestants={FARM: farm_changed}
    ),
    "unchanged": Scenario(
        title="all wheels, nothing changed", builds=0.3, contestants={FARM: farm_unchanged}
    ),
    "emulated": Scenario(
        title="one aarch64 wheel, cold, all of it under QEMU",
        builds=40,
        contestants={FARM: partial(farm_one, arch=FOREIGN_ARCH, mode="emulated")},
    ),
    "check": Scenario(
        title="check of a wheel without dependencies", builds=4, contestants={FARM: check}
    ),
}


@dataclass(frozen=True, kw_only=True)
class Step:
    """One measurement."""

    project: Project
    scenario: str
    contestant: str
    round: int

    @property
    def name(self) -> str:
        """What its files are called."""
        return f"{self.project.name}.{self.scenario}.{self.contestant}.{self.round}"

    def measure(self, lab: Lab, log: Path) -> Found:
        """Do it."""
        measure = SCENARIOS[self.scenario].contestants[self.contestant]
        return measure(lab, self.project.subject(lab), log)


@dataclass(frozen=True, kw_only=True)
class Part:
    """Some scenarios of one project."""

    project: Project
    scenarios: Sequence[str]
    contestants: Sequence[str] = (FARM, PLAIN, CIBW, ZIG)

    def steps(self, number: int) -> Iterator[Step]:
        """Return the measurements of a round; in each another contestant begins."""
        for scenario in self.scenarios:
            all_of_them = SCENARIOS[scenario].contestants
            names = [name for name in all_of_them if name in self.contestants]
            first = (number - 1) % len(names)
            for name in (*names[first:], *names[:first]):
                yield Step(project=self.project, scenario=scenario, contestant=name, round=number)


DRAWN = ("x86_64", "aarch64", "half", "matrix", "changed", "unchanged")
"""What is in the picture."""
_ONE = ("x86_64", "aarch64", "after")
_MANY = ("half", "matrix", "checked", "changed", "unchanged")


@dataclass(frozen=True, kw_only=True)
class Form:
    """A whole benchmark."""

    rounds: int
    minutes: float
    parts: Sequence[Part]
    """What every round has."""
    once: Sequence[Part] = ()
    """What only the first one has, after all others' first."""
    left: str = ""
    """What it leaves to the long form."""
    picture: str = ""
    """Below this clone, where its picture goes; empty for beside its figures."""
    resumes: bool = True
    """A run goes on where the one before was ended."""

    def steps(self) -> Iterator[Step]:
        """Return the measurements in their order."""
        for number in range(1, self.rounds + 1):
            for part in (*self.parts, *(self.once if number == 1 else ())):
                yield from part.steps(number)


LONG = Form(
    rounds=3,
    minutes=150,
    parts=tuple(
        part
        for project in (CRATE, RPDS)
        for part in (
            Part(project=project, scenarios=_ONE),
            Part(project=project, scenarios=_MANY, contestants=(FARM, CIBW)),
        )
    ),
    # What no bound asks for, and takes longest, has one round.
    once=(
        *(
            Part(project=project, scenarios=("half", "matrix"), contestants=(PLAIN,))
            for project in (CRATE, RPDS)
        ),
        Part(project=HEAVY, scenarios=("x86_64", "aarch64")),
        Part(project=TINY, scenarios=("aarch64", "emulated"), contestants=(FARM,)),
        Part(project=TINY, scenarios=("check",)),
    ),
    picture="docs/bench.svg",
)
SHORT = Form(
    rounds=1,
    minutes=5,
    resumes=False,
    # What matters most comes first: on a slow machine the last ones find no time.
    parts=(
        Part(project=CRATE, scenarios=("x86_64",), contestants=(PLAIN,)),
        Part(project=CRATE, scenarios=("matrix", "unchanged", "after"), contestants=(FARM,)),
        Part(project=CRATE, scenarios=("aarch64",)),
    ),
    left="one changed line, cibuildwheel, cargo-zigbuild after x86_64, checks, other projects",
)
CHECKS = Form(
    rounds=3,
    minutes=40,
    parts=tuple(
        Part(project=project, scenarios=("matrix", "checked"), contestants=(FARM,))
        for project in (CRATE, RPDS)
    ),
    left="all but checks",
)
FORMS = {"long": LONG, "short": SHORT, "checks": CHECKS}


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One figure of one contestant."""

    scenario: str
    contestant: str
    figure: str


@dataclass(frozen=True, kw_only=True)
class Ratio:
    """One figure over another; without another, the figure itself."""

    title: str
    over: Cell
    under: Cell | None = None
    at_most: float | None = None
    at_least: float | None = None
    projects: Sequence[str] = (CRATE.name, RPDS.name, HEAVY.name)

    def holds(self, seen: float) -> bool:
        """Tell whether `seen` is within the bounds."""
        low, high = self.at_least, self.at_most
        return (low is None or seen >= low) and (high is None or seen <= high)

    @property
    def bound(self) -> str:
        """The bound in words, or an empty string."""
        if self.at_most is not None:
            return f"at most {self.at_most:g}"
        return f"at least {self.at_least:g}" if self.at_least is not None else ""


ONE_PLAIN = Cell(scenario="x86_64", contestant=PLAIN, figure="build")
_MATRIX = Cell(scenario="matrix", contestant=FARM, figure="whole")
RATIOS = (
    Ratio(
        title="x86_64 alone: farm / plain",
        over=Cell(scenario="x86_64", contestant=FARM, figure="build"),
        under=ONE_PLAIN,
    ),
    Ratio(
        title="aarch64 straight after x86_64: farm / plain x86_64",
        over=Cell(scenario="after", contestant=FARM, figure="build"),
        under=ONE_PLAIN,
        at_most=0.85,
    ),
    Ratio(
        title="aarch64 alone: farm / plain x86_64",
        over=Cell(scenario="aarch64", contestant=FARM, figure="build"),
        under=ONE_PLAIN,
        at_most=1.15,
    ),
    Ratio(
        title="aarch64 alone: farm / cargo-zigbuild",
        over=Cell(scenario="aarch64", contestant=FARM, figure="build"),
        under=Cell(scenario="aarch64", contestant=ZIG, figure="build"),
        at_most=1.1,
    ),
    Ratio(
        title="aarch64 straight after x86_64: farm / cargo-zigbuild",
        over=Cell(scenario="after", contestant=FARM, figure="build"),
        under=Cell(scenario="after", contestant=ZIG, figure="build"),
        at_most=1.1,
    ),
    Ratio(title="all wheels: farm / one plain x86_64", over=_MATRIX, under=ONE_PLAIN, at_most=4),
    Ratio(
        title="all wheels: wall time / (CPU seconds / cores)",
        over=_MATRIX,
        under=Cell(scenario="matrix", contestant=FARM, figure="ideal"),
        at_most=1.15,
    ),
    Ratio(
        title="one line changed / all wheels cold",
        over=Cell(scenario="changed", contestant=FARM, figure="whole"),
        under=_MATRIX,
        at_most=0.25,
    ),
    Ratio(
        title="nothing changed, seconds",
        over=Cell(scenario="unchanged", contestant=FARM, figure="whole"),
        at_most=0.6,
    ),
    Ratio(
        title="all x86_64 wheels: cibuildwheel / farm",
        over=Cell(scenario="half", contestant=CIBW, figure="whole"),
        under=Cell(scenario="half", contestant=FARM, figure="whole"),
        at_least=1.4,
    ),
    Ratio(
        title="all x86_64 wheels: plain / farm",
        over=Cell(scenario="half", contestant=PLAIN, figure="whole"),
        under=Cell(scenario="half", contestant=FARM, figure="whole"),
    ),
    Ratio(
        title="all wheels: plain / farm",
        over=Cell(scenario="matrix", contestant=PLAIN, figure="whole"),
        under=_MATRIX,
    ),
    Ratio(
        title="all wheels: with checks / without",
        over=Cell(scenario="checked", contestant=FARM, figure="whole"),
        under=_MATRIX,
        at_most=1.25,
    ),
    Ratio(
        title="one x86_64 wheel: cibuildwheel / farm",
        over=Cell(scenario="x86_64", contestant=CIBW, figure="whole"),
        under=Cell(scenario="x86_64", contestant=FARM, figure="whole"),
    ),
    Ratio(
        title="one aarch64 wheel: under QEMU / hybrid",
        over=Cell(scenario="emulated", contestant=FARM, figure="build"),
        under=Cell(scenario="aarch64", contestant=FARM, figure="build"),
        projects=(TINY.name,),
    ),
)
OWN = {
    "the controller's own time, s a job": Cell(
        scenario="checked", contestant=FARM, figure="controller"
    ),
    "the controller's peak memory, MiB": Cell(
        scenario="checked", contestant=FARM, figure="peak MiB"
    ),
    **{
        f"{figure} {arch}{unit}": Cell(scenario="check", contestant=FARM, figure=f"{figure} {arch}")
        for figure, unit in (("check", ", s"), ("emulated interpreters", ""))
        for arch in _BOTH
    },
}
"""Figures of the farm's own, which nobody else has."""
