"""Makes sure, before a run, that the engine runs programs of the foreign architectures in it."""

from __future__ import annotations

from collections.abc import Iterable

import docker

from farm.engine import emulation, images
from farm.model.errors import SurroundingsError
from farm.model.events import Emit
from farm.model.targets import Arch


def require_emulation(
    client: docker.DockerClient, arches: Iterable[Arch], emit: Emit
) -> dict[str, str]:
    """Return QEMU's version for each of `arches`, all foreign to the engine.

    A foreign program is run to know. Raises SurroundingsError when one does not run.
    """
    versions = {}
    for arch in sorted(arches):
        tools, probe = f"qemu-{arch}", f"probe-{arch}"
        found = images.ensure(client, (tools, probe), emit=emit)
        state = emulation.probe(
            client,
            emulation.GUESTS[arch],
            image=found[probe].reference,
            tools=found[tools].reference,
        )
        if not state.works:
            raise SurroundingsError(
                f"no {arch} emulation on this engine ({state.state}: {state.error})",
                f"Run farm doctor --fix, or leave {arch} out with --arch native.",
            )
        versions[str(arch)] = state.version
    return versions
