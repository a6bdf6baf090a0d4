"""binfmt_misc on this very machine: mounting it, which only root and only the machine itself can.

A mount that a container makes registers handlers too, but they vanish with it (kernel 6.7 and
newer), so it is made here, in the mount namespace of process 1.
"""

from __future__ import annotations

from pathlib import Path

from farm.host import commands
from farm.host.ledger import Ledger, Mounted, boot_id
from farm.model.errors import SurroundingsError
from farm.model.events import Emit, Note

DIRECTORY = Path("/proc/sys/fs/binfmt_misc")
MOUNT = ("mount", "-t", "binfmt_misc", "binfmt_misc", str(DIRECTORY))
_OWN_FILES = {"register", "status"}
_DEADLINE = 30.0


def mount(*, ledger: Ledger, emit: Emit) -> None:
    """Mount binfmt_misc; as root. Raises SurroundingsError when the kernel refuses."""
    if (DIRECTORY / "status").exists():  # to look also mounts it, where systemd does so on demand
        return
    emit(Note(text=f"mounting binfmt_misc on {DIRECTORY}"))
    ledger.add(Mounted(path=str(DIRECTORY), boot=boot_id()))
    if not DIRECTORY.is_dir():
        commands.run(("modprobe", "binfmt_misc"), deadline=_DEADLINE)
    done = commands.run((*_namespace(), *MOUNT), deadline=_DEADLINE)
    if done.code != 0:
        raise SurroundingsError(
            f"binfmt_misc could not be mounted: {done.error.strip()}",
            "The kernel may lack CONFIG_BINFMT_MISC; then it runs no foreign programs.",
        )


def unmount(mounted: Mounted, *, emit: Emit) -> bool:
    """Take back what `mount` did, if it was in this boot and nobody else uses it; as root.

    Return whether it is done with; otherwise a note says why not.
    """
    path = Path(mounted.path)
    if mounted.boot != boot_id() or not path.is_mount():
        return True
    others = sorted({file.name for file in path.iterdir()} - _OWN_FILES)
    if others:
        emit(Note(text=f"kept binfmt_misc mounted: it holds {', '.join(others)}"))
        return False
    done = commands.run((*_namespace(), "umount", str(path)), deadline=_DEADLINE)
    if done.code != 0:
        raise SurroundingsError(
            f"binfmt_misc could not be unmounted: {done.error.strip()}",
            f"Try again later, or by hand: umount {path}",
        )
    return True


def unregister(handler: str) -> None:
    """Take a handler out of this machine's binfmt_misc without an engine; as root."""
    path = DIRECTORY / handler
    if path.exists():
        path.write_text("-1")


def _namespace() -> tuple[str, ...]:
    """Return what to put before a command for it to run in the machine's own mount namespace.

    Nothing where this process is in it, or has no right to look.
    """
    first, own = Path("/proc/1/ns/mnt"), Path("/proc/self/ns/mnt")
    try:
        same = first.samefile(own)
    except PermissionError:
        return ()
    return () if same else ("nsenter", f"--mount={first}", "--")
