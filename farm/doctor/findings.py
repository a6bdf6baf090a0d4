"""What the doctor finds, as values, and which of it can be repaired."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum, StrEnum

from farm.engine.emulation import Emulation
from farm.model.errors import SurroundingsError
from farm.model.targets import Arch


class Level(StrEnum):
    """How much a finding matters."""

    OK = "ok"
    WARNING = "warning"
    FAULT = "fault"


class Repair(IntEnum):
    """What `farm doctor --fix` can do, in the order in which one thing needs another."""

    PACKAGES = 1
    PLUGIN = 2
    MOUNT = 3
    EMULATION = 4


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing that was looked at."""

    subject: str
    level: Level
    text: str
    remedy: str = ""
    """What to do, as whole sentences."""
    commands: tuple[str, ...] = ()
    """What to type, as root where the remedy says so."""
    repair: Repair | None = None
    """What `--fix` does about it."""
    change: str = ""
    """What that repair changes, for the user to read before it does."""
    arch: Arch | None = None
    """The architecture that it concerns."""


@dataclass(frozen=True, kw_only=True)
class Diagnosis:
    """All that was found."""

    findings: tuple[Finding, ...]
    emulations: tuple[Emulation, ...] = ()

    @property
    def faults(self) -> tuple[Finding, ...]:
        """What keeps the farm from working."""
        return tuple(f for f in self.findings if f.level is Level.FAULT)

    def require(self) -> None:
        """Raise SurroundingsError with every fault and its remedy, if there is a fault."""
        if self.faults:
            raise SurroundingsError(
                "the surroundings are not fit: " + "; ".join(f.text for f in self.faults),
                "\n".join(line for f in self.faults for line in (f.remedy, *f.commands) if line),
            )
