"""Why something failed: a process's end as the engine tells it, and the kinds of causes."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


@dataclass(frozen=True, kw_only=True)
class Ended:
    """How a process in a container ended."""

    code: int
    """Exit status; 128 + N for signal N."""
    out_of_memory: bool = False
    """The engine says that the container ran into its memory limit."""
    timed_out: bool = False
    """The farm ended it at its deadline."""


class Cause(StrEnum):
    """Why a job, a check or a fetch failed, in words for people; reports hold them too."""

    COMPILE = "compile error"
    SCRIPT = "build script failure"
    MACRO = "procedural macro panic"
    LINK = "linker error"
    PACKAGING = "packaging error"
    GIT = "git wanted in a build without it"
    TEST = "test or import failure"
    AUDIT = "audit failure"
    DEPENDENCY = "dependency that can't be installed"
    LIBRARY = "missing system library"
    OFFLINE = "network wanted in a build without one"
    MEMORY = "out of memory"
    QEMU = "QEMU crash"
    DEADLINE = "deadline"
    ENGINE = "engine gone"
    NETWORK = "network"
    ROOM = "no space"
    USAGE = "wrong settings or project"
    SURROUNDINGS = "surroundings not fit"
    FAULT = "fault of the farm"
    OTHER = "other"

    @property
    def passing(self) -> bool:
        """The infrastructure's fault, not the project's, and of a kind that may pass by itself.

        Room does not come back while one waits, and a deadline would only be met again.
        """
        return self in {Cause.MEMORY, Cause.QEMU, Cause.ENGINE, Cause.NETWORK}

    @property
    def of_load(self) -> bool:
        """Less likely with fewer compilers at once: memory, and what races inside QEMU."""
        return self in {Cause.MEMORY, Cause.QEMU}
