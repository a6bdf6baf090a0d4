"""Lay out the interpreters of one architecture as `/opt/python/cpXY-cpXY`, headers apart.

Reads `inputs.json` beside it; the only argument is the directory that becomes the image. What
runs here is native: a foreign interpreter is unpacked, patched and has its modules compiled by
the native one of the same version, which is in `/native`.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "common"))
from packages import fetch, say, unpack
from relocate import copy_libraries, patch

NATIVE = Path("/native")
WORK = Path("/tmp")
DEBIANS_OWN = ("EXTERNALLY-MANAGED", "sitecustomize.py", "dist-packages", "config-3*")
"""Of Debian's standard library: what is about Debian's own packages, or for linking statically."""

DEBIANS_PREFIX = re.compile(r"""(["'])/usr(?=\1|/(?!share/zoneinfo))""")
"""Where Debian's interpreter is, in strings of sysconfig's; time zones stay the root's."""


class Layout:
    """One interpreter: where it is unpacked, and where its parts go."""

    def __init__(self, slot: str, version: str, arch: str, out: Path) -> None:
        self.slot, self.version, self.arch, self.out = slot, version, arch, out
        self.root = WORK / slot
        self.prefix = f"/opt/python/{slot}"
        self.home = out / f"opt/python/{slot}"
        self.headers = out / f"headers/opt/python/{slot}/include/python{version}"
        self.modules = self.home / f"lib/python{version}"

    def copy(self) -> None:
        """Copy program, standard library and shared libraries, and patch the program."""
        name = f"python{self.version}"
        (self.home / "bin").mkdir(parents=True)
        program = self.home / "bin" / name
        shutil.copy2(self.root / "usr/bin" / name, program)
        for alias in ("python", "python3"):
            (self.home / "bin" / alias).symlink_to(name)
        shutil.copytree(
            self.root / "usr/lib" / name,
            self.modules,
            symlinks=True,
            ignore=shutil.ignore_patterns(*DEBIANS_OWN, "__pycache__"),
        )
        loader = copy_libraries(self.root, self.arch, self.home / "lib")
        libraries = f"{self.prefix}/lib"
        patch(program, loader=f"{libraries}/{loader.name}", libraries=libraries)

    def copy_headers(self) -> None:
        """Copy Python.h and the rest, with the architecture's own pyconfig.h in its place."""
        include = self.root / "usr/include"
        name = f"python{self.version}"
        shutil.copytree(include / name, self.headers, symlinks=False)
        own = include / f"{self.arch}-linux-gnu" / name / "pyconfig.h"
        if own.exists():
            shutil.copy2(own, self.headers / "pyconfig.h")

    def rename_prefix(self) -> None:
        """Have sysconfig's variables speak of the place where the interpreter is."""
        for path in self.modules.glob("_sysconfig*"):
            path.write_text(DEBIANS_PREFIX.sub(rf"\1{self.prefix}", path.read_text()))

    def compile(self) -> None:
        """Compile the modules with the native interpreter of the same version.

        Unchecked, so that no interpreter ever looks at a source's time again.
        """
        program = Path(self.prefix) / "bin/python"
        if not program.exists():
            say(f"{self.slot}: no native interpreter to compile its modules with")
            return
        words = ["-I", "-m", "compileall", "-q", "--invalidation-mode", "unchecked-hash"]
        words += ["-s", str(self.home), "-p", self.prefix, str(self.modules)]
        subprocess.run([str(program), *words], check=True, env={"PYTHONHASHSEED": "0"})


def make(layout: Layout, closure: list[dict[str, object]]) -> None:
    """Make one interpreter, whole."""
    unpack(fetch(closure, WORK / "debs" / layout.slot), layout.root)
    layout.copy()
    layout.copy_headers()
    layout.rename_prefix()
    layout.compile()
    shutil.rmtree(layout.root)
    say(f"{layout.slot} is ready")


def main() -> None:
    """Make all interpreters side by side."""
    inputs = json.loads((Path(__file__).parent / "inputs.json").read_text())
    out = Path(sys.argv[1])
    settings = inputs["settings"]
    runs_here = out if settings["arch"] == settings["engine_arch"] else NATIVE
    Path("/opt").mkdir(exist_ok=True)
    Path("/opt/python").symlink_to(runs_here / "opt/python")
    with ThreadPoolExecutor(2) as pool:
        futures = [
            pool.submit(make, Layout(slot, settings[slot], settings["arch"], out), closure)
            for slot, closure in inputs["packages"].items()
        ]
    for future in futures:
        future.result()


if __name__ == "__main__":
    main()
