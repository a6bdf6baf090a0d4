"""Runs beside a check: compiles the modules that were installed for it, and runs none of them.

Sent into a container of the engine's own architecture as one file, and started by the interpreter
of the version that the check is for, so that the check need not compile under emulation:

    python -I compile.py DIRECTORY

Bytecode is the same on every architecture; each file begins with the number of its format, and an
interpreter of another format ignores it. What is not compiled here is compiled when it is imported,
and fails there if it must: so what brings an error or a warning is left, and what there is is never
replaced. Keeps to the standard library and to Python 3.9's syntax.
"""

from __future__ import annotations

import importlib.util
import os
import py_compile
import resource
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path

CPU_SECONDS = 300
"""After so many the process is ended: what it has to compile is not to be trusted."""


def main() -> int:
    """Compile what lies in the directory; say how much was done."""
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS))
    warnings.simplefilter("error")
    sources = list(_sources(sys.argv[1]))
    done = sum(_compile(source) for source in sources)
    sys.stdout.write(f"compiled {done} of {len(sources)} modules\n")
    return 0


def _sources(top: str) -> Iterator[Path]:
    for directory, _, names in os.walk(top):  # follows no link
        yield from (Path(directory, name) for name in names if name.endswith(".py"))


def _compile(source: Path) -> bool:
    """Compile one module, unless its bytecode is there; tell whether that was done."""
    compiled = importlib.util.cache_from_source(str(source))
    if source.is_symlink() or os.path.lexists(compiled):
        return False
    mode = py_compile.PycInvalidationMode.TIMESTAMP
    try:
        py_compile.compile(str(source), compiled, doraise=True, invalidation_mode=mode)
    except Exception:  # noqa: BLE001  (what a source may bring about: the check itself tells)
        return False
    return True


if __name__ == "__main__":
    sys.exit(main())
