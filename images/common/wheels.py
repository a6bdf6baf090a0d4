"""Tools out of pinned wheels of PyPI: downloaded by content, unpacked, never installed.

As a program: puts the tools of the build context's `inputs.json` into the directory that is the
only argument.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from zipfile import ZipFile

sys.path.insert(0, str(Path(__file__).parent))
from packages import say

PLATFORMS = ("musllinux_1_1", "manylinux2014", "manylinux2010", "manylinux1")
"""What static programs' wheels are tagged for."""


def download(pins: list[dict[str, object]], directory: Path) -> list[Path]:
    """Download the wheels of `pins`, which are all for one machine, and return their paths.

    pip refuses a file whose SHA256 is not the pin's.
    """
    directory.mkdir(parents=True)
    wanted = directory / "requirements.txt"
    lines = [f"{p['project']}=={p['version']} --hash=sha256:{p['sha256']}\n" for p in pins]
    wanted.write_text("".join(lines))
    say(f"downloading {len(pins)} tools, {sum(int(str(p['size'])) for p in pins) / 1e6:.0f} MB")
    words = ["download", "-q", "--no-deps", "--require-hashes", "--only-binary", ":all:"]
    for platform in PLATFORMS:
        words += ["--platform", f"{platform}_{pins[0]['arch']}"]
    words += ["--disable-pip-version-check", "--no-cache-dir", "-d", str(directory)]
    subprocess.run([sys.executable, "-m", "pip", *words, "-r", str(wanted)], check=True)
    return sorted(directory.glob("*.whl"))


def unpack_programs(wheels: list[Path], directory: Path) -> None:
    """Unpack the programs (the `scripts` of each wheel) into `directory`."""
    for wheel in wheels:
        with ZipFile(wheel) as archive:
            for name in archive.namelist():
                parts = Path(name).parts
                if parts[0].endswith(".data") and parts[1] == "scripts":
                    unpack_file(archive, name, directory / parts[-1], mode=0o755)


def unpack_file(archive: ZipFile, name: str, path: Path, *, mode: int) -> None:
    """Unpack one member of a wheel as `path`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with archive.open(name) as source, path.open("wb") as goal:
        shutil.copyfileobj(source, goal)
    path.chmod(mode)


def main() -> None:
    """Unpack all pinned programs."""
    inputs = json.loads((Path(__file__).parent.parent / "inputs.json").read_text())
    unpack_programs(download(inputs["pins"], Path("/tmp/wheels")), Path(sys.argv[1]))


if __name__ == "__main__":
    main()
