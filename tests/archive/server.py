"""A web server of Debian archives with weather, in the container that compose.yaml describes.

Serves /srv/<archive>/…; `weather.json` of an archive is a list of faults, each of which strikes the
paths that its `match` (a regular expression) finds, `times` times, or always without that:

    {"match": …, "fault": "status", "status": 429, "retry_after": 1}
    {"match": …, "fault": "reset"}       the connection is reset
    {"match": …, "fault": "stall"}       nothing comes after the first half, and nobody hangs up
    {"match": …, "fault": "truncate"}    the connection ends after the first half
    {"match": …, "fault": "instead", "of": path}    another file of the archive is sent
"""

from __future__ import annotations

import json
import re
import socket
import struct
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

ROOT = Path("/srv")
PORT = 8000
STALLED = 60.0
"""Seconds until even a stalled connection is given up."""


class Weather:
    """How often each fault has struck."""

    def __init__(self) -> None:
        self.struck: dict[tuple[str, int], int] = {}
        self.lock = threading.Lock()

    def fault(self, archive: str, path: str) -> dict[str, Any]:
        """Return the fault that strikes `path` now; an empty one where none does."""
        file = ROOT / archive / "weather.json"
        faults: list[dict[str, Any]] = json.loads(file.read_text()) if file.exists() else []
        with self.lock:
            for number, fault in enumerate(faults):
                place = archive, number
                struck = self.struck.get(place, 0)
                if re.search(fault["match"], path) and struck < fault.get("times", struck + 1):
                    self.struck[place] = struck + 1
                    return fault
        return {}


WEATHER = Weather()


class Handler(BaseHTTPRequestHandler):
    """Answers GET, whole or by the weather."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Send a file, or what the weather makes of it."""
        _, archive, path = (*self.path.split("/", 2), "")[:3]
        fault = WEATHER.fault(archive, path)
        kind = fault.get("fault", "")
        if kind == "status":
            self.send_response(fault["status"])
            if "retry_after" in fault:
                self.send_header("Retry-After", str(fault["retry_after"]))
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        if kind == "reset":
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.close_connection = True
            self.connection.close()
            return
        file = ROOT / archive / (fault["of"] if kind == "instead" else path)
        if not file.is_file():
            self.send_error(404, "Not Found")
            return
        self._send(file.read_bytes(), kind)

    def _send(self, content: bytes, kind: str) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if kind in {"stall", "truncate"}:
            self.wfile.write(content[: len(content) // 2])
            self.wfile.flush()
            self.close_connection = True
            if kind == "stall":
                time.sleep(STALLED)
            return
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Say nothing of each request."""


if __name__ == "__main__":
    ThreadingHTTPServer(("", PORT), Handler).serve_forever()
