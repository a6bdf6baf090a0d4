"""Fetch: the source tree and its crates go into the run's volumes.

The only step before a build that has a network. It runs cargo from a directory of the farm's
own, where no cargo configuration of the project applies: such a file may name programs to run
(compilers, wrappers, credential helpers). What is harmless of it is handed over as arguments.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from farm.bases import debian
from farm.model.errors import FarmError, SurroundingsError, UsageError
from farm.model.plan import CARGO_HOME, SOURCE, WORK, Command
from farm.model.targets import Arch, Interpreter, Mode
from farm.steps.context import Context, Site, archive, certificates
from farm.steps.outcome import Reasons, explain

DEADLINE = 1800.0
"""Seconds that a fetch may take."""

_STALE = re.compile(r"lock file .* needs to be updated|cannot update the lock file")
_NETWORK = re.compile(
    r"(?i)spurious network error|could not resolve host|failed to (?:connect|download|get)"
    r"|connection (?:refused|reset|timed out)|ssl (?:certificate|error)|timed? ?out|403|50[234]"
)


def plan_fetch(
    arches: Sequence[Arch], engine_arch: Arch, *, manifest: str, config: Sequence[str]
) -> tuple[Command, ...]:
    """Return the commands that get every crate that a build for `arches` needs.

    `manifest` is Cargo.toml's path below the source root, `config` are `--config` arguments
    that are safe to hand to cargo. The engine's own architecture is always among the targets,
    for build scripts and procedural macros.
    """
    triples = sorted({arch.triple for arch in (*arches, engine_arch)})
    argv = ["cargo", "fetch", "--locked", "--manifest-path", f"{SOURCE}/{manifest}"]
    for triple in triples:
        argv += ["--target", triple]
    environment = cargo_environment(engine_arch)
    return (
        Command(
            image=f"builder-{engine_arch}",
            arch=engine_arch,
            argv=(*argv, *config),
            cwd=WORK,
            environment=environment,
            network=True,
        ),
    )


def cargo_environment(engine_arch: Arch) -> dict[str, str]:
    """Return what cargo needs to read manifests in a builder of the engine's architecture."""
    whole = debian.build_environment(
        arch=engine_arch,
        engine_arch=engine_arch,
        mode=Mode.NATIVE,
        interpreter=Interpreter(minor=11),
    )
    return {
        "PATH": whole["PATH"],
        "CARGO_HOME": CARGO_HOME,
        "CARGO_TERM_COLOR": "never",
        "HOME": f"{WORK}/home",
    }


def fetch(context: Context, commands: Sequence[Command], site: Site) -> None:
    """Run the plan's fetch commands, in volumes of their own but for the crates.

    Raises UsageError when Cargo.lock does not fit Cargo.toml, SurroundingsError when a registry
    or repository can't be reached, and FarmError for anything else that cargo says.
    """
    for command in commands:
        with context.log("fetch") as log:
            log.command(command)
            reasons = Reasons(log)
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
            raise _failure(
                explain(ended, reasons, deadline=DEADLINE),
                context.log_path("fetch").read_text(encoding="utf-8"),
                str(context.log_path("fetch")),
            )


def _failure(reason: str, text: str, path: str) -> FarmError:
    if _STALE.search(text):
        return UsageError(
            f"Cargo.lock does not fit Cargo.toml: {reason}",
            "Run cargo update --workspace and commit Cargo.lock.",
        )
    if _NETWORK.search(text):
        return SurroundingsError(
            f"crates could not be fetched: {reason}",
            f"Look at the network, the proxy and the CA bundle (farm doctor). All of it: {path}",
        )
    return UsageError(f"cargo fetch failed: {reason}", f"All of it: {path}")
