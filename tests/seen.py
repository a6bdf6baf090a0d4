"""What the farm's runs have on the engine, looked at and cleared away by tests."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import docker

from farm.engine.build_cache import drop_caches, held_caches
from farm.engine.leftovers import look, reap, release, sweep


@contextmanager
def containers_seen() -> Iterator[list[dict[str, Any]]]:
    """Collect what the engine says of each container of the farm's that starts in the block."""
    seen: list[dict[str, Any]] = []
    client = docker.from_env()
    events = client.events(decode=True, filters={"type": "container", "label": "farm=1"})

    def listen() -> None:
        created = (event["id"] for event in events if event["Action"] == "create")
        for identity in created:
            try:
                seen.append(client.api.inspect_container(identity))
            except docker.errors.NotFound:
                continue  # of a command that ends at once

    thread = threading.Thread(target=listen, daemon=True)
    thread.start()
    try:
        yield seen
    finally:
        events.close()
        thread.join()
        client.close()


def remove_what_is_left(below: Path) -> None:
    """Remove what runs of projects `below` a directory left on the engine.

    That is kept jobs, and what one that was killed was at.
    """
    mine = {path.name for path in below.glob("**/.farm/runs/2*")}
    if not mine:
        return
    with closing(docker.from_env()) as client:
        release(client, [kept for kept in look(client).kept if kept.run in mine])
        reap(client)
        for run in mine:
            sweep(client, run)


def remove_caches(below: Path) -> None:
    """Remove what builds of projects `below` a directory left, if there is an engine at all."""
    with suppress(docker.errors.DockerException), closing(docker.from_env()) as client:
        caches = held_caches(client)
        drop_caches(client, [held for held in caches if Path(held.title).is_relative_to(below)])
