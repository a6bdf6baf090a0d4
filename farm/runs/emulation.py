"""Makes sure, before a run, that the engine runs programs of the foreign architectures in it."""

from __future__ import annotations

from collections.abc import Iterable

import docker

from farm.bases.recipes import tools_for
from farm.doctor.foreign import judge
from farm.engine import emulation, images
from farm.engine.connection import facts
from farm.host.archive import read_archive
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
        tools, probe = tools_for((arch,))
        there = images.ensure(client, (tools, probe), emit=emit, archive=read_archive())
        state = emulation.probe(
            client,
            emulation.GUESTS[arch],
            image=there[probe].reference,
            tools=there[tools].reference,
        )
        if not state.works:
            finding = judge(state, arch, facts(client), was_ours=False)
            raise SurroundingsError(
                finding.text,
                f"{finding.remedy} {'; '.join(finding.commands)}. Or leave {arch} out: "
                "--arch native.",
            )
        versions[str(arch)] = state.version
    return versions
