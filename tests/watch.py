"""Every program that is started on this machine, seen from outside: the kernel's process events.

Linux's process connector (drivers/connector/cn_proc.c) tells a listener of each exec. That a
program is emulated shows in what the kernel really runs, `/proc/PID/exe`; which program that is,
in its command line; for which machine it is, in the program's own ELF header.
"""

from __future__ import annotations

import os
import socket
import struct
import threading
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

NETLINK_CONNECTOR = 11
_IDENTITY = (1, 1)  # CN_IDX_PROC, CN_VAL_PROC
_LISTEN, _IGNORE = 1, 2
_EXEC = 0x2
_NLMSG_DONE = 3
_MACHINES = {0x3E: "x86_64", 0xB7: "aarch64"}


@dataclass(frozen=True, kw_only=True)
class Program:
    """One start of a program."""

    path: str
    """As its container sees it."""
    machine: str
    """The architecture of its ELF file, or empty for a script."""
    argv: tuple[str, ...]
    emulated: bool
    """QEMU runs it."""

    @property
    def name(self) -> str:
        return self.path.rpartition("/")[2]


class Watch:
    """Records all programs that start within the block; needs root."""

    def __init__(self) -> None:
        self.programs: list[Program] = []
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_DGRAM, NETLINK_CONNECTOR)
        self._socket.setsockopt(socket.SOL_SOCKET, 33, 16 << 20)  # SO_RCVBUFFORCE
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._ended = threading.Event()

    def __enter__(self) -> Watch:
        self._socket.bind((os.getpid(), _IDENTITY[0]))
        self._socket.settimeout(0.2)
        self._say(_LISTEN)
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._ended.set()
        self._thread.join()
        self._say(_IGNORE)
        self._socket.close()

    def _say(self, operation: int) -> None:
        body = struct.pack("=IIIIHHI", *_IDENTITY, 0, 0, 4, 0, operation)
        header = struct.pack("=IHHII", 16 + len(body), _NLMSG_DONE, 0, 0, os.getpid())
        self._socket.send(header + body)

    def _listen(self) -> None:
        while not self._ended.is_set():
            try:
                data = self._socket.recv(4096)
            except TimeoutError:
                continue
            # nlmsghdr (16), cn_msg (20), then proc_event: what, cpu, time, pid, tgid
            what, _cpu, _time, pid, _tgid = struct.unpack_from("=IIQII", data, 36)
            if what == _EXEC and (program := _look(pid)):
                self.programs.append(program)


def _look(pid: int) -> Program | None:
    place = Path(f"/proc/{pid}")
    try:
        exe = os.readlink(place / "exe")
        argv = tuple(
            os.fsdecode(word) for word in (place / "cmdline").read_bytes().split(b"\0")[:-1]
        )
        # A binfmt_misc handler with the flag P is called with: itself, the program, argv...
        emulated = "-binfmt-P" in exe or "qemu-" in exe
        path = argv[1] if emulated else exe
        header = (place / f"root/{path}").open("rb").read(20)
    except OSError:
        return None
    machine = struct.unpack_from("<H", header, 18)[0] if header[:4] == b"\x7fELF" else 0
    return Program(path=path, machine=_MACHINES.get(machine, ""), argv=argv, emulated=emulated)
