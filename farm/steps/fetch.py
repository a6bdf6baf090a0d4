"""Fetch: the source tree and its crates go into the run's volumes.

The only step before a build that has a network. It runs cargo from a directory of the farm's
own, where no cargo configuration of the project applies: such a file may name programs to run
(compilers, wrappers, credential helpers). What is harmless of it is handed over as arguments.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from farm.model.errors import FarmError, SurroundingsError, UsageError
from farm.model.events import Warned
from farm.model.failures import Cause
from farm.model.plan import CARGO_HOME, SOURCE, WORK, Command
from farm.project.crates import Crate, Locked, read_lock
from farm.steps.commands import RESOLVED
from farm.steps.context import Context, Log, Site, archive
from farm.steps.network import certificates
from farm.steps.outcome import Reasons, Setting, failure
from farm.steps.retries import persist

DEADLINE = 1800.0
"""Seconds that a fetch may take."""
_STALE = re.compile(r"lock file .* needs to be updated|cannot update the lock file")
_LACKING = re.compile(
    r"failed to select a version for the requirement `(\S+) = .*` \(locked to (\S+)\)"
)
"""How cargo says that a registry has a crate, but not in the version that Cargo.lock names."""
_RESOLVED = re.compile(rf"{RESOLVED} (\S+) v(\S+)")
_UNREACHED = re.compile(
    r"failed to download from|HTTP response from .* got 4|failed to (?:clone|fetch) into"
)


def fetch(
    context: Context, commands: Sequence[Command], site: Site, crate: Crate
) -> tuple[str, ...]:
    """Run the plan's fetch commands for `crate`, in volumes of their own but for the crates.

    What the network or the engine is to blame for is tried again. Returns, and tells, a warning
    of crates that Cargo.lock does not pin, if there are any.

    Raises UsageError when Cargo.lock does not fit Cargo.toml, SurroundingsError when a registry
    or repository can't be reached or lacks a crate, and FarmError for anything else that cargo
    says.
    """
    said: list[str] = []
    with context.log("fetch") as log:

        def say(text: str) -> None:
            log(text)
            context.emit(Warned(text=f"fetch: {text}"))

        for command in commands:
            said += persist(
                lambda each: _fetch(context, each, site, log),
                command,
                stopping=context.workshop.stopping,
                say=say,
            )
    found = _unlocked(said, read_lock(crate))
    for text in found:
        context.emit(Warned(text=text))
    return found


def _unlocked(said: Iterable[str], locked: Iterable[Locked]) -> tuple[str, ...]:
    """Return a warning of crates that a fetch `said` it got and no `locked` package is, if any."""
    there = {(package.name, package.text) for package in locked}
    told = dict.fromkeys(found.groups() for line in said if (found := _RESOLVED.match(line)))
    free = [f"{name} {version}" for name, version in told if (name, version) not in there]
    if not free:
        return ()
    text = (
        f"Cargo.lock does not pin {', '.join(free)}, which a dependency's feature brings: a later "
        "build may take another version. A feature of the crate's own that turns it on has it "
        "locked."
    )
    return (text,)


def _fetch(context: Context, command: Command, site: Site, log: Log) -> list[str]:
    log.command(command)
    said: list[str] = []

    def keep(line: str) -> None:
        said.append(line)
        log(line)

    reasons = Reasons(keep)
    spec = context.spec(
        command,
        mounts=site.mounts(SOURCE, CARGO_HOME, WORK),
        deadline=DEADLINE,
        job="fetch",
    )
    with context.workshop.container(spec) as container:
        site.fill(container)
        container.put(CARGO_HOME, archive(certificates()))
        ended = container.run(reasons)
    if ended.code:
        setting = Setting(deadline=DEADLINE, network=True, ordinary=Cause.DEPENDENCY)
        error = failure(ended, reasons, setting)
        raise _failure(error, "\n".join(said), str(context.log_path("fetch")))
    return said


def _failure(error: FarmError, text: str, path: str) -> FarmError:
    """Return `error` with what it means for a fetch; `text` is what cargo wrote."""
    if _STALE.search(text):
        return UsageError(
            "Cargo.lock does not fit Cargo.toml: cargo would have to change it",
            f"Run cargo update --workspace and commit Cargo.lock. All of it: {path}",
        )
    if error.cause in {Cause.NETWORK, Cause.DEADLINE} or _UNREACHED.search(text):
        return SurroundingsError(
            f"crates could not be fetched: {error.message}",
            f"Look at the network, the proxy and the CA bundle (farm doctor). All of it: {path}",
            cause=error.cause,
        )
    if lacking := _LACKING.search(text):
        name, locked = lacking.groups()
        return SurroundingsError(
            f"crates could not be fetched: the registry has no {name} {locked}, which Cargo.lock "
            "names",
            f"Ask for it where your mirror of crates.io is kept, if there is one; or run cargo "
            f"update {name} and commit Cargo.lock. All of it: {path}",
            cause=error.cause,
        )
    if error.cause is Cause.DEPENDENCY:
        said = error.message.removeprefix("error: ")
        return UsageError(f"cargo fetch failed: {said}", f"All of it: {path}")
    return error
