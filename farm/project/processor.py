"""Which processor a wheel is compiled for: what its tag promises, unless flags say otherwise.

A tag such as `x86_64` promises the first processors of that architecture (PEP 600 leaves it to the
platform; manylinux builds for the baseline). `native` is the processor that happens to build, so a
wheel of it dies elsewhere with an illegal instruction.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from farm.model.errors import UsageError
from farm.model.settings import Settings
from farm.model.targets import Arch
from farm.project.cargo_config import Flags, compiler_flags, leaves
from farm.project.inspect import Project
from farm.project.rust_text import read_rust

NATIVE = re.compile(r"(?:target-cpu|march|mcpu)=native(?![\w.+-])")
"""In flags of rustc, and of C compilers. `mtune` chooses no instructions."""
_CPU = re.compile(r"(?:target-cpu|march|mcpu)=([A-Za-z0-9_.+-]+)")
_FEATURES = re.compile(r"target-feature=([A-Za-z0-9_.,+-]+)")
_FLAGS = re.compile(r"(?:^|_)(?:ENCODED_)?(?:RUSTFLAGS|CFLAGS|CXXFLAGS)(?:$|_)")
"""Variables by which cargo and the crate cc are given flags."""
_BASELINE: Mapping[Arch, frozenset[str]] = {
    Arch.X86_64: frozenset({"generic", "x86-64"}),
    Arch.AARCH64: frozenset({"generic", "armv8-a"}),
}
"""What the tag of an architecture promises, as compilers call it."""
_USUAL: Mapping[Arch, frozenset[str]] = {
    Arch.X86_64: frozenset({"fxsr", "sse", "sse2", "x87", "crt-static"}),
    Arch.AARCH64: frozenset({"fp-armv8", "neon", "outline-atomics", "crt-static"}),
}
"""Features of the baseline (`rustc --print cfg`), and those that are of no processor."""


def processor_warnings(
    project: Project, settings: Settings, root: Path, arches: Sequence[Arch]
) -> tuple[str, ...]:
    """Return a line for each flag by which wheels want more than their tag promises.

    `root` is the top of the source. Raises UsageError for `native`, unless `native-cpu` in the
    settings insists on it.
    """
    found = tuple(_all_flags(project, settings, root))
    native = [flags for flags in found if NATIVE.search(_text(flags))]
    if native and not settings.native_cpu:
        places = "; ".join(dict.fromkeys(_place(flags) for flags in native))
        raise UsageError(
            f"{places}: native is the processor that happens to build, and others could not run "
            "the wheel",
            "Name a processor that all of its users have, leave it out, or insist: "
            "native-cpu = true in [tool.farm].",
        )
    lines = [f"{_place(flags)}: wheels run only where this very processor is" for flags in native]
    lines += [
        f"{_place(flags)}: wheels for {arch} need {', '.join(more)}"
        for flags in found
        for arch in arches
        if _is_for(flags, arch) and (more := tuple(_beyond(flags, arch)))
    ]
    return (*dict.fromkeys(lines), *_of_scripts(project))


def _all_flags(project: Project, settings: Settings, root: Path) -> Iterator[Flags]:
    """Yield the flags of all places that a build takes them from, but build scripts."""
    yield from compiler_flags(root, project.root)
    pyproject = project.pyproject.file
    maturin = project.pyproject.maturin
    if maturin.rustflags:
        yield Flags(file=pyproject, key="tool.maturin.rustc-args", flags=maturin.rustflags)
    if maturin.config:
        yield Flags(file=pyproject, key="tool.maturin.config", flags=maturin.config)
    if settings.cargo_args:
        yield Flags(file=pyproject, key="tool.farm.cargo-args", flags=settings.cargo_args)
    for name, value in settings.environment.items():
        if _FLAGS.search(name):
            words = tuple(re.split(r"[\s\x1f]+", value))
            yield Flags(file=pyproject, key=f"tool.farm.environment.{name}", flags=words)
    crate = project.crate
    for key, value in leaves(crate.workspace.data.get("profile", {})):
        if key[-1] == "rustflags" and isinstance(value, list):
            name = ".".join(("profile", *key))
            yield Flags(file=crate.workspace.file, key=name, flags=tuple(map(str, value)))


def _beyond(flags: Flags, arch: Arch) -> Iterator[str]:
    """Yield the processors and features in `flags` that are more than the baseline."""
    text = _text(flags)
    for cpu in _CPU.findall(text):
        if cpu not in {*_BASELINE[arch], "native"}:
            yield cpu
    for features in _FEATURES.findall(text):
        for feature in features.split(","):
            if feature.startswith("+") and feature[1:] not in _USUAL[arch]:
                yield feature


def _is_for(flags: Flags, arch: Arch) -> bool:
    """Tell whether flags may reach wheels for `arch`: those of a triple are for that one only."""
    triple = re.match(r"target\.\"?([a-z0-9_]+)-", flags.key) or re.search(
        r"_(X86_64|AARCH64|x86_64|aarch64)_", flags.key
    )
    return triple is None or triple[1].lower() == arch


def _of_scripts(project: Project) -> Iterator[str]:
    """Yield a line for each build script of the project's own that speaks of `native`."""
    for directory in project.directories:
        script = directory / "build.rs"
        text = script.read_text(encoding="utf-8", errors="replace") if script.is_file() else ""
        if "native" in text and NATIVE.search(read_rust(text).code):
            yield f"{script}: it may compile for the very processor that builds"


def _text(flags: Flags) -> str:
    return " ".join(flags.flags)


def _place(flags: Flags) -> str:
    return f"{flags.key} in {flags.file} has {_shown(flags)}"


def _shown(flags: Flags) -> str:
    text = _text(flags)
    found = [m.group() for pattern in (_CPU, _FEATURES) for m in pattern.finditer(text)]
    return " ".join(found)
