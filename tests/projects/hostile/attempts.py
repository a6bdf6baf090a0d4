"""Attempts what no smoke test may do; every attempt has to fail, and says what held it."""

from __future__ import annotations

import ctypes
import os
import shutil
import socket
import sys
from pathlib import Path


def status(key: str) -> str:
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(line.split()[1] for line in lines if line.startswith(f"{key}:"))


def refused(what: str, *, place: str) -> None:
    """Make a file at a place that must not take one."""
    try:
        (Path(place) / "witness").write_text("")
    except OSError as error:
        print(f"attempt {what}: held: {error}")
    else:
        sys.exit(f"attempt {what}: BROKE")


def unreachable(address: str) -> None:
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=3)
    except OSError as error:
        print(f"attempt {address}: held: {error}")
    else:
        sys.exit(f"attempt {address}: BROKE")


assert os.getuid() == 1000, os.getuid()
assert os.getgid() == 1000, os.getgid()
assert os.getgroups() in ([], [1000]), os.getgroups()
for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
    assert int(status(name), 16) == 0, name
assert status("NoNewPrivs") == "1"
for place in ("/", "/etc", "/usr/bin", "/usr/lib", "/opt", "/var", "/src", "/sys", "/proc/sys"):
    refused(f"write {place}", place=place)
for address in ("example.com:443", "1.1.1.1:443", *sys.argv[1:]):
    unreachable(address)
assert [name for _, name in socket.if_nameindex() if name not in ("sit0", "tunl0")] == ["lo"]
assert not Path("/var/run/docker.sock").exists()
for tool in ("cc", "gcc", "clang", "ld", "make", "rustc", "cargo", "zig", "maturin", "git"):
    assert shutil.which(tool, path="/usr/bin:/bin:/usr/local/bin:/opt/toolchain/bin") is None, tool
libc = ctypes.CDLL(None, use_errno=True)
assert libc.setuid(0) == -1
assert libc.unshare(0x10000000) == -1  # CLONE_NEWUSER
print("attempts: all held")
