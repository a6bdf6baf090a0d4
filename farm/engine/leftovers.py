"""What is left on an engine by runs that are dead, and by failed jobs that are kept to be entered.

A run is alive while its sentinel is. Volumes of a failed job are kept by a container that was
never started: it names them, so that nothing removes them, and it says how to go on.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import docker
import requests
from docker.errors import APIError, NotFound
from pydantic import TypeAdapter, ValidationError
from tenacity import retry, retry_if_exception, stop_after_delay, wait_fixed

from farm.engine.errors import translated
from farm.engine.sentinel import SENTINEL_LABEL

LABEL = "farm"
RUN_LABEL = "farm.run"
JOB_LABEL = "farm.job"
CACHE_LABEL = "farm.cache"
"""On what is kept of a project's builds, of no run: the key of the project."""
PROBE_LABEL = "farm.probe"
"""On a container of no run, that ends within seconds."""
KEPT_LABEL = "farm.kept"
"""On the container that keeps a job: the bytes that each of its volumes holds, as JSON."""

STEP_LABEL = "farm.step"
"""On the same container: which of the job's steps it is of."""

_SIZES = TypeAdapter(dict[str, int])
_GRACE = 60.0
"""Seconds that a sentinel which its engine took down has to come back."""
_START = 10.0
"""Seconds that a sentinel may take to start; one that is removed meanwhile is made again."""
_STRAY = 600.0
"""Seconds after which a probe has lost its controller."""
_SWEEP_SECONDS = 20.0


@dataclass(frozen=True, kw_only=True)
class Kept:
    """A job whose volumes are kept."""

    container: str
    """Id of the container that keeps them."""
    run: str
    job: str
    step: str
    created: float
    """Seconds since the epoch, by the engine's clock."""
    volumes: Mapping[str, int]
    """Each with the bytes that it held when the job ended."""


@dataclass(frozen=True, kw_only=True)
class Leftovers:
    """What the farm has on an engine, sorted by whose it is."""

    alive: frozenset[str]
    """Runs that go on, here or elsewhere."""
    dead: frozenset[str]
    """Runs that ended without removing all that they made."""
    kept: tuple[Kept, ...]
    """Oldest first."""
    containers: tuple[str, ...]
    """Ids of those of the dead runs."""
    volumes: tuple[str, ...]
    """Names of those of the dead runs, but what is kept."""


def look(client: docker.DockerClient) -> Leftovers:
    """Look at what the farm has on the engine; nothing is changed.

    Volumes are listed before containers: a run makes its sentinel before anything else, so that
    no volume is seen without the sentinel of a living run.
    """
    with translated("list what runs left"):
        volumes = _volumes(client)
        containers = _containers(client)
        now = clock(client)
        sentinels = [c for c in containers if SENTINEL_LABEL in c["Labels"]]
        alive = {c["Labels"][RUN_LABEL] for c in sentinels if _is_alive(client, c, now)}
    kept = tuple(sorted((_kept(c) for c in containers if _is_kept(c)), key=lambda k: k.created))
    needed = {name for each in kept for name in each.volumes}
    lost = [c for c in containers if not _is_kept(c) and c["Labels"][RUN_LABEL] not in alive]
    waste = [v for v in volumes if v["Name"] not in needed and v["Labels"][RUN_LABEL] not in alive]
    return Leftovers(
        alive=frozenset(alive),
        dead=frozenset(thing["Labels"][RUN_LABEL] for thing in (*lost, *waste)),
        kept=kept,
        containers=tuple(container["Id"] for container in lost),
        volumes=tuple(volume["Name"] for volume in waste),
    )


def reap(client: docker.DockerClient) -> Leftovers:
    """Remove what dead runs left, and return what was found before that.

    What a living run, or another program, has on the engine is not touched. Only what was seen is
    removed: of a run that was just about to live there may be more by then.
    """
    found = look(client)
    with translated("remove what runs left"):
        if found.dead:
            _remove_seen(client, found)
        now = clock(client)
        for container in client.api.containers(all=True, filters={"label": [PROBE_LABEL]}):
            if now - container["Created"] > _STRAY:
                _remove_container(client, container["Id"])
    return found


def release(client: docker.DockerClient, kept: Iterable[Kept]) -> None:
    """Remove kept jobs, and those of their volumes that no other kept job needs."""
    gone = tuple(kept)
    with translated("remove what was kept"):
        for each in gone:
            _remove_container(client, each.container)
    alive = look(client).alive
    for run in sorted({each.run for each in gone} - alive):
        sweep(client, run)


def enforce_quota(client: docker.DockerClient, quota: int) -> tuple[Kept, ...]:
    """Release the oldest kept jobs until what is left holds at most `quota` bytes.

    Returns those that were released.
    """
    kept = look(client).kept
    count = next(i for i in range(len(kept) + 1) if held(kept[i:]) <= quota)
    if count:
        release(client, kept[:count])
    return kept[:count]


def held(kept: Iterable[Kept]) -> int:
    """Return the bytes that kept jobs hold; what several share counts once."""
    volumes: dict[str, int] = {}
    for each in kept:
        volumes |= each.volumes
    return sum(volumes.values())


def sweep(client: docker.DockerClient, run: str) -> None:
    """Remove what one run has on the engine, but its sentinel and what is kept of it."""
    with translated("remove what a run left"):
        _sweep(client, run)


def _may_pass(error: BaseException) -> bool:
    """Tell whether something is in use, or the engine could not end or unmount it just now."""
    passing = {requests.codes.conflict, requests.codes.server_error}
    return isinstance(error, APIError) and error.status_code in passing


_patiently = retry(
    retry=retry_if_exception(_may_pass),
    stop=stop_after_delay(_SWEEP_SECONDS),
    wait=wait_fixed(0.5),
    retry_error_callback=lambda _: None,
)
"""A container that the engine was still making, as its controller was interrupted or died, keeps
its volumes in use before it can be listed. What is in use for longer is left to the next run."""


@_patiently
def _remove_seen(client: docker.DockerClient, found: Leftovers) -> None:
    late = {identity for identity in look(client).containers if identity not in found.containers}
    for identity in (*found.containers, *late):
        _remove_container(client, identity)
    for name in found.volumes:
        _remove_volume(client, name)


@_patiently
def _sweep(client: docker.DockerClient, run: str) -> None:
    others = []
    for container in _containers(client):
        labels = container["Labels"]
        if _is_kept(container) or labels[RUN_LABEL] != run:
            others.append(container)
        elif SENTINEL_LABEL not in labels:
            _remove_container(client, container["Id"])
    needed = {name for container in others for name in _volumes_of(container)}
    for volume in _volumes(client, run):
        if volume["Name"] not in needed:
            _remove_volume(client, volume["Name"])


def _remove_volume(client: docker.DockerClient, name: str) -> None:
    with suppress(NotFound):
        client.api.remove_volume(name, force=True)


def _remove_container(client: docker.DockerClient, identity: str) -> None:
    with suppress(NotFound):
        client.api.remove_container(identity, force=True, v=True)


def _containers(client: docker.DockerClient) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = client.api.containers(all=True, filters={"label": [RUN_LABEL]})
    return found


def _volumes(client: docker.DockerClient, run: str = "") -> list[dict[str, Any]]:
    label = f"{RUN_LABEL}={run}" if run else RUN_LABEL
    return client.api.volumes(filters={"label": [label]})["Volumes"] or []


def _is_kept(container: Mapping[str, Any]) -> bool:
    return KEPT_LABEL in container["Labels"]


def _kept(container: Mapping[str, Any]) -> Kept:
    labels = container["Labels"]
    return Kept(
        container=container["Id"],
        run=labels[RUN_LABEL],
        job=labels.get(JOB_LABEL, ""),
        step=labels.get(STEP_LABEL, ""),
        created=float(container["Created"]),
        volumes=dict.fromkeys(_volumes_of(container), 0) | _sizes(labels[KEPT_LABEL]),
    )


def _sizes(text: str) -> dict[str, int]:
    """Return what the label of a kept container tells; another version's may tell nothing."""
    try:
        return _SIZES.validate_json(text)
    except ValidationError:
        return {}


def _volumes_of(container: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(m["Name"] for m in container["Mounts"] if m["Type"] == "volume")


def _is_alive(client: docker.DockerClient, container: Mapping[str, Any], now: float) -> bool:
    """Tell whether a sentinel stands for a controller; see `farm.engine.sentinel`."""
    if container["State"] == "created":
        return bool(now - container["Created"] < _START)
    if container["State"] != "exited":
        return bool(container["State"] == "running")
    try:
        state = client.api.inspect_container(container["Id"])["State"]
    except NotFound:
        return False  # removed since
    if state["Running"]:
        return True
    return state["ExitCode"] != 0 and now - _seconds(state["FinishedAt"]) < _GRACE


def clock(client: docker.DockerClient) -> float:
    """Return the time by the engine's clock; the controller's may be another."""
    return _seconds(client.info()["SystemTime"])


def _seconds(text: str) -> float:
    """Return the seconds since the epoch of the engine's RFC 3339 text."""
    return datetime.fromisoformat(text).timestamp()
