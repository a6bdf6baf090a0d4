"""`farm doctor`: every fault of the surroundings at once, each with its remedy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from farm.cli import options
from farm.cli.output import print_result
from farm.host.user import is_root
from farm.model.errors import ExitCode, SurroundingsError, UsageError
from farm.model.targets import Arch

if TYPE_CHECKING:
    from farm.doctor.findings import Diagnosis, Finding

EXAMPLES = """\b
Examples:
  farm doctor                        look, change nothing
  farm doctor --fix                  look, and repair what can be repaired
  farm doctor --fix --arch aarch64   only what aarch64 wheels need
  farm doctor --undo                 take back what --fix changed
"""

_MARK_WIDTH, _SUBJECT_WIDTH = 7, 10


def doctor(
    *,
    fix: Annotated[
        bool,
        typer.Option(
            "--fix",
            help="Repair what can be repaired: host packages, Docker's buildx plugin, emulation. "
            "Says what it will change before it does.",
        ),
    ] = False,
    undo: Annotated[
        bool, typer.Option("--undo", help="Take back exactly what --fix changed.")
    ] = False,
    arch: options.Arches = None,
) -> int:
    """Find what keeps builds from running, with remedies.

    Looks at the engine, its room, emulation, images and network, and tells every fault at once,
    each with the exact command that mends it. Without an option nothing is changed. What --fix
    changes is written down where it outlives your home directory, so that --undo can take it
    back. Exit status: 0 all is well, 3 something is not.
    """
    from farm.doctor import examine as surroundings
    from farm.doctor import repair
    from farm.host.ledger import Ledger, default_path
    from farm.report.console import Progress, make_console

    if fix and undo:
        raise UsageError("--fix and --undo exclude each other", "Give one of them.")
    ledger = Ledger(path=default_path())
    progress = Progress(make_console())
    if undo:
        with progress.shown():
            left = repair.undo(ledger=ledger, emit=progress)
        for line in left or ("Nothing of farm doctor --fix is left here.",):
            print_result(line)
        return ExitCode.SURROUNDINGS if left else ExitCode.OK
    arches = _arches(arch or ["all"])
    if fix:
        with progress.shown():
            diagnosis = repair.fix(arches, ledger=ledger, emit=progress)
    else:
        diagnosis = surroundings.examine(arches, ledger=ledger)
    for line in lines(diagnosis):
        print_result(line)
    return ExitCode.SURROUNDINGS if diagnosis.faults else ExitCode.OK


def lines(diagnosis: Diagnosis) -> list[str]:
    """Return the report, line by line: what was found, and under each fault what to do."""
    report = [line for finding in diagnosis.findings for line in _lines(finding)]
    count = len(diagnosis.faults)
    if not count:
        return [*report, "All is well."]
    mendable = any(f.repair for f in diagnosis.faults)
    hint = " `farm doctor --fix` repairs what it can." if mendable else ""
    if mendable and not is_root():
        hint += " What is told with sudo above it leaves to you."
    return [*report, f"{count} fault{'s' if count > 1 else ''}.{hint}"]


def _lines(finding: Finding) -> list[str]:
    mark = finding.level.value.upper() if finding.level.value != "ok" else "ok"
    margin = " " * (_MARK_WIDTH + _SUBJECT_WIDTH + 2)
    return [
        f"{mark:{_MARK_WIDTH}} {finding.subject:{_SUBJECT_WIDTH}} {finding.text}",
        *([f"{margin}{finding.remedy}"] if finding.remedy else []),
        *(f"{margin}  {command}" for command in finding.commands),
    ]


def _arches(names: list[str]) -> tuple[Arch, ...]:
    """Return the architectures named; `native` is none while there is no engine to ask."""
    from farm.engine.connection import arch as architecture
    from farm.engine.connection import connect

    if "all" in names:
        return tuple(Arch)
    chosen = [Arch.parse(name) for name in names if name != "native"]
    if "native" in names:
        try:
            with connect() as client:
                chosen.append(architecture(client))
        except SurroundingsError:
            return tuple(chosen)  # the examination says what is wrong with the engine
    return tuple(dict.fromkeys(chosen))
