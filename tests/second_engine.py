"""A second Docker engine, of a test's own, to be stopped, starved and filled at will.

It runs beside the machine's engine in a network namespace without any route, and keeps its data
on a small file system of its own.
"""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import subprocess
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import docker

_PATIENCE = 60.0
"""Seconds that an engine may take to start or to stop."""


@dataclass(kw_only=True)
class SecondEngine:
    """One engine; `start` and `stop` may follow each other."""

    root: Path
    """Its directory; `root/data` is a file system of its own."""
    namespace: str
    _process: subprocess.Popen[bytes] | None = field(default=None)

    @property
    def address(self) -> str:
        return f"unix://{self.root}/socket"

    @property
    def data(self) -> Path:
        return self.root / "data"

    def start(self) -> None:
        (self.root / "config.json").write_text("{}")
        argv = [
            *("nsenter", f"--net=/run/netns/{self.namespace}", "dockerd"),
            *("--data-root", str(self.data), "--exec-root", str(self.root / "exec")),
            *("--pidfile", str(self.root / "pid"), "--host", self.address),
            *("--iptables=false", "--ip-forward=false", "--ip-masq=false"),
            *("--config-file", str(self.root / "config.json")),
        ]
        with (self.root / "log").open("ab") as log:
            self._process = subprocess.Popen(argv, stdout=log, stderr=log)
        deadline = time.monotonic() + _PATIENCE
        while not self._answers():
            assert self._process.poll() is None, (self.root / "log").read_text()
            assert time.monotonic() < deadline
            time.sleep(0.1)

    def _answers(self) -> bool:
        asked = ["docker", "--host", self.address, "info"]
        return subprocess.run(asked, capture_output=True, check=False).returncode == 0

    def stop(self) -> None:
        """End it as systemd does; its containers end with it."""
        if self._process is not None:
            self._process.send_signal(signal.SIGTERM)
            self._process.wait(_PATIENCE)
            self._process = None

    @contextmanager
    def client(self) -> Iterator[docker.DockerClient]:
        client = docker.DockerClient(base_url=self.address)
        try:
            yield client
        finally:
            client.close()

    def load(self, references: Iterable[str]) -> None:
        """Copy images of the machine's engine."""
        with subprocess.Popen(["docker", "save", *references], stdout=subprocess.PIPE) as save:
            subprocess.run(
                ["docker", "--host", self.address, "load", "--quiet"],
                stdin=save.stdout,
                stdout=subprocess.DEVNULL,
                check=True,
            )
        assert save.returncode == 0


@contextmanager
def second_engine(directory: Path, *, gib: float) -> Iterator[SecondEngine]:
    """Give a running engine with a disk of `gib` GiB; nothing of it is left afterwards."""
    name = f"farm-test-{secrets.token_hex(3)}"
    engine = SecondEngine(root=directory, namespace=name)
    disk = directory / "disk.img"
    with disk.open("wb") as file:
        os.truncate(file.fileno(), int(gib * (1 << 30)))
    engine.data.mkdir()
    subprocess.run(["mkfs.ext4", "-q", "-m0", str(disk)], check=True)
    subprocess.run(["mount", "-o", "loop", str(disk), str(engine.data)], check=True)
    try:
        subprocess.run(["ip", "netns", "add", name], check=True)
        try:
            engine.start()
            yield engine
        finally:
            engine.stop()
            subprocess.run(["ip", "netns", "delete", name], check=True)
    finally:
        subprocess.run(["umount", "--recursive", "--lazy", str(engine.data)], check=True)
        shutil.rmtree(directory / "exec", ignore_errors=True)
        disk.unlink()
