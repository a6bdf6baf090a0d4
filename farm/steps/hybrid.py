"""Looks, after the fetch, for what a hybrid build of the project can't do faithfully."""

from __future__ import annotations

import json
import tarfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

from farm.engine.containers import Container
from farm.model.errors import FarmError, JobError
from farm.model.plan import CARGO_HOME, SOURCE, WORK, Command
from farm.model.targets import Arch
from farm.project.cargo_config import Flags, compiler_flags, fetch_config
from farm.project.hybrid import build_scripts, findings
from farm.project.inspect import Project
from farm.project.source import Source
from farm.steps.context import Context, Site
from farm.steps.fetch import DEADLINE, cargo_environment

_MAX_SCRIPT = 4 << 20
"""Bytes of a build script that are read."""


def hybrid_warnings(
    context: Context, project: Project, source: Source, site: Site, arches: Sequence[Arch]
) -> tuple[str, ...]:
    """Return a line for each thing that a hybrid build for `arches` may get wrong.

    Reads cargo's metadata and the build scripts of the crates in the graph; runs none of them.
    Raises FarmError when cargo can't tell the graph.
    """
    manifest = project.manifest.relative_to(source.root).as_posix()
    config = fetch_config(source.root, project.root, SOURCE).arguments
    shell = Command(
        image=context.builder,
        arch=context.engine_arch,
        argv=("sleep", str(int(DEADLINE))),
        cwd=WORK,
        environment=cargo_environment(context.engine_arch),
    )
    spec = context.spec(shell, mounts=site.mounts(CARGO_HOME, WORK), deadline=DEADLINE)
    lines: dict[str, None] = {}
    with context.workshop.container(spec) as container:
        container.start()
        for arch in arches:
            found = findings(
                build_scripts(_metadata(container, arch, manifest, config), arch),
                lambda path: _text(container, path),
                flags=(*compiler_flags(source.root, project.root), *_environment_flags(context)),
                pgo=project.pyproject.maturin.pgo,
            )
            lines |= dict.fromkeys(each.line for each in found)
    return tuple(lines)


def _environment_flags(context: Context) -> tuple[Flags, ...]:
    """Return the compiler flags that the settings put into the build's environment."""
    found = context.settings.environment
    return tuple(
        Flags(file=Path("[tool.farm]"), key=f"environment.{key}", flags=tuple(value.split()))
        for key, value in found.items()
        if key.endswith("RUSTFLAGS")
    )


def _metadata(
    container: Container, arch: Arch, manifest: str, config: Sequence[str]
) -> dict[str, Any]:
    argv = (
        *("cargo", "metadata", "--format-version", "1", "--locked", "--offline"),
        *("--filter-platform", arch.triple, "--manifest-path", f"{SOURCE}/{manifest}"),
        *config,
    )
    output: list[str] = []
    errors: list[str] = []
    ended = container.execute(argv, output.append, on_error_line=errors.append)
    if ended.code:
        raise FarmError(f"cargo metadata failed: {' '.join(errors[-3:])}")
    return cast("dict[str, Any]", json.loads("\n".join(output)))


def _text(container: Container, path: str) -> str | None:
    try:
        with container.get(path) as archive, tarfile.open(fileobj=archive) as tar:
            member = tar.next()
            file = tar.extractfile(member) if member is not None and member.isreg() else None
            return None if file is None else file.read(_MAX_SCRIPT).decode("utf-8", "replace")
    except JobError:
        return None
