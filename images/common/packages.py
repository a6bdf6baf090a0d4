"""Debian packages at image build time: fetch exactly those of a closure, unpack them, run none.

Runs inside the seed. A closure is a list of `{name, version, arch, uri, size, sha256}` as the
resolve step wrote it; nothing is looked up here, so what is unpacked is what was resolved.
Unpacking needs no instruction of the packages' own architecture.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

APT_HELPER = "/usr/lib/apt/apt-helper"
MERGED = ("bin", "sbin", "lib", "lib64")
"""Top directories that are links into /usr in every root, whatever the suite's age."""

LEFT_OUT = (
    "./usr/share/doc/*/changelog*",
    "./usr/share/doc/*/[!c]*",  # the copyright files stay
    "./usr/share/man",
    "./usr/share/info",
    "./usr/share/locale",
    "./usr/share/lintian",
    "./usr/share/bash-completion",
    "./usr/share/icons",
    "./usr/share/pixmaps",
    "./usr/share/applications",
)
"""What no image needs of any package, as patterns of tar."""


def say(text: str) -> None:
    """Report progress; the controller shows the last line."""
    print(text, file=sys.stderr, flush=True)


def fetch(closure: list[dict[str, object]], directory: Path) -> list[Path]:
    """Download the packages of `closure` and return their paths, in the closure's order.

    apt's own downloader checks each file's SHA256, retries, and knows proxies.
    """
    directory.mkdir(parents=True, exist_ok=True)
    wanted: dict[Path, list[str]] = {}
    for package in closure:
        path = directory / f"{package['sha256']}.deb"
        wanted[path] = [str(package["uri"]), str(path), f"SHA256:{package['sha256']}"]
    missing = [words for path, words in wanted.items() if not path.exists()]
    size = sum(int(str(package["size"])) for package in closure)
    say(f"downloading {len(missing)} packages, {size / 1e6:.0f} MB")
    if missing:
        options = ["-o", "APT::Sandbox::User=root", "-o", "Acquire::Retries=3", "-qq"]
        words = [word for file in missing for word in file]
        argv = [APT_HELPER, *options, "download-file", *words]
        done = subprocess.run(
            argv, stderr=subprocess.PIPE, text=True, check=False, env=dict(os.environ, LC_ALL="C")
        )
        if done.returncode:
            told = [line for line in done.stderr.splitlines() if line.startswith(("E:", "W:"))]
            # The controller reads this line: it tells people what failed, and what to do.
            raise SystemExit(f"FARM-LOST {json.dumps(told[:6])}")
    return list(wanted)


def unpack(packages: list[Path], root: Path, *, only: tuple[str, ...] = ()) -> None:
    """Unpack `packages` into `root`, which gets a merged /usr.

    `only` restricts what is unpacked to tar patterns (a package that has none of them is fine).
    """
    for name in MERGED:
        (root / "usr" / name).mkdir(parents=True, exist_ok=True)
        if not (root / name).is_symlink():
            (root / name).symlink_to(f"usr/{name}")
    say(f"unpacking {len(packages)} packages")
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for _ in pool.map(lambda package: _unpack_one(package, root, only), packages):
            pass


def _unpack_one(package: Path, root: Path, only: tuple[str, ...]) -> None:
    """Unpack one package, without its maintainer scripts."""
    patterns = [f"--exclude={pattern}" for pattern in LEFT_OUT]
    tar = ["tar", "-x", "-C", str(root), "--keep-directory-symlink", "--wildcards", *patterns]
    with subprocess.Popen(
        ["dpkg-deb", "--fsys-tarfile", str(package)], stdout=subprocess.PIPE
    ) as archive:
        done = subprocess.run(
            [*tar, *only], stdin=archive.stdout, check=False, capture_output=True, text=True
        )
    absent = only and "Not found in archive" in done.stderr
    if archive.returncode or (done.returncode and not absent):
        raise SystemExit(f"{package.name} could not be unpacked: {done.stderr}")
