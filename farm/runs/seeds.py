"""Which job is built after which, and what a new target directory is filled from.

Host units (build scripts, procedural macros) are the same for all jobs of one compiler, and what
does not depend on PyO3 the same for all of one architecture. So the first job of a group goes
before the others of it, and the first native one before all: they start with what it compiled.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from farm.steps.targets import Seed


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where a job is compiled."""

    volume: str
    group: str
    """Jobs of one group share all units that do not depend on PyO3."""
    host: str
    """The group whose host units the job shares; its own, if its compiler is for itself only."""
    host_triple: str
    """The triple of the group `host`, whose target units are of no use to other groups."""


@dataclass(frozen=True, kw_only=True)
class Sowing:
    """What `sow` found."""

    seeds: Mapping[str, Seed] = field(default_factory=dict)
    """By job."""
    after: Mapping[str, str] = field(default_factory=dict)
    """By job, the one that has to have compiled what others begin with."""
    leaders: frozenset[str] = frozenset()
    """The first job of each group."""


def sow(jobs: Sequence[str], places: Mapping[str, Place], ready: Mapping[str, str]) -> Sowing:
    """Return the seeds of `jobs`, which are built in about this order, and who waits for whom.

    `places` has each job's place, `ready` the group of each volume that already has something.
    No directory is a seed while it may be built in.
    """
    own = {places[job].volume for job in jobs}
    idle = {group: volume for volume, group in sorted(ready.items()) if volume not in own}
    leaders: dict[str, str] = {}
    for job in jobs:
        leaders.setdefault(places[job].group, job)
    seeds: dict[str, Seed] = {}
    after: dict[str, str] = {}
    for job in jobs:
        place = places[job]
        if place.volume in ready:
            continue
        for group in dict.fromkeys((place.group, place.host)):
            leave = "" if group == place.group else place.host_triple
            leader = leaders.get(group, job)
            if leader != job:
                seeds[job] = Seed(volume=places[leader].volume, leave=leave)
                after[job] = leader
                break
            if group in idle:
                seeds[job] = Seed(volume=idle[group], leave=leave)
                break
    return Sowing(seeds=seeds, after=after, leaders=frozenset(leaders.values()))
