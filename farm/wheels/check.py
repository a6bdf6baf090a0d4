"""What a check sends into its container, and how it reads what comes back."""

from __future__ import annotations

import json
from collections.abc import Iterable
from importlib import resources

from pydantic import BaseModel, ConfigDict, ValidationError

from farm.wheels.archive import Wheel


class Outcome(BaseModel):
    """What came of one module, script, or of the version."""

    model_config = ConfigDict(frozen=True)

    name: str
    ok: bool
    error: str = ""
    """The last line of the traceback, or what is wrong."""
    traceback: str = ""
    origin: str = ""
    """The file that the module was loaded from."""
    elapsed: float = 0
    """Seconds."""


class Answer(BaseModel):
    """What the check program found in the container; no other JSON passes for it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    ok: bool
    modules: tuple[Outcome, ...] = ()
    scripts: tuple[Outcome, ...] = ()
    version: Outcome | None = None
    python: str = ""
    """The interpreter's version, such as `3.13.5`."""
    machine: str = ""
    """As the kernel names it: `aarch64`."""
    libc: str = ""
    """`glibc 2.36`, or empty for another one."""
    prefix: str = ""
    elapsed: float
    """Seconds, interpreter start-up not counted."""
    error: str = ""
    """Why the program itself could not go on."""
    traceback: str = ""

    @property
    def failures(self) -> tuple[Outcome, ...]:
        """Everything that was not well, in the order in which it was looked at."""
        version = () if self.version is None else (self.version,)
        return tuple(o for o in (*self.modules, *self.scripts, *version) if not o.ok)

    @property
    def reason(self) -> str:
        """Why the check failed, in one line; empty if it did not."""
        if self.ok:
            return ""
        reasons = [f"{o.name}: {o.error}" for o in self.failures]
        return "; ".join(reasons) or self.error


def program() -> bytes:
    """Return the source of the check program."""
    return resources.files("farm.wheels").joinpath("check_program.py").read_bytes()


def compile_program() -> bytes:
    """Return the source of the program that compiles what was installed for a check."""
    return resources.files("farm.wheels").joinpath("compile_program.py").read_bytes()


def request(wheel: Wheel) -> bytes:
    """Return, as JSON, what the check program is asked for one wheel.

    Packages come before the extension modules in them, as a user would import them.
    """
    names = dict.fromkeys((*wheel.modules, *(e.module for e in wheel.extensions)))
    asked = {
        "name": wheel.name,
        "version": wheel.version,
        "home": wheel.home,
        "modules": list(names),
        "scripts": list(wheel.scripts),
    }
    return json.dumps(asked).encode()


def answer(lines: Iterable[str]) -> Answer | None:
    """Return the check program's answer from its output, or None if it came to none.

    None is a failure whatever the exit status: a module can end the process with status 0.
    Other processes of the check may have written lines of their own before and after.
    """
    for line in reversed([line for line in lines if line.startswith("{")]):
        try:
            return Answer.model_validate_json(line)
        except ValidationError:
            continue
    return None
