"""Put static programs of Debian's packages into an image that holds nothing else.

Reads `inputs.json` of the build context: `settings` maps each path in the image to
`<slot>:<paths>`, of which the first that the slot's packages (or the seed) have is taken. The
only argument is the directory that becomes the image.
"""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from packages import fetch, unpack

APPLETS = ("sh", "cat", "echo", "ls", "true", "uname")


def main() -> None:
    """Fetch, pick the programs, and name busybox's applets."""
    inputs = json.loads((Path(__file__).parent.parent / "inputs.json").read_text())
    out = Path(sys.argv[1])
    for path, source in inputs["settings"].items():
        slot, _, names = source.partition(":")
        programs = names.split()
        root = Path("/")
        if slot != "seed":
            root = Path("/tmp") / slot
            packages = fetch(inputs["packages"][slot], Path("/tmp/debs"))
            unpack(packages, root, only=tuple(f"./{name}" for name in programs))
        (out / path).parent.mkdir(parents=True, exist_ok=True)
        found = next(root / name for name in programs if (root / name).is_file())
        shutil.copy2(found, out / path)
    for applet in APPLETS:
        (out / "bin" / applet).symlink_to("busybox")
    (out / "tmp").mkdir(mode=0o1777)


if __name__ == "__main__":
    main()
