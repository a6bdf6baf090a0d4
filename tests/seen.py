"""What the engine says of the farm's containers while they are there."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
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
