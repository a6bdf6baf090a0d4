"""Docker's buildx: the client's plugin that image builds go through.

Debian has it as `docker-buildx` from trixie on. It is one Go program that needs no library, so
the one way that works on older and other systems alike is to take it out of that package.
mmdebstrap fetches it and checks the archive's signatures; nothing of the package is installed,
and no root is needed.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from pathlib import Path

from farm.host import commands
from farm.host.ledger import Ledger, Written
from farm.host.user import unpacking
from farm.model.errors import SurroundingsError
from farm.model.events import Emit, Note

_PACKAGE, _SUITE = "docker-buildx", "trixie"
_PLUGINS = Path("usr/libexec/docker/cli-plugins")
_QUICK, _LONG = 30.0, 900.0


def version() -> str:
    """Return what `docker buildx version` says of itself, or an empty string without it."""
    done = commands.run(("docker", "buildx", "version"), deadline=_QUICK)
    return " ".join(done.out.split()[:2]) if done.code == 0 else ""


def home() -> Path:
    """Return where Docker's client looks for this user's plugin."""
    config = os.environ.get("DOCKER_CONFIG") or Path.home() / ".docker"
    return Path(config) / "cli-plugins" / "docker-buildx"


def extract_command(root: str, package: str = _PACKAGE) -> tuple[str, ...]:
    """Return the argv that fetches and unpacks `package` into the directory `root`."""
    words = ("--quiet", "--variant=extract", *unpacking(), f"--include={package}")
    return ("mmdebstrap", *words, _SUITE, root)


def manual_commands() -> tuple[str, ...]:
    """Return the commands, for people, that do what `install` does."""
    scratch = "/tmp/docker-buildx"  # noqa: S108 - a suggestion; the farm's own is mkdtemp's
    return (
        " ".join(extract_command(scratch)),
        f"install -D -m 755 {scratch}/{_PLUGINS}/{_PACKAGE} {home()}",
    )


def install(*, ledger: Ledger, emit: Emit) -> None:
    """Put the plugin where Docker's client finds it; needs mmdebstrap on this machine.

    Raises SurroundingsError when it cannot be had or does not run.
    """
    target = home()
    emit(Note(text=f"fetching {_PACKAGE} out of Debian {_SUITE} into {target}"))
    content = unpack(_PACKAGE)
    ledger.add(Written(path=str(target), sha256=hashlib.sha256(content).hexdigest()))
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=".docker-buildx-")
    partial = Path(name)
    with os.fdopen(handle, "wb") as file:
        file.write(content)
    partial.chmod(0o755)
    partial.replace(target)
    if not version():
        raise SurroundingsError(
            f"{target} was put there and `docker buildx version` still fails",
            "Run it by hand to see why.",
        )


def unpack(package: str) -> bytes:
    """Return the plugin of Docker's client that a package of Debian's holds, of the same name.

    Raises SurroundingsError with mmdebstrap's own words.
    """
    with tempfile.TemporaryDirectory(prefix="farm-") as scratch:
        root = Path(scratch) / "root"
        done = commands.run(extract_command(str(root), package), deadline=_LONG)
        if done.code != 0:
            raise SurroundingsError(
                f"mmdebstrap could not fetch {package}: {done.error.strip()[-300:]}",
                f"See more with: {' '.join(extract_command('/tmp/root', package))}",  # noqa: S108
            )
        return (root / _PLUGINS / package).read_bytes()


def remove(written: Written, *, emit: Emit) -> None:
    """Take back a file that `install` put there, unless it is another by now."""
    path = Path(written.path)
    if not path.exists():
        return
    if hashlib.sha256(path.read_bytes()).hexdigest() != written.sha256:
        emit(Note(text=f"kept {path}: somebody changed it since the farm put it there"))
        return
    path.unlink()
