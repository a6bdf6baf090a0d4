"""What the farm's runs have on the engine, looked at and cleared away by tests."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import docker


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
    """Remove the containers and volumes of `runs`, such as those that keep a failed job."""
    client = docker.from_env()
    try:
        for run in runs:
            wanted = {"label": f"farm.run={run}"}
            for container in client.api.containers(all=True, filters=wanted):
                with suppress(docker.errors.NotFound):  # it was just being removed
                    client.api.remove_container(container["Id"], force=True, v=True)
            for volume in client.volumes.list(filters=wanted):
                volume.remove(force=True)
    finally:
        client.close()
