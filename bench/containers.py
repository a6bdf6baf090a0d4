"""When the farm's containers ran, as the engine tells."""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager

import docker

from farm.engine.leftovers import JOB_LABEL, RUN_LABEL


class Containers:
    """When each container of jobs ran: start and end in seconds, by run."""

    def __init__(self, client: docker.DockerClient) -> None:
        self._client = client
        self.spans: dict[str, list[tuple[float, float]]] = defaultdict(list)
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
                    run = event["Actor"]["Attributes"][RUN_LABEL]
                    self.spans[run].append((self._started.pop(event["id"]), moment))

        thread = threading.Thread(target=listen, daemon=True)
        thread.start()
        try:
            yield self
        finally:
            time.sleep(0.5)
            events.close()
            thread.join()

    def busy(self, run: str) -> float:
        """Seconds in which at least one of the run's ran."""
        total, until = 0.0, 0.0
        for start, end in sorted(self.spans[run]):
            total += max(0.0, end - max(start, until))
            until = max(until, end)
        return total
