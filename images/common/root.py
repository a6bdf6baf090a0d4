"""Make a root that was never configured fit to work in.

Reads `inputs.json` of the build context: `packages.root`, the `pins` that go to `/opt/<tool>`,
and in `settings` its `arch` and the architecture that the programs in it are made to `run` on
besides. The only argument is the directory that becomes the image.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from packages import fetch, unpack
from relocate import LOADERS
from wheels import download, unpack_programs

TOOLCHAIN = "/opt/toolchain"
FILES = {
    "etc/passwd": """\
root:x:0:0:root:/root:/bin/bash
farm:x:1000:1000:farm:/tmp:/bin/bash
nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin
""",
    "etc/group": "root:x:0:\nfarm:x:1000:\nnogroup:x:65534:\n",
    "etc/nsswitch.conf": "passwd: files\ngroup: files\nhosts: files dns\n",
}
"""What maintainer scripts would have written."""

STAND_INS = {
    "usr/bin/sh": "dash",
    "usr/bin/awk": "gawk",
}
"""Links that maintainer scripts or alternatives would have made, where their goal is there."""


def configure(root: Path) -> None:
    """Write and link what no package's files hold."""
    for name, text in FILES.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    for name, goal in STAND_INS.items():
        link = root / name
        if (link.parent / goal).exists() and not link.exists():
            link.symlink_to(goal)
    for name in ("tmp", "var/tmp"):
        (root / name).mkdir(parents=True, exist_ok=True)
        (root / name).chmod(0o1777)
    for name in ("proc", "sys", "dev", "root"):
        (root / name).mkdir(exist_ok=True)


def let_run(root: Path, arch: str) -> None:
    """Link the toolchain's loader and libraries to where programs of `arch` look for them."""
    libraries = root / f"usr/lib/{arch}-linux-gnu"
    libraries.symlink_to(f"{TOOLCHAIN}/lib")
    loader = root / "usr" / LOADERS[arch]
    loader.parent.mkdir(parents=True, exist_ok=True)
    loader.symlink_to(f"{TOOLCHAIN}/lib/{loader.name}")


def main() -> None:
    """Unpack and configure the root."""
    inputs = json.loads((Path(__file__).parent.parent / "inputs.json").read_text())
    root = Path(sys.argv[1])
    settings = inputs["settings"]
    unpack(fetch(inputs["packages"]["root"], Path("/tmp/debs")), root)
    configure(root)
    if settings["runs"] != settings["arch"]:
        let_run(root, settings["runs"])
    for pin in inputs["pins"]:
        wheels = download([pin], Path("/tmp/wheels"))
        unpack_programs(wheels, root / "opt" / pin["project"] / "bin")


if __name__ == "__main__":
    main()
