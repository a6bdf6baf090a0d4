"""Every program that is started on this machine, seen from outside: the kernel's process events.

Linux's process connector (drivers/connector/cn_proc.c) tells a listener of each exec. That a
program is emulated shows in what the kernel really runs, `/proc/PID/exe`; which program that is,
in its command line; for which machine it is, in the program's own ELF header; in which container,
in its control group. All this is read after the event: a program that has ended by then is only
counted, in `missed`, and one that has called another by then is seen as that other. Both happen
to programs of a millisecond or so, not to compilers, linkers and interpreters.
"""

from __future__ import annotations

import os
import re
import socket
import struct
import threading
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from types import TracebackType
from typing import Self

import docker

NETLINK_CONNECTOR = 11
_IDENTITY = (1, 1)  # CN_IDX_PROC, CN_VAL_PROC
_LISTEN, _IGNORE = 1, 2
_EXEC = 0x2
_NLMSG_DONE = 3
_MACHINES = {0x3E: "x86_64", 0xB7: "aarch64"}
_CONTAINER = re.compile(r"\b[0-9a-f]{64}\b")
_LINKS = 40


@dataclass(frozen=True, kw_only=True)
class Program:
    """One start of a program."""

    pid: int
    path: str
    """As its container sees it."""
    machine: str
    """The architecture of its ELF file, or empty for a script."""
    argv: tuple[str, ...]
    """Its own arguments, without what an emulator was called with."""
    emulated: bool
    """QEMU runs it."""
    container: str
    """The engine's id of the container it is in, or empty."""

    @property
    def name(self) -> str:
        return self.path.rpartition("/")[2]


class Watch:
    """Records all programs that start within the block; needs root and the engine."""

    def __init__(self) -> None:
        self.programs: list[Program] = []
        self.missed = 0
        self._fault: OSError | None = None
        self._runs: dict[str, str] = {}
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_DGRAM, NETLINK_CONNECTOR)
        self._socket.setsockopt(socket.SOL_SOCKET, 33, 16 << 20)  # SO_RCVBUFFORCE
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._ended = threading.Event()
        self._client = docker.from_env()
        self._events = self._client.events(
            decode=True, filters={"type": "container", "event": "create", "label": "farm.run"}
        )
        self._naming = threading.Thread(target=self._learn, daemon=True)

    def __enter__(self) -> Self:
        self._socket.bind((os.getpid(), _IDENTITY[0]))
        self._socket.settimeout(0.2)
        self._say(_LISTEN)
        self._thread.start()
        self._naming.start()
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
        self._events.close()
        self._naming.join()
        self._client.close()
        if self._fault is not None and error is None:
            raise self._fault

    def of(self, run: str, *, where: str) -> list[Program]:
        """Return what started in those containers of the farm's `run` that also ran `where`.

        `where` is the name of a program, such as `maturin` for the containers that build.
        """
        ours = [p for p in self.programs if self._runs.get(p.container) == run]
        there = {p.container for p in ours if p.name == where}
        return [p for p in ours if p.container in there]

    def _learn(self) -> None:
        for event in self._events:
            self._runs[event["id"]] = event["Actor"]["Attributes"]["farm.run"]

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
            except OSError as error:  # ENOBUFS: events were lost, so no count is right
                self._fault = error
                return
            # nlmsghdr (16), cn_msg (20), then proc_event: what, cpu, time, pid, tgid
            what, _cpu, _time, _pid, group = struct.unpack_from("=IIQII", data, 36)
            if what != _EXEC:
                continue
            try:
                program = _look(group)
            except OSError:
                self.missed += 1
                continue
            if program not in self.programs[-20:]:
                self.programs.append(program)


def _look(pid: int) -> Program:
    place = Path(f"/proc/{pid}")
    exe = str((place / "exe").readlink())
    argv = tuple(os.fsdecode(word) for word in (place / "cmdline").read_bytes().split(b"\0")[:-1])
    # A binfmt_misc handler with the flag P is called with: itself, the program, argv...
    emulated = "-binfmt-P" in exe or "qemu-" in exe
    path = argv[1] if emulated and len(argv) > 1 else exe
    containers = _CONTAINER.findall((place / "cgroup").read_text(encoding="ascii"))
    if not path.startswith("/"):
        path = f"{(place / 'cwd').readlink()}/{path}"
    with _inside(place / "root", path).open("rb") as file:
        header = file.read(20)
    machine = struct.unpack_from("<H", header, 18)[0] if header[:4] == b"\x7fELF" else 0
    return Program(
        pid=pid,
        path=path,
        machine=_MACHINES.get(machine, ""),
        argv=argv[2:] if emulated else argv,
        emulated=emulated,
        container=containers[-1] if containers else "",
    )


def _inside(root: Path, path: str) -> Path:
    """Return where `path`, as seen below `root`, is: its links lead to places below `root` too."""
    todo = list(reversed(PurePosixPath(path).parts[1:]))
    place: list[str] = []
    links = 0
    while todo:
        name = todo.pop()
        if name == "..":
            place = place[:-1]
            continue
        here = root.joinpath(*place, name)
        if here.is_symlink() and links < _LINKS:
            links += 1
            to = PurePosixPath(here.readlink())
            if to.is_absolute():
                place = []
            todo += reversed([part for part in to.parts if part != "/"])
        else:
            place.append(name)
    return root.joinpath(*place)
