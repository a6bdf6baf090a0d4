"""Which wheels a project gives on the interpreters that there are, and what is left out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from packaging.specifiers import SpecifierSet

from farm.model.errors import UsageError
from farm.model.targets import Abi, Interpreter
from farm.project.bindings import Bindings, Kind
from farm.project.inspect import Project
from farm.project.pyo3 import refusal, untested

_MICROS = 100
"""More patch releases than any CPython has had: a range holds a minor version if it holds one."""


@dataclass(frozen=True, kw_only=True)
class LeftOut:
    """An interpreter that no wheel is made for or checked on."""

    interpreter: Interpreter
    reason: str

    @property
    def line(self) -> str:
        """What is left out and why, in one line."""
        return f"{self.interpreter.version} is left out: {self.reason}"


@dataclass(frozen=True, kw_only=True)
class Wheel:
    """One wheel to build on each architecture."""

    interpreter: Interpreter
    """The one that it is built on."""
    abi: Abi
    claims: Interpreter
    """The lowest that its tag claims: for ABI3 what the crate says, which need not be there."""
    checks: tuple[Interpreter, ...]
    """Those that it is tested on, ascending."""


@dataclass(frozen=True, kw_only=True)
class Selection:
    """What to build, and what not."""

    wheels: tuple[Wheel, ...]
    left_out: tuple[LeftOut, ...]
    warnings: tuple[str, ...] = ()

    @property
    def kept(self) -> tuple[Interpreter, ...]:
        """Every interpreter that a wheel is tested on, ascending."""
        return tuple(sorted({i for wheel in self.wheels for i in wheel.checks}))


def interpreters(
    project: Project,
    available: Iterable[Interpreter],
    asked: Sequence[Interpreter] | None = None,
) -> Selection:
    """Return the wheels of `project` on the interpreters `available`.

    Without `asked`, what can't be had is left out, with a reason. `asked` names interpreters:
    one that is not available or can't be had is an error, and for ABI3 and NONE they restrict
    the checks, never the tag. Raises UsageError then, and when nothing is left.
    """
    there = sorted(set(available))
    _refuse_absent(asked, there)
    refused = _refusals(project, there, by_name=frozenset(asked or ()))
    wheels = _wheels(project.bindings, [i for i in there if i not in refused])
    made = {i for wheel in wheels for i in wheel.checks}
    for interpreter in there:
        if interpreter not in made:
            refused.setdefault(interpreter, _uncovered(project.bindings, interpreter))
    if asked is not None:
        _refuse_asked(project, asked, refused, made)
        wheels = [_restricted(wheel, asked) for wheel in wheels]
    wheels = [wheel for wheel in wheels if wheel.checks]
    if not wheels:
        raise _nothing(project, there, refused)
    return Selection(
        wheels=tuple(wheels),
        left_out=()
        if asked is not None
        else tuple(LeftOut(interpreter=i, reason=refused[i]) for i in there if i in refused),
        warnings=tuple(_warnings(project.bindings, wheels)),
    )


def admits(requires: SpecifierSet | None, interpreter: Interpreter) -> bool:
    """Tell whether `requires` (requires-python) admits any release of `interpreter`."""
    if requires is None:
        return True
    return any(requires.contains(f"3.{interpreter.minor}.{micro}") for micro in range(_MICROS))


def _refuse_absent(asked: Sequence[Interpreter] | None, there: list[Interpreter]) -> None:
    absent = [i.version for i in asked or () if i not in there]
    if absent:
        raise UsageError(
            f"no Python {', '.join(absent)} in this base",
            f"There are: {_names(there)}.",
        )


def _names(interpreters: Iterable[Interpreter]) -> str:
    return ", ".join(i.version for i in interpreters) or "none"


def _refusals(
    project: Project, there: list[Interpreter], *, by_name: frozenset[Interpreter]
) -> dict[Interpreter, str]:
    """Return why interpreters can neither be built for nor be tested on."""
    requires, bindings = project.pyproject.requires_python, project.bindings
    found = {}
    for interpreter in there:
        if not admits(requires, interpreter):
            found[interpreter] = f"{project.name} requires Python {requires}"
        elif reason := _refusal(bindings, interpreter, by_name=interpreter in by_name):
            found[interpreter] = reason
    return found


def _refusal(bindings: Bindings, interpreter: Interpreter, *, by_name: bool) -> str:
    if bindings.kind in (Kind.CFFI, Kind.UNIFFI) and interpreter.threaded:
        return f"maturin's {bindings.kind} bindings have no free-threaded Python"
    if bindings.pyo3 is None:
        return ""
    if bindings.abi3(interpreter) is False:
        return refusal(bindings.pyo3, interpreter, by_name=by_name)
    lowest = bindings.abi3(interpreter)
    if lowest and interpreter.minor < lowest:
        return f"the crate's PyO3 feature abi3-py3{lowest} needs Python 3.{lowest} or newer"
    return ""


def _wheels(bindings: Bindings, admitted: list[Interpreter]) -> list[Wheel]:
    if bindings.pyo3 is None:
        return _one(admitted, Abi.NONE)
    stable = [i for i in admitted if bindings.abi3(i) is not False]
    wheels = []
    for lowest in dict.fromkeys(bindings.abi3(i) for i in stable):
        group = [i for i in stable if bindings.abi3(i) == lowest]
        builders = [i for i in group if not _unfit(bindings, i)]
        if builders:
            claims = Interpreter(minor=lowest) if lowest else builders[0]
            wheels.append(_abi3(builders[0], claims, stable))
    single = [i for i in admitted if i not in stable and not bindings.abi3t(i)]
    return sorted(
        [*wheels, *(w for i in single for w in _one([i], Abi.VERSION))],
        key=lambda wheel: wheel.interpreter,
    )


def _unfit(bindings: Bindings, interpreter: Interpreter) -> bool:
    """Tell whether no abi3 wheel can be built on `interpreter`."""
    if bindings.abi3t(interpreter) or bindings.pyo3 is None:
        return True
    return bool(refusal(bindings.pyo3, interpreter, by_name=True))


def _abi3(builder: Interpreter, claims: Interpreter, stable: list[Interpreter]) -> Wheel:
    return Wheel(
        interpreter=builder,
        abi=Abi.ABI3,
        claims=claims,
        checks=tuple(i for i in stable if i.minor >= claims.minor),
    )


def _one(admitted: list[Interpreter], abi: Abi) -> list[Wheel]:
    if not admitted:
        return []
    builder = admitted[0]
    return [Wheel(interpreter=builder, abi=abi, claims=builder, checks=tuple(admitted))]


def _uncovered(bindings: Bindings, interpreter: Interpreter) -> str:
    if bindings.abi3t(interpreter):
        return "its wheel would be for abi3t, which the farm does not build"
    return f"no Python here that PyO3 {bindings.pyo3} builds an abi3 wheel with, old enough for it"


def _restricted(wheel: Wheel, asked: Sequence[Interpreter]) -> Wheel:
    return Wheel(
        interpreter=wheel.interpreter,
        abi=wheel.abi,
        claims=wheel.claims,
        checks=tuple(i for i in wheel.checks if i in asked),
    )


def _refuse_asked(
    project: Project,
    asked: Sequence[Interpreter],
    refused: dict[Interpreter, str],
    made: set[Interpreter],
) -> None:
    faults = [f"{i.version}: {refused[i]}" for i in dict.fromkeys(asked) if i in refused]
    if faults:
        raise UsageError(
            f"{project.name} can't be built as asked; " + "; ".join(faults),
            f"There are: {_names(sorted(made))}.",
        )


def _nothing(
    project: Project, there: list[Interpreter], refused: dict[Interpreter, str]
) -> UsageError:
    reasons = "; ".join(dict.fromkeys(refused.values()))
    return UsageError(
        f"no Python of this base can build {project.name}: {reasons or 'there is none'}",
        f"There are: {_names(there)}. Widen requires-python, or use another base.",
    )


def _warnings(bindings: Bindings, wheels: list[Wheel]) -> Iterable[str]:
    for wheel in wheels:
        if bindings.pyo3 is not None and untested(bindings.pyo3, wheel.interpreter):
            yield (
                f"PyO3 {bindings.pyo3} does not claim to support Python"
                f" {wheel.interpreter.version}: do not distribute its wheel"
            )
