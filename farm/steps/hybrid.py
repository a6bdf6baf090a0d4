"""Looks, after the fetch, for what a hybrid build of the project can't do faithfully."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from farm.engine.containers import Container
from farm.model.errors import FarmError, JobError
from farm.model.plan import CARGO_HOME, SOURCE, WORK, Command
from farm.model.targets import Arch
from farm.project.cargo_config import Flags, compiler_flags, fetch_config
from farm.project.hybrid import build_scripts, findings
from farm.project.inspect import Project
from farm.project.source import Source
from farm.steps.commands import CARGO_ENVIRONMENT, feature_argv
from farm.steps.context import Context, Site
from farm.steps.fetch import DEADLINE
from farm.steps.received import Received, received

_MAX_SCRIPT = 1 << 20
"""Bytes of a build script that are read; the longest known have some ten thousand."""
_MAX_ARCHIVE = 64 << 20
"""Bytes of the archive that a build script comes in."""
_MAX_METADATA = 256 << 20
"""Characters of `cargo metadata`; those of the largest workspaces are some ten million."""
_ERRORS_SHOWN = 3


def hybrid_warnings(
    context: Context, project: Project, source: Source, site: Site, arches: Sequence[Arch]
) -> tuple[str, ...]:
    """Return a line for each thing that a hybrid build for `arches` may get wrong.

    Reads cargo's metadata and the build scripts of the crates in the graph; runs none of them.
    Raises FarmError when cargo can't tell the graph.
    """
    manifest = project.manifest.relative_to(source.root).as_posix()
    config = fetch_config(source.root, project.root, SOURCE).arguments
    words = (*feature_argv(project), *config)
    shell = Command(
        image=context.builder,
        arch=context.engine_arch,
        argv=("sleep", str(int(DEADLINE))),
        cwd=WORK,
        environment=CARGO_ENVIRONMENT,
    )
    spec = context.spec(shell, mounts=site.mounts(SOURCE, CARGO_HOME, WORK), deadline=DEADLINE)
    lines: dict[str, None] = {}
    with context.workshop.container(spec) as container:
        site.fill(container)
        container.start()
        for arch in arches:
            found = findings(
                build_scripts(_metadata(container, arch, manifest, words), arch),
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
    container: Container, arch: Arch, manifest: str, words: Sequence[str]
) -> dict[str, Any]:
    argv = (
        *("cargo", "metadata", "--format-version", "1", "--locked", "--offline"),
        *("--filter-platform", arch.triple, "--manifest-path", f"{SOURCE}/{manifest}"),
        *words,
    )
    output = _Output()
    errors: deque[str] = deque(maxlen=_ERRORS_SHOWN)
    ended = container.execute(argv, output, on_error_line=errors.append)
    if ended.code:
        raise FarmError(f"cargo metadata failed: {' '.join(errors)}")
    return output.parsed()


class _Output:
    """A listener that puts what cargo prints, one line of any length, together again."""

    def __init__(self) -> None:
        self._parts: list[str] = []
        self._size = 0

    def __call__(self, part: str) -> None:
        """Take a line, or a part of one: no value of JSON goes over a line's end."""
        self._size += len(part)
        if self._size > _MAX_METADATA:
            raise FarmError(f"cargo metadata printed more than {_MAX_METADATA} characters")
        self._parts.append(part)

    def parsed(self) -> dict[str, Any]:
        """Return the object that was printed; raise FarmError when it is none."""
        try:
            found = json.loads("".join(self._parts))
        except (ValueError, RecursionError) as error:
            raise FarmError(f"cargo metadata printed no JSON: {error}") from error
        if not isinstance(found, dict):
            raise FarmError("cargo metadata printed no object")
        return found


def _text(container: Container, path: str) -> str | None:
    try:
        with container.get(path, limit=_MAX_ARCHIVE) as archive, received(archive) as files:
            return next((_read(file) for file in files), None)
    except JobError:
        return None


def _read(file: Received) -> str:
    return file.content.read(_MAX_SCRIPT).decode("utf-8", "replace")
