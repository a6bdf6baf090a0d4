"""The second look at a finished wheel, outside the job that built it.

auditwheel's policies, symbol reader and dependency tree are used piece by piece, not through
its `analyze_wheel_abi`: that changes the process's working directory (jobs run in threads),
caches its answer by file name (a wheel built again has the same one), looks for libraries on
this machine, and does not say which file broke which rule. A test holds the two verdicts equal.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from farm.model.errors import JobError, UsageError, nearest
from farm.model.failures import Cause
from farm.model.targets import Abi, Target
from farm.wheels.archive import Wheel, read_wheel, unpack
from farm.wheels.elf import Elf, ElfError, Version, is_loader, read_elf
from farm.wheels.errors import summary
from farm.wheels.stable_abi import python_symbols, violations
from farm.wheels.tags import expected_tags

if TYPE_CHECKING:
    from auditwheel.policy import Policy, WheelPolicies

_SYMBOLS_SHOWN = 5
_ALL_VERSIONED = frozenset(
    {
        "libc.so.6",
        "libdl.so.2",
        "libgcc_s.so.1",
        "libm.so.6",
        "libpthread.so.0",
        "librt.so.1",
        "libstdc++.so.6",
        "libutil.so.1",
    }
)
"""Libraries of the policies in which every symbol has a version."""
_OF_THE_LOADER = frozenset({"__stack_chk_guard", "__tls_get_addr"})
"""What the dynamic loader itself has, and some linkers give no version."""
_FPECTL = {"PyFPE_jbuf", "PyFPE_dummy", "PyFPE_counter"}


class Severity(StrEnum):
    """What a finding means for the job."""

    ERROR = "error"
    """The wheel breaks a promise that its tag makes."""
    WARNING = "warning"
    """The wheel keeps its tag's promises, and has something that the user should know."""


@dataclass(frozen=True, kw_only=True, order=True)
class Finding:
    """One thing that the audit found."""

    severity: Severity
    text: str
    """What is wrong, naming symbols and libraries."""
    file: str = ""
    """The file in the wheel that it is about, or empty."""

    def __str__(self) -> str:
        return f"{self.file}: {self.text}" if self.file else self.text


class AuditError(JobError):
    """A wheel does not keep what its tag promises."""

    cause = Cause.AUDIT


@dataclass(frozen=True, kw_only=True)
class Audit:
    """What the audit of one wheel found."""

    wheel: Wheel
    policy: str
    """The most compatible platform tag that the wheel's files keep; `linux_ARCH` if none."""
    needed: tuple[str, ...]
    """The libraries that the system must have, sorted; those that the wheel ships are not in it."""
    findings: tuple[Finding, ...]

    @property
    def platform_tags(self) -> tuple[str, ...]:
        """The platform tags that the wheel carries, sorted."""
        return self.wheel.platforms

    @property
    def errors(self) -> tuple[Finding, ...]:
        """The findings for which the wheel must not be published."""
        return tuple(f for f in self.findings if f.severity is Severity.ERROR)

    @property
    def warnings(self) -> tuple[Finding, ...]:
        """The findings that the user should know of."""
        return tuple(f for f in self.findings if f.severity is Severity.WARNING)

    @property
    def passed(self) -> bool:
        """Say whether the wheel keeps every promise of its tag."""
        return not self.errors

    def require(self) -> str:
        """Return `policy` if the audit passed; raise AuditError with every error if not."""
        if self.passed:
            return self.policy
        faults = [str(finding) for finding in self.errors]
        raise AuditError(
            f"the audit refuses {self.wheel.path.name}: {summary(faults)}",
            f"The wheel is kept at {self.wheel.path}.",
        )


def audit(path: Path, target: Target) -> Audit:
    """Read the wheel at `path` and compare it with what the job for `target` had to make.

    Nothing of the wheel is run and no tool is called, so any machine can audit for any
    architecture. Safe in threads. Raises WheelError if the file is no sound wheel, UsageError
    for a policy that auditwheel does not know, SurroundingsError if there is no room to unpack.
    """
    policies = _policies(target)
    policy = _policy(policies, target)
    wheel = read_wheel(path)
    elfs, unread = _elfs(wheel)
    findings = [
        *unread,
        *_tag_findings(wheel, target, policy),
        *_content_findings(wheel, target),
        *(f for elf in elfs for f in _elf_findings(elf, elfs, target, policy)),
    ]
    return Audit(
        wheel=wheel,
        policy=policies.linux.name if unread else _best(policies, elfs, target),
        needed=tuple(sorted({n for elf in elfs for n in _outside(elf, elfs)})),
        findings=tuple(sorted(findings)),
    )


def _policies(target: Target) -> WheelPolicies:
    from auditwheel.architecture import Architecture  # noqa: PLC0415  (keeps `farm --help` fast)
    from auditwheel.libc import Libc  # noqa: PLC0415
    from auditwheel.policy import WheelPolicies  # noqa: PLC0415

    return WheelPolicies(libc=Libc.GLIBC, arch=Architecture(target.arch.value))


def _policy(policies: WheelPolicies, target: Target) -> Policy:
    try:
        return policies.get_policy_by_name(target.platform_tag)
    except LookupError:
        known = [p.name.removesuffix(f"_{target.arch}") for p in policies]
        raise UsageError(
            f"auditwheel knows no policy {target.policy!r}{nearest(target.policy, known)}",
            f"Known: {', '.join(known)}.",
        ) from None


def _elfs(wheel: Wheel) -> tuple[tuple[Elf, ...], list[Finding]]:
    """Return the wheel's ELF files, and a finding for each that cannot be read."""
    elfs, findings = [], []
    with tempfile.TemporaryDirectory(prefix="farm-audit-") as directory:
        root = Path(directory).resolve()
        unpack(wheel, wheel.elf_files, root)
        for file in wheel.elf_files:
            try:
                elfs.append(read_elf(root, file))
            except ElfError as error:
                findings.append(_error(error.message, file))
    return tuple(elfs), findings


def _tag_findings(wheel: Wheel, target: Target, policy: Policy) -> Iterator[Finding]:
    allowed = expected_tags(target, (policy.name, *policy.aliases))
    if not wheel.tags <= allowed:
        carried = ", ".join(sorted(str(t) for t in wheel.tags - allowed))
        expected = f"{target.python_tag}-{target.abi_tag}-{target.platform_tag}"
        yield _error(f"is tagged {carried}, the job was for {expected}")
    if wheel.purelib:
        yield _error("says Root-Is-Purelib: true, which is for wheels without a platform")


def _content_findings(wheel: Wheel, target: Target) -> Iterator[Finding]:
    if not wheel.elf_files:
        yield _error("has a platform's tag and no ELF file: nothing in it was compiled for one")
    elif target.abi is Abi.NONE:
        for extension in wheel.extensions:
            text = f"is the extension module {extension.module}, in a wheel tagged none"
            yield _error(text, extension.file)
    elif not wheel.extensions:
        yield _error(f"is tagged {target.abi_tag} and has no extension module")
    else:
        for extension in wheel.extensions:
            if extension.soabi not in _soabis(target):
                who = f"no interpreter of {target.abi_tag} on {target.arch}"
                text = f"{who} imports {extension.module} from a file of this name"
                yield _error(text, extension.file)
    for file in wheel.elf_files:
        if PurePosixPath(file).parts[1:2] == ("purelib",):
            yield _error("is compiled, and goes to purelib", file)


def _soabis(target: Target) -> tuple[str, ...]:
    """Return what may stand before `.so` in the name of an extension module (PEP 3149)."""
    if target.abi is Abi.ABI3:
        return ("abi3", "")
    interpreter = target.interpreter
    flag = "t" if interpreter.threaded else ""
    own = f"cpython-3{interpreter.minor}{flag}-{target.arch.multiarch}"
    return (own, "") if interpreter.threaded else (own, "abi3", "")


def _elf_findings(
    elf: Elf, elfs: Sequence[Elf], target: Target, policy: Policy
) -> Iterator[Finding]:
    if elf.machine != target.arch.elf_machine:
        yield _error(f"is for {elf.machine}, not {target.arch.elf_machine}", elf.file)
        return
    yield from (_error(text, elf.file) for text in _breaches(elf, elfs, policy))
    if missing := _from_nowhere(elf):
        text = f"uses {_some(missing)}, newer than {policy.name} allows or in no library it names"
        yield _error(text, elf.file)
    if target.abi is Abi.ABI3:
        texts = violations(elf, target.interpreter.minor)
        yield from (_error(text, elf.file) for text in texts)
    if target.abi is Abi.NONE and (symbols := python_symbols(elf)):
        text = f"uses Python's own C API ({_some(symbols)}), in a wheel tagged none"
        yield _error(text, elf.file)
    yield from _warnings(elf)


def _warnings(elf: Elf) -> Iterator[Finding]:
    foreign = [place for place in elf.search if not place.startswith(("$ORIGIN", "${ORIGIN}"))]
    if foreign:
        text = f"makes every machine look for libraries in {', '.join(map(repr, foreign))}"
        yield Finding(severity=Severity.WARNING, text=text, file=elf.file)
    if elf.executable_stack:
        text = (
            "wants an executable stack, which glibc 2.41 and later refuse to an imported module;"
            " assembler sources need a .note.GNU-stack section"
        )
        yield Finding(severity=Severity.WARNING, text=text, file=elf.file)


def _breaches(elf: Elf, elfs: Sequence[Elf], policy: Policy) -> Iterator[str]:
    """Say what the file does that `policy` (PEP 600) does not allow; `linux` allows all."""
    if not policy.priority:
        return
    for library in _outside(elf, elfs):
        if library not in policy.whitelist:
            yield (
                f"needs {library}, which is neither in the wheel"
                f" nor among the libraries that {policy.name} allows"
            )
    for version in elf.versions:
        if not _allows(policy, version):
            symbols = f" ({_some(version.symbols)})" if version.symbols else ""
            what = f"{version.name}{symbols} of {version.library}"
            yield f"uses {what}, newer than {policy.name} allows"
    for library, names in policy.blacklist.items():
        used = sorted(names & elf.undefined) if library in elf.needed else []
        if used:
            yield f"uses {_some(used)} of {library}, which {policy.name} rules out"
    if used := sorted(_FPECTL & elf.undefined):
        yield f"uses {_some(used)}, which only Pythons built with fpectl had (PEP 513)"
    if elf.level:
        yield f"needs instructions of {elf.level}, which {policy.name} does not promise"


def _from_nowhere(elf: Elf) -> tuple[str, ...]:
    """Return the symbols that no library can give the file, sorted.

    A linker that is told an old glibc lets a shared library use a newer function all the same:
    the symbol stays undefined and gets no version, so nothing that reads versions sees it. Where
    all libraries that are named give each of their symbols a version, one without is Python's or
    nobody's.
    """
    if not elf.needed or not all(n in _ALL_VERSIONED or is_loader(n) for n in elf.needed):
        return ()
    versioned = {symbol for version in elf.versions for symbol in version.symbols}
    return tuple(sorted(elf.undefined - versioned - _OF_THE_LOADER - set(python_symbols(elf))))


def _allows(policy: Policy, version: Version) -> bool:
    """Say whether the policy has the symbol version; families that it does not list are free."""
    family, _, number = version.name.partition("_")
    return family not in policy.symbol_versions or number in policy.symbol_versions[family]


def _outside(elf: Elf, elfs: Sequence[Elf]) -> tuple[str, ...]:
    """Return the libraries that the file needs and the wheel does not ship, but for the loader.

    A library that the wheel ships may lean on another one without saying where it is, when
    whoever loads it has loaded that other one too: the loader knows it by its name by then.
    """
    users = [e for e in elfs if any(found.file == elf.file for found in e.found)]
    inside = {found.library for e in (elf, *users) for found in e.found}
    return tuple(n for n in elf.needed if n not in inside and not is_loader(n))


def _best(policies: Iterable[Policy], elfs: Sequence[Elf], target: Target) -> str:
    """Return the name of the most compatible policy that no file breaks."""
    own = all(elf.machine == target.arch.elf_machine for elf in elfs)
    kept = [
        policy
        for policy in policies
        if not policy.priority or (own and not any(any(_breaches(e, elfs, policy)) for e in elfs))
    ]
    best: str = max(kept, key=lambda policy: policy.priority).name
    return best


def _error(text: str, file: str = "") -> Finding:
    return Finding(severity=Severity.ERROR, text=text, file=file)


def _some(names: Sequence[str]) -> str:
    more = len(names) - _SYMBOLS_SHOWN
    shown = ", ".join(names[:_SYMBOLS_SHOWN])
    return f"{shown} and {more} more" if more > 0 else shown
