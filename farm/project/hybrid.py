"""What a hybrid build can't do as faithfully as one on the target's own machine.

A hybrid build is cross compilation inside the target's own file system: build scripts run on the
engine's architecture. What follows from that is in docs/hybrid.md. Pure: `cargo metadata` and the
texts of build scripts in, findings out.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from farm.model.targets import Arch
from farm.project.cargo_config import Flags
from farm.project.cfg import differs, holds
from farm.project.rust_text import RustText, read_rust

Metadata = Mapping[str, Any]
"""What `cargo metadata --format-version 1` prints, parsed."""


class Harm(StrEnum):
    """What may come of it."""

    WRONG = "wrong"
    """A wheel that builds and is not right for the target, or not for all of its machines."""
    FAILS = "fails"
    """A build that fails, or takes another way, without help."""


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing that a hybrid build may do otherwise than a build on the target."""

    harm: Harm
    crate: str
    """Name of the crate, or empty for the project's configuration."""
    version: str
    file: str
    meaning: str
    remedy: str = 'set `mode = "emulated"` in [tool.farm], see docs/hybrid.md'

    @property
    def line(self) -> str:
        """The finding as one line."""
        who = f"{self.crate} {self.version} ({self.file})" if self.crate else self.file
        return f"{who}: {self.meaning}; {self.remedy}"


@dataclass(frozen=True, kw_only=True)
class BuildScript:
    """The build script of a crate that is compiled for the target."""

    crate: str
    version: str
    path: str
    """As cargo sees it."""
    features: frozenset[str]
    """Features that are on in the crate."""
    tools: tuple[str, ...]
    """Names of the crates that the script is linked with."""


_OWN_BINDINGS = "use the bindings that the crate ships, if a feature of it does so"
_BUILDS_ITSELF = "it takes minutes; it is not wrong"
_TOOLS = {
    "bindgen": ("reads C headers with libclang, which the builder lacks", _OWN_BINDINGS),
    "cmake": (
        "builds C or C++ with cmake, which the builder lacks",
        "use a feature of it that compiles with cc, if there is one",
    ),
    "autotools": ("runs configure and make, which are emulated and slow", _BUILDS_ITSELF),
    "openssl-src": ("builds OpenSSL by perl and make, which are emulated and slow", _BUILDS_ITSELF),
    "pkg-config": (
        "looks for C libraries by pkg-config, and the builder has few, and old ones",
        "use a feature of it that builds the library itself (vendored, bundled)",
    ),
}
"""What a build script that is linked with this crate does, and what to do about it."""
_UNUSED_TOOLS = {
    # It compiles with cc unless AWS_LC_SYS_CMAKE_BUILDER is set; builder/main.rs.
    ("aws-lc-sys", "cmake"): frozenset[str](),
    # Needed by zlib-ng only; build.rs.
    ("libz-sys", "cmake"): frozenset({"zlib-ng"}),
}
"""Build dependencies that are not used unless one of these features is on."""
_BUNDLED = frozenset({"bundled", "static", "vendored"})
"""Features by which crates that bind a C library are made to build it themselves."""
_BUNDLE_ANYWAY = frozenset(
    {
        "bzip2-sys",
        "curl-sys",
        "libgit2-sys",
        "liblzma-sys",
        "libssh2-sys",
        "libz-sys",
        "lzma-sys",
        "onig_sys",
        "zstd-sys",
    }
)
"""Crates that ask pkg-config only when told to, or build their own copy when it finds none."""
_NATIVE = re.compile(r"(?:target-cpu|march|mcpu|mtune)=native\b")
_PROFILE = re.compile(r"profile-(?:use|generate)\b")
_FEATURE = re.compile(r'\btarget_feature\s*=\s*"(?!crt-static")')


def build_scripts(
    metadata: Metadata, arch: Arch, root: str | None = None
) -> tuple[BuildScript, ...]:
    """Return the build scripts of the crates that are compiled for the target `arch`.

    These are the crate `root` (a package id; by default the graph's root) and what it reaches
    through normal dependencies that hold on the target, without procedural macros: those, dev-
    and build-dependencies are made for the machine that builds, on which nothing is foreign.
    """
    packages = {p["id"]: p for p in metadata["packages"]}
    nodes = {n["id"]: n for n in metadata["resolve"]["nodes"]}
    found = []
    for package_id in _compiled(packages, nodes, arch, root or metadata["resolve"]["root"]):
        package, node = packages[package_id], nodes[package_id]
        tools = tuple(packages[i]["name"] for i in _dependencies(node, "build", arch))
        found += [
            BuildScript(
                crate=package["name"],
                version=package["version"],
                path=target["src_path"],
                features=frozenset(node["features"]),
                tools=tools,
            )
            for target in package["targets"]
            if "custom-build" in target["kind"]
        ]
    return tuple(sorted(found, key=lambda script: (script.crate, script.version)))


def findings(
    scripts: Sequence[BuildScript],
    read: Callable[[str], str | None],
    *,
    flags: Sequence[Flags] = (),
    pgo: bool = False,
) -> tuple[Finding, ...]:
    """Return what a hybrid build of these can't do faithfully.

    `read` gives the text of the build script at a path, None where it can't be read. `flags` are
    compiler flags of the project's configuration or environment; `pgo` tells whether the project
    asks maturin for profile-guided optimisation.
    """
    found: list[Finding] = []
    for script in scripts:
        found += _of_tools(script)
        text = read(script.path)
        if text is not None:
            found += _of_text(script, read_rust(text))
    for each in flags:
        found += _of_flags(each)
    if pgo:
        found.append(
            replace(
                _profile("pyproject.toml"),
                meaning="asks maturin for profile-guided optimisation, which the farm leaves out",
                remedy="the wheel is right, and may be slower than the published one",
            )
        )
    return tuple(found)


def _compiled(
    packages: Mapping[str, Any], nodes: Mapping[str, Any], arch: Arch, root: str
) -> Iterator[str]:
    seen: set[str] = set()
    todo = [root]
    while todo:
        package_id = todo.pop()
        kinds = [kind for t in packages[package_id]["targets"] for kind in t["kind"]]
        if package_id in seen or "proc-macro" in kinds:
            continue
        seen.add(package_id)
        yield package_id
        todo += _dependencies(nodes[package_id], None, arch)


def _dependencies(node: Mapping[str, Any], kind: str | None, arch: Arch) -> Iterator[str]:
    for dependency in node["deps"]:
        if any(
            edge["kind"] == kind and holds(edge["target"] or "", arch)
            for edge in dependency["dep_kinds"]
        ):
            yield dependency["pkg"]


def _of_tools(script: BuildScript) -> Iterator[Finding]:
    for tool in script.tools:
        if tool not in _TOOLS:
            continue
        needed_by = _UNUSED_TOOLS.get((script.crate, tool))
        if needed_by is not None and not needed_by & script.features:
            continue
        if tool == "pkg-config" and (script.crate in _BUNDLE_ANYWAY or script.features & _BUNDLED):
            continue
        meaning, remedy = _TOOLS[tool]
        yield replace(_finding(script, Harm.FAILS, meaning), remedy=remedy)


def _of_text(script: BuildScript, text: RustText) -> Iterator[Finding]:
    conditions = set(text.conditions())
    if any(differs(f"cfg(any({condition}))") for condition in conditions):
        yield _finding(
            script,
            Harm.WRONG,
            "asks its own target_arch, which is that of the machine that builds",
        )
    if any(_FEATURE.search(condition) for condition in conditions):
        yield _finding(
            script,
            Harm.WRONG,
            "asks its own target_feature, which is that of the machine that builds",
        )
    if re.search(r"\bconsts\s*::\s*ARCH\b", text.bare):
        yield _finding(
            script, Harm.WRONG, "asks env::consts::ARCH, which is that of the machine that builds"
        )
    if re.search(r"\bis_\w+_feature_detected\s*!", text.bare):
        yield _finding(
            script, Harm.WRONG, "asks for the features of the processor that it is built on"
        )
    if _NATIVE.search(text.code):
        yield _finding(script, Harm.WRONG, "may compile for the very processor that it is built on")


def _of_flags(flags: Flags) -> Iterator[Finding]:
    text = " ".join(flags.flags)
    place = f"{flags.key} in {flags.file}"
    if _PROFILE.search(text):
        yield _profile(place)


def _profile(place: str) -> Finding:
    return Finding(
        harm=Harm.FAILS,
        crate="",
        version="",
        file=place,
        meaning="profile-guided optimisation needs the target's own profiler runtime",
    )


def _finding(script: BuildScript, harm: Harm, meaning: str) -> Finding:
    return Finding(
        harm=harm, crate=script.crate, version=script.version, file=script.path, meaning=meaning
    )
