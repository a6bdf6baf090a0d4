"""Runs beside a check: compiles the modules that were installed for it, and runs none of them.

Sent into a container of the engine's own architecture as one file, and started by the interpreter
of the version that the check is for, so that the check need not compile under emulation:

    python -I compile.py SITE-PACKAGES [DISTRIBUTION...]

The wheel under test, what its extras name and the DISTRIBUTIONs, which the check asks for, are
compiled whole. Of what came with those only the modules are that they name, or that a module so
named does: that spares nearly all of the 343 modules of pygments, which pytest requires.

Bytecode is the same on every architecture; each file begins with the number of its format, and an
interpreter of another format ignores it. What is not compiled here is compiled when it is imported,
and fails there if it must: so what brings an error or a warning is left, and what there is is never
replaced. Keeps to the standard library and to Python 3.9's syntax.
"""

from __future__ import annotations

import importlib.util
import marshal
import os
import py_compile
import re
import resource
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from types import CodeType

CPU_SECONDS = 300
"""After so many the process is ended: what it has to compile is not to be trusted."""
_HEADER = 16
"""Bytes of a file of bytecode before the code (PEP 552)."""
_OF_AN_EXTRA = re.compile(r"^Requires-Dist: *([\w.-]+).*;.*\bextra *==", re.MULTILINE)


def main() -> int:
    """Compile what will be imported, as far as can be told; say how much was done."""
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS))
    warnings.simplefilter("error")
    top = Path(sys.argv[1])
    modules = dict(_modules(top))
    waiting = sorted(set(_asked_for(top, sys.argv[2:])) & set(modules))
    reached = set(waiting)
    done = 0
    while waiting:
        name = waiting.pop()
        code = _compile(modules[name])
        if code is None:
            continue
        done += 1
        package = name if modules[name].name == "__init__.py" else name.rpartition(".")[0]
        more = set(_named(code, package, modules)) - reached
        reached |= more
        waiting += more
    sys.stdout.write(f"compiled {done} of {len(modules)} modules\n")
    return 0


def _modules(top: Path) -> Iterator[tuple[str, Path]]:
    """Yield each module below `top` by the name that it is imported by."""
    for directory, _, files in os.walk(top):  # follows no link
        for file in files:
            if file.endswith(".py"):
                path = Path(directory, file)
                yield _name(path.relative_to(top)), path


def _name(path: Path) -> str:
    parts = path.with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _asked_for(top: Path, distributions: list[str]) -> Iterator[str]:
    """Yield the modules of `distributions`, of the wheel under test and of what its extras name.

    The wheel is what was installed from a file (PEP 610).
    """
    homes = {_normalized(home.stem.partition("-")[0]): home for home in top.glob("*.dist-info")}
    asked = {_normalized(name) for name in distributions}
    for name, home in homes.items():
        if (home / "direct_url.json").exists():
            named = _OF_AN_EXTRA.findall((home / "METADATA").read_text(encoding="utf-8"))
            asked |= {name, *map(_normalized, named)}
    for name in asked & homes.keys():
        for line in (homes[name] / "RECORD").read_text(encoding="utf-8").splitlines():
            path = Path(line.partition(",")[0])
            if path.suffix == ".py" and ".." not in path.parts:
                yield _name(path)


def _normalized(name: str) -> str:
    """Return a distribution's name as PEP 503 compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _named(code: CodeType, package: str, modules: dict[str, Path]) -> Iterator[str]:
    """Yield each of `modules` that `code`, of `package`, may import, and what that brings.

    An import statement leaves its names in the code; so does every other use of a name. To take
    one for the other costs a module that is compiled in vain.
    """
    bases = ["", *(f"{above}." for above in _with_parents(package))]
    found = {base + name for base in bases for name in code.co_names} & modules.keys()
    found |= {f"{one}.{name}" for one in found for name in code.co_names} & modules.keys()
    yield from {above for name in found for above in _with_parents(name)} & modules.keys()
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _named(constant, package, modules)


def _with_parents(name: str) -> list[str]:
    """Return a module's name after those of the packages that it is in."""
    parts = name.split(".")
    return [".".join(parts[:end]) for end in range(1, len(parts) + 1)]


def _compile(source: Path) -> CodeType | None:
    """Compile one module, unless its bytecode is there; return its code if that was done."""
    compiled = importlib.util.cache_from_source(str(source))
    if source.is_symlink() or os.path.lexists(compiled):
        return None
    mode = py_compile.PycInvalidationMode.TIMESTAMP
    try:
        py_compile.compile(str(source), compiled, doraise=True, invalidation_mode=mode)
    except Exception:  # noqa: BLE001  (what a source may bring about: the check itself tells)
        return None
    code = marshal.loads(Path(compiled).read_bytes()[_HEADER:])  # noqa: S302 - written just now
    return code if isinstance(code, CodeType) else None


if __name__ == "__main__":
    sys.exit(main())
