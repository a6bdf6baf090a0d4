"""The sentinel: a container that lives exactly as long as the controller of its run.

Labels on an engine can't change and a controller may be on another machine, so whether a run is
alive is asked of something that dies with it. The sentinel runs `cat` with the controller on its
standard input; when that connection goes, by whatever death, `cat` reads the end and ends with
status 0. A sentinel that ended otherwise went down with its engine, and may be started anew.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from typing import Any, cast

import docker
import requests
from docker.errors import APIError, NotFound
from tenacity import (
    RetryError,
    Retrying,
    retry_if_exception,
    retry_if_exception_type,
    sleep_using_event,
    stop_after_attempt,
    stop_after_delay,
    wait_fixed,
)

from farm.engine.errors import translated
from farm.engine.unbroken import Requests

SENTINEL_LABEL = "farm.sentinel"

_MEMORY = 16 << 20
_BACK_WITHIN = 300.0
"""Seconds that an engine may take to come back."""


@dataclass(kw_only=True)
class Sentinel:
    """One run's sentinel: `start` before anything else of the run, `stop` after all of it."""

    client: docker.DockerClient
    image: str
    """An image of the engine's own architecture that has `cat`."""
    labels: Mapping[str, str]
    _stopping: threading.Event = field(default_factory=threading.Event)
    _starting: Requests = field(default_factory=Requests)
    """What makes the first one; `stop` waits for it."""
    _watch: threading.Thread | None = None

    def start(self) -> None:
        """Start it. It is started anew whenever it ends, as it does when the engine restarts.

        Raises SurroundingsError when the engine can't run it.
        """
        removed = retry_if_exception(_was_removed)  # by another run, before it was running
        attempts = Retrying(retry=removed, stop=stop_after_attempt(5), reraise=True)
        with translated("start the run's sentinel"):
            held = self._starting.ask(attempts, self._hold)
        self._watch = threading.Thread(target=self._keep, args=(held,), daemon=True)
        self._watch.start()

    def stop(self) -> None:
        """Let it end, and remove it; an engine that is gone has nothing to remove."""
        self._stopping.set()
        self._starting.finish()
        with suppress(APIError, requests.RequestException):  # the next run removes what is left
            self._clear()
        if self._watch is not None:
            self._watch.join(timeout=10)

    def _keep(self, held: socket.SocketIO) -> None:
        """Wait for the sentinel's end; unless it is the run's, start another."""
        while True:
            with held:
                _wait_for_end(held)
            if self._stopping.is_set():
                return
            attempts = Retrying(
                retry=retry_if_exception_type((APIError, requests.RequestException)),
                wait=wait_fixed(0.2),
                stop=stop_after_delay(_BACK_WITHIN),
                sleep=sleep_using_event(self._stopping),
            )
            try:
                held = attempts(self._hold)
            except RetryError:
                return  # the run fails by itself, with what it last asked of the engine

    def _hold(self) -> socket.SocketIO:
        """Make a sentinel, hold its input and start it; older ones of the run go after that."""
        api = self.client.api
        config: dict[str, Any] = api.create_container_config(
            image=self.image,
            command=["cat"],
            entrypoint=[],
            user="65534:65534",
            stdin_open=True,
            detach=False,
            labels={**self.labels, SENTINEL_LABEL: "1"},
            host_config=api.create_host_config(
                network_mode="none",
                cap_drop=["ALL"],
                security_opt=["no-new-privileges"],
                read_only=True,
                mem_limit=_MEMORY,
                memswap_limit=_MEMORY,
                pids_limit=8,
                init=True,
            ),
        )
        created = api.create_container_from_config(config)  # type: ignore[no-untyped-call]
        with ExitStack() as unless_started:
            held: socket.SocketIO = unless_started.enter_context(
                api.attach_socket(created["Id"], params={"stdin": 1, "stdout": 1, "stream": 1})
            )
            connection = cast("socket.socket", getattr(held, "_sock", held))  # TLS has none inside
            connection.settimeout(None)  # it is silent for hours
            api.start(created["Id"])
            self._clear(but=created["Id"])
            unless_started.pop_all()
        return held

    def _clear(self, *, but: str = "") -> None:
        """Remove the sentinels of the run, except the one whose id is `but`."""
        wanted = [*(f"{key}={value}" for key, value in self.labels.items()), SENTINEL_LABEL]
        for container in self.client.api.containers(all=True, filters={"label": wanted}):
            if container["Id"] != but:
                with suppress(NotFound):
                    self.client.api.remove_container(container["Id"], force=True, v=True)


def _was_removed(error: BaseException) -> bool:
    gone = {requests.codes.not_found, requests.codes.conflict}  # the latter while it is removed
    return isinstance(error, APIError) and error.status_code in gone


def _wait_for_end(held: socket.SocketIO) -> None:
    """Read until the other side closes; nothing is ever said."""
    try:
        while held.read(1):
            pass
    except OSError:
        return
