"""Make the toolchain at /opt/toolchain, and zig's cache at /opt/zig-cache.

Reads `inputs.json` beside it. Whatever architecture the toolchain's programs are of, everything
that runs here is native.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from pathlib import Path
from zipfile import ZipFile

sys.path.insert(0, str(Path(__file__).parent / "common"))
from packages import fetch, say, unpack
from relocate import copy_libraries, patch
from wheels import download, unpack_file, unpack_programs

HERE = Path(__file__).parent
TOOLCHAIN = Path("/opt/toolchain")
ZIG_CACHE = Path("/opt/zig-cache")
RUST_LIBRARIES = ("-lgcc_s", "-lutil", "-lrt", "-lpthread", "-lm", "-ldl", "-lc")
"""What rustc links with."""
RUST_SOURCE = "rust-src"
STD_CRATES = ("std", "panic_unwind", "panic_abort", "proc_macro", "test")
"""What a compiler's standard library is made of; the rest comes with these."""
PROGRAMS = ("rustc", "rustdoc", "cargo", "pkgconf")
NOT_OF_ZIG = re.compile(
    r"\.py$|/$|/lib/docs/"
    r"|/lib/libc/(darwin|freebsd|mingw|netbsd|openbsd|wasi)/"
    r"|/lib/libc/include/[^/]*-(darwin|freebsd|netbsd|openbsd|wasi|windows)\b"
)
"""Of its 20,000 files, those for systems that no wheel of the farm's is for."""


def unpack_zig(wheels: list[Path]) -> None:
    """Unpack zig, which finds its library beside itself, into a directory of its own."""
    for wheel in wheels:
        with ZipFile(wheel) as archive:
            for name in archive.namelist():
                parts = Path(name).parts
                if parts[0] == "ziglang" and not NOT_OF_ZIG.search(name):
                    mode = 0o755 if parts[1:] == ("zig",) else 0o644
                    unpack_file(archive, name, TOOLCHAIN / "zig" / Path(*parts[1:]), mode=mode)


def lay_tools(pins: list[dict[str, object]]) -> None:
    """Put the pinned tools in their places."""
    wheels = download(pins, Path("/tmp/wheels"))
    unpack_programs(wheels, TOOLCHAIN / "bin")
    unpack_zig(wheels)
    say("the tools of PyPI are there")


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


def write_wrappers(arch: str, arches: list[str], settings: dict[str, str]) -> None:
    """Write the compilers by name: one for each triple, and a plain `cc` for the host.

    zig is never called without a target: it would compile for this very machine's processor.
    cargo-zigbuild stands before it, since it takes the arguments of rustc and cc-rs that zig
    does not know. Debian's multiarch headers come last, for zig leaves them out.
    """
    # Told what it would otherwise run python, zig and rustc to find out, at every call.
    known = {
        "CARGO_ZIGBUILD_ZIG_COMMAND": TOOLCHAIN / "zig/zig",
        "CARGO_ZIGBUILD_ZIG_VERSION": settings["ziglang"],
        "CARGO_ZIGBUILD_RUSTC_VERSION": settings["rustc"],
    }
    assignments = " ".join(f"{name}={value}" for name, value in known.items())
    front = f"{assignments} exec {TOOLCHAIN}/bin/cargo-zigbuild zig"
    for each in arches:
        target = f"-target {each}-linux-gnu.{settings['glibc']}"
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


def unpack_all(packages: list[dict[str, object]], root: Path) -> None:
    """Unpack `packages` into `root`; of rustc's source only that of the standard library."""
    debs = fetch(packages, Path("/tmp/debs"))
    source = [deb for deb, p in zip(debs, packages, strict=True) if p["name"] == RUST_SOURCE]
    unpack([deb for deb in debs if deb not in source], root)
    if source:
        unpack(source, root, only=("./usr/src/rustc-*/library",))


def compile_std(root: Path, arch: str, arches: list[str], version: str) -> None:
    """Compile the standard library of each architecture that no package has one for.

    As rustc's own build does, by cargo's unstable `-Zbuild-std`, which takes a compiler that lets
    itself be used so: RUSTC_BOOTSTRAP. All crates that it needs come with the source.
    """
    lacking = [each for each in arches if not (_std(each) / "lib").is_dir()]
    if not lacking:
        return
    library = TOOLCHAIN / "lib/rustlib/src/rust/library"
    library.parent.mkdir(parents=True)
    shutil.move(next((root / "usr/src").glob("rustc-*/library")), library)
    crate = Path("/tmp/std")
    (crate / "src").mkdir(parents=True)
    (crate / "src/lib.rs").touch()
    (crate / "Cargo.toml").write_text('[package]\nname = "std-of-others"\nversion = "0.0.0"\n')
    linker = f"CARGO_TARGET_{_triple(arch).upper().replace('-', '_')}_LINKER"
    environment = {
        "PATH": f"{TOOLCHAIN}/bin:{os.environ['PATH']}",
        "HOME": "/tmp",
        "RUSTC_BOOTSTRAP": "1",
        linker: f"{TOOLCHAIN}/bin/cc-{arch}",
        "CARGO_PROFILE_RELEASE_CODEGEN_UNITS": "1",
        "ZIG_GLOBAL_CACHE_DIR": "/tmp/zig",
        "ZIG_LOCAL_CACHE_DIR": "/tmp/zig",
        "CARGO_ZIGBUILD_CACHE_DIR": "/tmp/zigbuild",
        # With bitcode, for link-time optimization; its places are those that rustc's own has.
        "RUSTFLAGS": "-Cembed-bitcode=yes -Cforce-unwind-tables=yes "
        f"--remap-path-prefix={library.parent}=/rustc/{version}",
    }
    words = ["cargo", "build", "--release", "--offline", f"-Zbuild-std={','.join(STD_CRATES)}"]
    words += ["--config", 'source.crates-io.replace-with="vendored"']
    words += ["--config", f"source.vendored.directory='{library}/vendor'"]
    for each in lacking:
        say(f"compiling the standard library of {each} from its source")
        target = ["--target", _triple(each)]
        subprocess.run([*words, *target], check=True, env=environment, cwd=crate)
        (_std(each) / "lib").mkdir(parents=True)
        for built in (crate / "target" / _triple(each) / "release/deps").glob("*.rlib"):
            if not built.name.startswith("libstd_of_others-"):
                shutil.copy2(built, _std(each) / "lib" / built.name)
    shutil.rmtree(library.parent.parent)


def _std(arch: str) -> Path:
    return TOOLCHAIN / "lib/rustlib" / _triple(arch)


def _triple(arch: str) -> str:
    return f"{arch}-unknown-linux-gnu"


def warm(arches: list[str]) -> None:
    """Compile and link for every target once, so that no build has to make zig's own parts.

    With and without `--strip-debug`, which rustc says in release builds: zig keeps its parts
    apart for each. Not C++: its library takes half a minute for each target, and few need it.
    """
    environment = {
        **os.environ,
        "ZIG_GLOBAL_CACHE_DIR": str(ZIG_CACHE),
        "ZIG_LOCAL_CACHE_DIR": str(ZIG_CACHE),
        "CARGO_ZIGBUILD_CACHE_DIR": str(ZIG_CACHE / "zigbuild"),
        "HOME": "/tmp",
    }

    def warm_one(arch: str) -> None:
        for kind, strip in product(((), ("-shared", "-fPIC")), ((), ("-Wl,--strip-debug",))):
            words = [f"{TOOLCHAIN}/bin/cc-{arch}", str(HERE / "warm.c"), *kind, *strip]
            words += [*RUST_LIBRARIES, "-o", f"/tmp/{arch}"]
            subprocess.run(words, check=True, env=environment, cwd="/tmp")
        say(f"zig is warm for {arch}")

    with ThreadPoolExecutor(len(arches)) as pool:
        list(pool.map(warm_one, arches))
    # Whoever a build runs as; the volume that is made from this keeps the modes.
    subprocess.run(["chmod", "-R", "a+rwX", str(ZIG_CACHE)], check=True)


def main() -> None:
    """Make the whole toolchain."""
    inputs = json.loads((HERE / "inputs.json").read_text())
    settings = inputs["settings"]
    arch, arches = settings["arch"], settings["arches"].split()
    root = Path("/tmp/root")
    with ThreadPoolExecutor(2) as pool:
        tools = pool.submit(lay_tools, inputs["pins"])
        unpack_all(inputs["packages"]["toolchain"], root)
        lay_out(root, arch)
        tools.result()
    settings |= {pin["project"]: pin["version"] for pin in inputs["pins"]}
    rustc = next(p for p in inputs["packages"]["toolchain"] if p["name"] == "rustc")
    settings["rustc"] = str(rustc["version"]).partition("+")[0]
    write_wrappers(arch, arches, settings)
    compile_std(root, arch, arches, settings["rustc"])
    if arch == settings["engine_arch"]:
        warm(arches)
    else:
        shutil.copytree("/warmed/opt/zig-cache", ZIG_CACHE)


if __name__ == "__main__":
    main()
