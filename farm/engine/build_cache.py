"""What a project's builds leave on an engine for its next ones: named volumes, of no run.

One run at a time uses them: it makes a container of one name, which an engine makes only once,
and which goes with the run. Another container, never started, holds the volumes: it says what
they hold and when they were used last, and no prune of volumes takes them.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import docker
from docker.errors import APIError, NotFound
from pydantic import ValidationError

from farm.engine.containers import Limits, Mount, Spec, Workshop
from farm.engine.errors import translated
from farm.engine.leftovers import CACHE_LABEL, LABEL
from farm.model.adapters import adapter
from farm.model.targets import Arch

_GROUP_LABEL = "farm.group"
_TITLE_LABEL = "farm.title"
_SIZES_LABEL = "farm.sizes"
_UNKNOWN = "a project that is not known"
_NOTHING = Limits(memory=16 << 20, cpus=1, pids=1, deadline=0)
"""What a container may use that is never started."""


@dataclass(frozen=True, kw_only=True)
class Held:
    """What is kept of one project's builds."""

    key: str
    title: str
    """The project's directory, for people."""
    used: float
    """When a run used it last, in seconds since the epoch by the engine's clock."""
    bytes: int
    """What it held then."""


@dataclass(kw_only=True)
class BuildCache:
    """The volumes of one project, as a run uses them."""

    workshop: Workshop
    key: str
    title: str
    image: str
    """Any image; nothing of it is run."""
    arch: Arch
    """The image's architecture."""

    def take(self) -> bool:
        """Take it for this run, unless another run has it; tell whether that succeeded."""
        return self.workshop.claim(_lease(self.key), self._idle(()))

    def groups(self) -> dict[str, str]:
        """Return the volumes that are there, each with its group."""
        with translated("list what builds left"):
            found = _volumes(self.workshop.client, self.key)
        return {volume["Name"]: volume["Labels"].get(_GROUP_LABEL, "") for volume in found}

    def name(self, purpose: str) -> str:
        """Return the name of the volume for `purpose`."""
        return f"farm-cache-{self.key}-{purpose}"

    def volume(self, purpose: str, group: str = "") -> str:
        """Return the volume for `purpose`, made where it is not there; `group` is written on it."""
        labels = {LABEL: "1", CACHE_LABEL: self.key, _GROUP_LABEL: group}
        return self.workshop.make_volume(self.name(purpose), labels)

    def drop(self, volume: str) -> None:
        """Remove a volume; one that is in use, by a job that is kept, stays."""
        with translated("remove what a build left"):
            _remove_volume(self.workshop.client, volume)

    def hold(self, sizes: Mapping[str, int]) -> None:
        """Have a container hold the volumes, which says that they were used now.

        `sizes` are the bytes in each, as far as they are known. The container before it goes.
        """
        client = self.workshop.client
        with translated("keep what builds left"):
            before = _holders(client, self.key)
            known = dict(sizes) or (_sizes(before[0]) if before else {})
            labels = {
                LABEL: "1",
                CACHE_LABEL: self.key,
                _TITLE_LABEL: self.title,
                _SIZES_LABEL: json.dumps(known),
            }
            self.workshop.hold(self._idle(self.groups()), labels)
            for container in before:
                _remove_container(client, container["Id"])

    def _idle(self, volumes: Iterable[str]) -> Spec:
        """Return a container that is there to have `volumes`, and never started."""
        return Spec(
            image=self.image,
            arch=self.arch,
            argv=("true",),
            cwd="/",
            environment={},
            mounts=tuple(Mount(volume=v, path=f"/held/{v}", cache=self.key) for v in volumes),
            limits=_NOTHING,
        )


def held_caches(client: docker.DockerClient) -> tuple[Held, ...]:
    """Return what the engine keeps of builds, used longest ago first.

    What nothing holds comes before all others: somebody removed its holder, or a run was killed
    before it had one. How much that is, is not known.
    """
    with translated("list what builds left"):
        keys = {volume["Labels"][CACHE_LABEL] for volume in _volumes(client)}
        holders = _holders(client)
        keys -= {container["Labels"][CACHE_LABEL] for container in holders}
        unheld = sorted(key for key in keys if not _is_taken(client, key))
    found = {key: Held(key=key, title=_UNKNOWN, used=0, bytes=0) for key in unheld}
    for container in sorted(holders, key=lambda c: c["Created"]):
        labels = container["Labels"]
        key = labels[CACHE_LABEL]
        found[key] = Held(
            key=key,
            title=labels.get(_TITLE_LABEL, ""),
            used=float(container["Created"]),
            bytes=sum(_sizes(container).values()),
        )
    return tuple(sorted(found.values(), key=lambda held: held.used))


def drop_caches(client: docker.DockerClient, caches: Iterable[Held]) -> None:
    """Remove what is kept of projects' builds, but what is in use at the moment."""
    with translated("remove what builds left"):
        for each in caches:
            for container in _holders(client, each.key):
                _remove_container(client, container["Id"])
            for volume in _volumes(client, each.key):
                _remove_volume(client, volume["Name"])


def beyond(there: Sequence[Held], bound: int, *, but: str) -> tuple[Held, ...]:
    """Return which of `there`, used longest ago first, go so that at most `bound` bytes are held.

    That of the project `but` stays.
    """
    return enough(there, sum(each.bytes for each in there) - bound, but=but)


def enough(there: Sequence[Held], excess: int, *, but: str) -> tuple[Held, ...]:
    """Return the first of `there` that together hold `excess` bytes, without the project `but`."""
    gone = []
    for each in there:
        if excess > 0 and each.key != but:
            gone.append(each)
            excess -= each.bytes
    return tuple(gone)


def _holders(client: docker.DockerClient, key: str = "") -> list[dict[str, Any]]:
    label = f"{CACHE_LABEL}={key}" if key else CACHE_LABEL
    found: list[dict[str, Any]] = client.api.containers(all=True, filters={"label": [label]})
    return found


def _volumes(client: docker.DockerClient, key: str = "") -> list[dict[str, Any]]:
    wanted = {"label": [f"{CACHE_LABEL}={key}" if key else CACHE_LABEL]}
    return client.api.volumes(filters=wanted)["Volumes"] or []


def _lease(key: str) -> str:
    """Return the name of the container of the run that uses a project's volumes."""
    return f"farm-cache-{key}"


def _is_taken(client: docker.DockerClient, key: str) -> bool:
    return bool(client.api.containers(all=True, filters={"name": [f"^/{_lease(key)}$"]}))


def _remove_container(client: docker.DockerClient, identity: str) -> None:
    with suppress(NotFound):
        client.api.remove_container(identity, force=True)


def _remove_volume(client: docker.DockerClient, name: str) -> None:
    try:
        client.api.remove_volume(name)
    except APIError as error:
        if error.status_code not in {404, 409}:  # gone already, or in use
            raise


def _sizes(container: Mapping[str, Any]) -> dict[str, int]:
    """Return what a holder tells; another version's may tell nothing."""
    try:
        return adapter(dict[str, int]).validate_json(container["Labels"].get(_SIZES_LABEL, ""))
    except ValidationError:
        return {}
