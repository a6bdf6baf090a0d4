"""Emulation: whether an engine runs programs of another architecture, and making it so.

Linux hands a program of another architecture to an interpreter, here QEMU, that was registered
for its ELF header in binfmt_misc (Documentation/admin-guide/binfmt-misc.rst of the kernel). That
is a thing of the engine's machine, wherever it is, so it is asked and changed through containers
that have the directory mounted and no privilege at all. Whether emulation works is known by
running a foreign program. Magics and masks are those of QEMU's scripts/qemu-binfmt-conf.sh.

The farm registers its own QEMU under its own name, with these flags:

- F: the interpreter is opened now, and serves every container, whatever is in it;
- P: the program gets the `argv[0]` that its caller gave it. QEMU learns of the flag from the
  kernel (5.12 and newer), Debian's also from the interpreter's name, which ends in `-binfmt-P`;
- O: the program comes as an open file, so one that may be run but not read runs too;
- not C: programs with set-user-ID would run QEMU as root, and QEMU was never made for that.
  Debian left it out in 10.0.2+ds-2+deb13u1, for that reason.

QEMU is opened from a tmpfs, not from its image: the kernel opens it anew for each program, and
on storage drivers of user space (fuse-overlayfs) that fails once the image is removed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import docker
import requests
from docker.errors import APIError, NotFound

from farm.engine.leftovers import LABEL, PROBE_LABEL
from farm.model.errors import SurroundingsError
from farm.model.targets import Arch

DIRECTORY = Path("/proc/sys/fs/binfmt_misc")
"""Where binfmt_misc is mounted on the engine's machine."""
FLAGS = "OPF"
_ELF_64_LSB = b"\x7fELF\x02\x01\x01"
_EXECUTABLE = b"\x02\x00"
_DEADLINE = 60
_MEMORY = 256 << 20
_PIDS = 64


@dataclass(frozen=True, kw_only=True)
class Guest:
    """A foreign architecture: how its programs begin, and how the farm calls its handler."""

    name: str
    """The architecture, as in `qemu-<name>`."""
    platform: str
    """The architecture of the probe's image, as the engine spells it."""
    magic: bytes
    mask: bytes

    @property
    def handler(self) -> str:
        """The name of the farm's own handler."""
        return f"farm-{self.name}"


GUESTS: Mapping[Arch, Guest] = {
    Arch.AARCH64: Guest(
        name="aarch64",
        platform=Arch.AARCH64.platform,
        magic=_ELF_64_LSB + bytes(9) + _EXECUTABLE + b"\xb7\x00",
        mask=b"\xff" * 7 + b"\x00" + b"\xff" * 8 + b"\xfe\xff\xff\xff",
    ),
    Arch.X86_64: Guest(
        name="x86_64",
        platform=Arch.X86_64.platform,
        magic=_ELF_64_LSB + bytes(9) + _EXECUTABLE + b"\x3e\x00",
        mask=b"\xff" * 5 + b"\xfe\xfe\xfc" + b"\xff" * 8 + b"\xfe\xff\xff\xff",
    ),
}


@dataclass(frozen=True, kw_only=True)
class Handler:
    """A handler that is registered in binfmt_misc."""

    name: str
    enabled: bool
    interpreter: str
    flags: str
    magic: bytes
    mask: bytes

    def takes(self, guest: Guest) -> bool:
        """Tell whether the kernel gives this handler programs of `guest`, if it is enabled."""
        size = len(self.magic)
        head = guest.magic[:size]
        masked = bytes(a & m for a, m in zip(head, self.mask, strict=False))
        return 0 < size <= len(guest.magic) and masked == bytes(
            a & m for a, m in zip(self.magic, self.mask, strict=False)
        )


@dataclass(frozen=True, kw_only=True)
class Table:
    """What is in binfmt_misc."""

    mounted: bool
    handlers: tuple[Handler, ...]

    def handler(self, guest: Guest) -> Handler | None:
        """Return the handler that `guest`'s programs go to: the farm's before others'.

        The kernel asks the newest first and does not tell which that is.
        """
        fit = [h for h in self.handlers if h.enabled and h.takes(guest)]
        return min(fit, key=lambda h: h.name != guest.handler, default=None)


class State(StrEnum):
    """Whether an engine runs programs of an architecture."""

    NATIVE = "native"
    WORKS = "works"
    UNTRIED = "untried"
    """A handler is there, and the image to try it with is not."""
    UNMOUNTED = "unmounted"
    MISSING = "missing"
    BROKEN = "broken"


@dataclass(frozen=True, kw_only=True)
class Emulation:
    """What was found out about one architecture on an engine."""

    arch: str
    state: State
    handler: Handler | None = None
    version: str = ""
    """QEMU's, such as `11.1.3`; empty where the handler's interpreter does not tell."""
    error: str = ""
    """What the foreign program's start ended with, where it failed."""

    @property
    def works(self) -> bool:
        """Programs of the architecture run."""
        return self.state in {State.NATIVE, State.WORKS}


def read_table(text: str) -> Table:
    """Read what `_LIST` printed: `@name` and that file's lines, for each file."""
    names, handlers = [], []
    for part in re.split(r"(?m)^@", text)[1:]:
        name, _, body = part.partition("\n")
        names.append(name)
        words = dict(re.findall(r"(?m)^(interpreter|flags:|magic|mask) (.*)$", body))
        if "interpreter" not in words or "magic" not in words:
            continue  # status, register, or a handler that goes by the file name's extension
        magic = bytes.fromhex(words["magic"])
        mask = words.get("mask")
        handlers.append(
            Handler(
                name=name,
                enabled=body.startswith("enabled"),
                interpreter=words["interpreter"],
                flags=words.get("flags:", ""),
                magic=magic,
                mask=bytes.fromhex(mask) if mask else b"\xff" * len(magic),
            )
        )
    return Table(mounted="status" in names, handlers=tuple(handlers))


def local_table(directory: Path = DIRECTORY) -> Table:
    """Read this machine's own binfmt_misc, without an engine.

    To look into the directory also mounts it where systemd does that on demand.
    """
    if not (directory / "status").exists():
        return Table(mounted=False, handlers=())
    texts = [
        f"@{path.name}\n{path.read_text()}\n" for path in directory.iterdir() if _readable(path)
    ]
    return read_table("".join(texts))


def probe(client: docker.DockerClient, guest: Guest, *, image: str, tools: str) -> Emulation:
    """Run a program of `guest` from `image`, and tell what came of it.

    `tools` is an image of the engine's own architecture that has a shell; with it the handlers
    are looked at when the program fails.
    """
    ended = _run(client, image, (_TRY,), platform=guest.platform, writable=False)
    if ended.code == 0 and ended.out.startswith(_ALIVE):
        version = re.search(r"(?m)^qemu-\S+ version (\S+)", ended.out)
        return Emulation(
            arch=guest.name,
            state=State.WORKS,
            handler=read_table(ended.out).handler(guest),
            version=version[1] if version else "",
        )
    table = survey(client, tools)
    handler = table.handler(guest)
    state = State.UNMOUNTED if not table.mounted else State.BROKEN if handler else State.MISSING
    error = " ".join((ended.error or ended.out).split()) or f"exit status {ended.code}"
    return Emulation(arch=guest.name, state=state, handler=handler, error=error)


def survey(client: docker.DockerClient, tools: str) -> Table:
    """Return what is in binfmt_misc on the engine's machine."""
    return read_table(_run(client, tools, (_LIST,), writable=False).out)


def register(client: docker.DockerClient, guest: Guest, *, image: str, interpreter: str) -> None:
    """Register the farm's QEMU for `guest`, in place of an older one of its own.

    `interpreter` is the path of QEMU in `image`, which also has a shell. Handlers of others stay
    as they are; the kernel asks the newest first. Raises SurroundingsError with what the engine
    said when it cannot be done.
    """
    home = f"{_TMPFS}/{guest.name}-binfmt-P"
    ended = _run(
        client,
        image,
        (_REGISTER, "sh", interpreter, home, guest.handler, registration(guest, home)),
        writable=True,
    )
    if ended.code != 0:
        said = " ".join((ended.error or ended.out).split()) or f"exit status {ended.code}"
        raise SurroundingsError(
            f"the engine could not register QEMU for {guest.name}: {said}",
            "Does it run without root, or under a kernel without binfmt_misc? Then register "
            "QEMU on its machine by other means, as root: apt-get install qemu-user-static",
        )


def unregister(client: docker.DockerClient, handler: str, *, tools: str) -> None:
    """Take a handler out of binfmt_misc on the engine's machine, if it is there.

    Raises SurroundingsError when it is still there afterwards.
    """
    ended = _run(client, tools, (_UNREGISTER, "sh", handler), writable=True)
    if ended.code != 0:
        raise SurroundingsError(
            f"the engine could not unregister {handler}: {' '.join(ended.error.split())}",
            f"On its machine, as root: echo -1 > {DIRECTORY / handler}",
        )


def registration(guest: Guest, interpreter: str) -> str:
    """Return the line that registers `interpreter`, as the kernel's register file wants it."""
    magic, mask = ("".join(f"\\x{byte:02x}" for byte in data) for data in (guest.magic, guest.mask))
    return f":{guest.handler}:M::{magic}:{mask}:{interpreter}:{FLAGS}"


_TMPFS = "/farm"
_ALIVE = "the foreign program runs"
_LIST = """
cd /binfmt || exit
for f in *; do
    [ -f "$f" ] || continue
    echo "@$f"
    [ "$f" = register ] || while read -r line; do echo "$line"; done < "$f"
done
"""
# A child of process 1 that runs process 1's executable runs QEMU itself: only a process's own
# `exe` is what QEMU makes up. Something must follow, or the shell would not make a child.
_TRY = f"echo '{_ALIVE}'\n(/proc/1/exe --version) 2>&1\n{_LIST}"
_REGISTER = """
set -e
cat "$1" > "$2"
chmod 755 "$2"
if [ -e "/binfmt/$3" ]; then echo -1 > "/binfmt/$3"; fi
printf %s "$4" > /binfmt/register
"""
_UNREGISTER = """
if [ -e "/binfmt/$1" ]; then echo -1 > "/binfmt/$1"; fi
[ ! -e "/binfmt/$1" ]
"""


@dataclass(frozen=True, kw_only=True)
class _Ended:
    code: int
    out: str
    error: str


def _run(
    client: docker.DockerClient,
    image: str,
    script: tuple[str, ...],
    *,
    writable: bool,
    platform: str | None = None,
) -> _Ended:
    """Run a shell script in a container that sees binfmt_misc and may do nothing else.

    An engine that cannot even start the program has the same outcome as a program that fails.
    """
    api = client.api
    config = api.create_container_config(
        image=image,
        command=["/bin/sh", "-c", *script],
        entrypoint=[],
        user="0:0",
        labels={LABEL: "1", PROBE_LABEL: "1"},
        host_config=api.create_host_config(
            binds=[f"{DIRECTORY}:/binfmt:{'rw' if writable else 'ro'}"],
            tmpfs={_TMPFS: "exec,mode=755"},
            cap_drop=["ALL"],
            security_opt=["no-new-privileges"],
            read_only=True,
            network_mode="none",
            mem_limit=_MEMORY,
            memswap_limit=_MEMORY,
            pids_limit=_PIDS,
        ),
    )
    try:
        identity = api.create_container_from_config(  # type: ignore[no-untyped-call]
            config, platform=platform
        )["Id"]
    except APIError as refused:
        raise SurroundingsError(
            f"the engine could not make a container of {image}: {refused.explanation}",
            "Run farm doctor --fix.",
        ) from refused
    try:
        api.start(identity)
        code = int(api.wait(identity, timeout=_DEADLINE)["StatusCode"])
        out, error = (
            api.logs(identity, stdout=stdout, stderr=not stdout).decode("utf-8", "replace")
            for stdout in (True, False)
        )
        return _Ended(code=code, out=out, error=error)
    except APIError as refused:
        return _Ended(code=126, out="", error=str(refused.explanation or refused))
    except requests.RequestException as late:
        return _Ended(code=124, out="", error=f"no end within {_DEADLINE} s ({late})")
    finally:
        _remove(client, identity)


def _remove(client: docker.DockerClient, identity: str) -> None:
    try:
        client.api.remove_container(identity, force=True, v=True)
    except NotFound:
        return  # removed from outside


def _readable(path: Path) -> bool:
    return path.name != "register"
