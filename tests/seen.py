"""What the farm's runs have on the engine, looked at and cleared away by tests."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from typing import Any

import docker

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


def remove_what_is_left(runs: Iterable[str]) -> None:
    """Remove what `runs` left on the engine: kept jobs, and what one that was killed was at."""
    mine = set(runs)
    with closing(docker.from_env()) as client:
        release(client, [kept for kept in look(client).kept if kept.run in mine])
        reap(client)
        for run in mine:
            sweep(client, run)
