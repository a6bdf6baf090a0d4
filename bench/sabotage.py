"""What the soak does to one job in five, and what must come of it."""

from __future__ import annotations

import random
import signal
from collections.abc import Iterator
from dataclasses import dataclass

from farm.model.events import Phase
from farm.model.failures import Cause
from farm.model.results import Status
from farm.model.targets import Arch, Interpreter, Target


@dataclass(frozen=True, kw_only=True)
class Sabotage:
    """One kind of harm; by default one that the victim's build fails of."""

    name: str
    script: str = ""
    """What the project's build script is to do in the victim's build."""
    settings: str = ""
    """More lines of `[tool.farm]`; `{machine}` and `{minor}` are the victim's."""
    status: Status = Status.FAILED
    phase: str = Phase.BUILD
    cause: str = Cause.COMPILE
    code: int = 1
    """The exit status that the victim calls for."""
    removes: bool = False
    """Its container is removed from outside, once."""
    signal: signal.Signals | None = None
    """What the controller gets, at a random moment; the victim is any job, or none."""

    @property
    def checked(self) -> bool:
        """Whether it takes a check to show."""
        return self.phase == Phase.CHECK


@dataclass(frozen=True, kw_only=True)
class Round:
    """One run of five jobs, before it is started."""

    number: int
    sabotage: Sabotage
    victim: Target
    checked: bool
    moment: float
    """When a signal comes: the share of an undisturbed run's time."""

    @property
    def settings(self) -> str:
        """The table `[tool.farm]` of the project."""
        harm, victim = self.sabotage, self.victim
        environment = f'ROUND = "{self.number}", SABOTAGE = "{harm.script}", VICTIM = "{victim.id}"'
        more = harm.settings.format(machine=victim.arch, minor=victim.interpreter.minor)
        return f"\n[tool.farm]\nenvironment = {{ {environment} }}\n{more}\n"


TARGETS = (
    *(Target(interpreter=Interpreter(minor=minor), arch=Arch.X86_64) for minor in (9, 11, 14, 15)),
    Target(interpreter=Interpreter(minor=13), arch=Arch.AARCH64),
)
"""The jobs of each round."""

EXITS = (
    "import platform, sys; "
    "sys.exit(3 if (platform.machine(), sys.version_info.minor) == ('{machine}', {minor}) else 0)"
)
CHECKED = 1 / 8
"""So many of the rounds in which nothing but a build fails have checks."""
NONE = Sabotage(name="none", status=Status.BUILT, phase="", cause="", code=0)
KINDS = (
    Sabotage(name="compile error", script="compile"),
    Sabotage(name="build script panics", script="panic", cause=Cause.SCRIPT),
    Sabotage(name="cargo is killed", script="kill", cause=Cause.MEMORY),
    Sabotage(
        name="memory",
        script="memory",
        settings="limits.memory-gib = 0.75",
        cause=Cause.MEMORY,
    ),
    Sabotage(
        name="deadline",
        script="long",
        settings="limits.build-minutes = 0.4",
        cause=Cause.DEADLINE,
    ),
    Sabotage(name="no room after 50 MiB", script="room", cause=Cause.ROOM, code=3),
    Sabotage(name="import fails", script="import", phase=Phase.CHECK, cause=Cause.TEST),
    Sabotage(
        name="smoke command exits 3",
        settings=f'smoke.command = ["python", "-c", "{EXITS}"]',
        phase=Phase.CHECK,
        cause=Cause.TEST,
    ),
    Sabotage(
        name="container removed",
        script="wait",
        status=Status.BUILT,
        phase="",
        cause="",
        code=0,
        removes=True,
    ),
    *(
        Sabotage(name=each.name, status=Status.CANCELLED, phase="", cause="", signal=each)
        for each in (signal.SIGKILL, signal.SIGINT, signal.SIGTERM)
    ),
)


def rounds(seed: int) -> Iterator[Round]:
    """Yield rounds without end, the same for the same seed: every kind once, then every again."""
    chance = random.Random(seed)  # noqa: S311 - to be repeated, not to be secret
    number = 0
    while True:
        for sabotage in chance.sample(KINDS, len(KINDS)):
            number += 1
            yield Round(
                number=number,
                sabotage=sabotage,
                victim=chance.choice(TARGETS),
                checked=sabotage.checked or chance.random() < CHECKED,
                moment=chance.random(),
            )
