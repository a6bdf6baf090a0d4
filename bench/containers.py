"""When the farm's containers ran, as the engine tells."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import docker

from farm.engine.leftovers import JOB_LABEL


class Containers:
    """When each container of the farm's jobs ran: start and end in seconds."""

    def __init__(self, client: docker.DockerClient) -> None:
        self._client = client
        self.spans: list[tuple[float, float]] = []
        self._started: dict[str, float] = {}

    @contextmanager
    def watched(self) -> Iterator[Containers]:
        """Watch until the end of the block."""
        wanted = {"type": "container", "label": JOB_LABEL}
        events = self._client.events(decode=True, filters=wanted)

        def listen() -> None:
            for event in events:
                moment = event["timeNano"] / 1e9
                if event["Action"] == "start":
                    self._started[event["id"]] = moment
                elif event["Action"] == "die" and event["id"] in self._started:
                    self.spans.append((self._started.pop(event["id"]), moment))

        thread = threading.Thread(target=listen, daemon=True)
        thread.start()
        try:
            yield self
        finally:
            time.sleep(0.5)
            events.close()
            thread.join()

    def busy(self) -> float:
        """Seconds in which at least one of them ran."""
        total, until = 0.0, 0.0
        for start, end in sorted(self.spans):
            total += max(0.0, end - max(start, until))
            until = max(until, end)
        return total
