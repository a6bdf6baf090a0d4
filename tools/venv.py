"""Make this clone's virtual environment: `python3 tools/venv.py .venv`; the Makefile calls it.

Needs a Python and nothing else; where Debian's lacks its venv module, apt-get brings it, told
before and written down for `farm doctor --undo`.
"""

# ruff: noqa: PLC0415 - a script that runs before there is a package

from __future__ import annotations

import fcntl
import importlib.util
import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CONSTRAINTS = ROOT / "tools" / "constraints.txt"
sys.path.insert(0, str(ROOT))


def main(where: str) -> int:
    """Make or refresh the virtual environment `where`, with the farm and all it is tested with."""
    if sys.version_info < (3, 11):  # noqa: UP036 - this script is what says so
        print("The farm needs Python 3.11 or newer. Name one: make PYTHON=python3.13")
        return 3
    from farm.host.certificates import bundle  # the check above comes first
    from farm.model.errors import FarmError

    try:
        _ensure_venv_module()
    except FarmError as error:
        print(f"error: {error.message}\n  {error.remedy}", file=sys.stderr)
        return int(error.exit_code)
    trusted = bundle()
    environment = ({"PIP_CERT": str(trusted)} if trusted else {}) | os.environ
    # Two at once, such as `make wheels` beside `make test`, would write over each other's files.
    alone = os.open(ROOT, os.O_RDONLY)
    with suppress(OSError):  # a file system without locks
        fcntl.flock(alone, fcntl.LOCK_EX)
    python = Path(where) / "bin" / "python"
    if not python.exists():
        subprocess.run((sys.executable, "-m", "venv", "--clear", where), check=True)
    quiet = ("--quiet", "--disable-pip-version-check", "--constraint", str(CONSTRAINTS))
    pip = (str(python), "-m", "pip", "install", *quiet)
    for what in (("pip>=25.1",), ("--editable", str(ROOT), "--group", "dev")):
        done = subprocess.run((*pip, *what), env=environment, cwd=ROOT, check=False)
        if done.returncode != 0:
            print("error: pip could not install what the farm needs (see above)", file=sys.stderr)
            return 3
    # As pip does for what it copies: some environments let Python write nothing as it goes.
    subprocess.run((str(python), "-m", "compileall", "-q", str(ROOT / "farm")), check=False)
    return 0


def _ensure_venv_module() -> None:
    """Have `python3 -m venv` work: Debian keeps a part of it in a package of its own."""
    if importlib.util.find_spec("venv") and importlib.util.find_spec("ensurepip"):
        return
    from farm.host import packages
    from farm.host.ledger import Ledger, default_path
    from farm.model.errors import SurroundingsError

    names = (f"python3.{sys.version_info.minor}-venv",)
    if os.geteuid() != 0 or not packages.available():
        raise SurroundingsError(
            f"{sys.executable} lacks the modules venv and ensurepip",
            f"On Debian and Ubuntu, as root: {packages.install_command(names)}",
        )
    packages.install(
        names,
        ledger=Ledger(path=default_path()),
        emit=lambda event: print(getattr(event, "text", event), file=sys.stderr),
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
