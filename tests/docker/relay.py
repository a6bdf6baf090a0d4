"""A relay in front of the engine, that can go away with every connection and come back.

It can also hold a request back for a while, as an engine does that is slow, and tells what was
asked.
"""

from __future__ import annotations

import re
import socket
import threading
import time
from contextlib import suppress
from pathlib import Path

_ENGINE = "/var/run/docker.sock"
_HELD_FOR = 2.0
_REQUEST = re.compile(rb"([A-Z]+) /")


class Relay:
    """Listens at `path`, and hands every connection on to the engine.

    Of the requests that begin with `hold` the one with this `number`, counted from 1, reaches the
    engine late, even if nobody waits for it by then; `held` is set meanwhile. `asked` are the
    methods of all requests.
    """

    def __init__(self, path: Path, *, hold: bytes = b"", number: int = 0) -> None:
        self._path = path
        self._open: list[socket.socket] = []
        self.asked: list[str] = []
        self._hold, self._number = hold, number
        self.held, self.released = threading.Event(), threading.Event()
        self.come()

    def come(self) -> None:
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(self._path))
        self._listener.listen(64)
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def go(self) -> None:
        self._path.unlink()
        self._open.append(self._listener)
        while self._open:
            with suppress(OSError), self._open.pop() as each:
                each.shutdown(socket.SHUT_RDWR)

    def _accept(self, listener: socket.socket) -> None:
        with suppress(OSError):
            while True:
                client, _ = listener.accept()
                engine = socket.socket(socket.AF_UNIX)
                engine.connect(_ENGINE)
                self._open += (client, engine)
                for pair in ((client, engine), (engine, client)):
                    threading.Thread(target=self._pump, args=pair, daemon=True).start()

    def _pump(self, source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(1 << 16):
                if found := _REQUEST.match(data):
                    self.asked.append(found[1].decode())
                if self._hold and data.startswith(self._hold):
                    self._number -= 1
                    if self._number == 0:
                        self.held.set()
                        time.sleep(_HELD_FOR)
                        sink.sendall(data)
                        self.released.set()
                        continue
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)
