"""Runs inside a check's virtual environment: imports what a wheel ships, and says how it went.

Sent into the container as one file and started by the environment's own interpreter, so it
keeps to the standard library, to Python 3.9's syntax, and to one start of the interpreter:

    python check.py REQUEST.json        (or the request on standard input)

The request is `farm.wheels.check.request`'s; the answer is one JSON object, the last line of
standard output, which `farm.wheels.check.answer` reads. What the imports print goes to standard
error. Exit status 0 if all is well, 1 if anything is not; a module that takes the process down
with it leaves no answer, and its name as the last `importing` line of standard error.
"""

from __future__ import annotations

import faulthandler
import importlib
import importlib.machinery
import json
import os
import sys
import time
import traceback
from pathlib import Path

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

MAX_TRACEBACK = 20_000
"""Characters that are handed back of one traceback: its end."""
MAX_TRACEBACKS = 10
"""So many are handed back: the answer is read as one line, which is bounded."""
MAX_ERROR = 2_000
"""Characters that are handed back of one exception's own words."""


def main() -> int:
    """Check what the request asks for; return the exit status."""
    started = time.perf_counter()
    with os.fdopen(os.dup(1), "w", encoding="utf-8") as answer:
        os.dup2(2, 1)  # imports may print; the answer must stay the last line
        faulthandler.enable(2)
        try:
            found = check(_request())
        except BaseException as error:  # noqa: BLE001  (an import may break anything, and say so)
            found = {"ok": False, **_failure(error)}
        found["elapsed"] = round(time.perf_counter() - started, 3)
        answer.write("\n" + json.dumps(found) + "\n")  # some print half a line
    return 0 if found["ok"] else 1


def check(request: dict[str, Any]) -> dict[str, Any]:
    """Return what came of every module, script and the version that `request` names."""
    own = Path(__file__).resolve().parent
    path = [p for p in sys.path if p and Path(p).resolve() != own]
    modules = []
    for name in request["modules"]:
        sys.path[:] = path  # whatever the one before made of it
        modules.append(check_module(name))
    sys.path[:] = path
    scripts = [check_script(name) for name in request["scripts"]]
    version = check_version(request["name"], request["version"], request["home"])
    for failed in [m for m in modules if not m["ok"]][MAX_TRACEBACKS:]:
        failed["traceback"] = ""
    return {
        "ok": all(part["ok"] for part in (*modules, *scripts, version)),
        "modules": modules,
        "scripts": scripts,
        "version": version,
        "python": sys.version.split()[0],
        "machine": os.uname().machine,
        "libc": _libc(),
        "prefix": sys.prefix,
    }


def check_module(name: str) -> dict[str, Any]:
    """Import the module `name` and say whether it is the virtual environment's."""
    started = time.perf_counter()
    os.write(2, f"importing {name}\n".encode())
    outcome: dict[str, Any] = {"name": name, "ok": False}
    try:
        module = importlib.import_module(name)
        places = _places(name, module)
    except BaseException as error:  # noqa: BLE001  (SystemExit and the like are failures too)
        outcome.update(_failure(error))
    else:
        outcome["origin"] = places[0] if places else ""
        outcome["ok"] = any(_is_inside(place) for place in places)
        if not outcome["ok"]:
            come = " and ".join(places) or "nowhere"
            outcome["error"] = f"it came from {come}, not from {sys.prefix}"
    outcome["elapsed"] = round(time.perf_counter() - started, 3)
    return outcome


def check_script(name: str) -> dict[str, Any]:
    """Say whether the installation made an executable `name` in the environment's `bin`."""
    path = Path(sys.prefix, "bin", name)
    if path.is_file() and os.access(path, os.X_OK):
        return {"name": name, "ok": True}
    return {"name": name, "ok": False, "error": f"there is no program {path}"}


def check_version(name: str, expected: str, home: str) -> dict[str, Any]:
    """Say whether METADATA in `home`, where an installer leaves it, tells the version `expected`.

    `importlib.metadata` tells it too, but to import it takes as long as all else here, emulated.
    """
    try:
        path = next(p for p in (Path(d, home, "METADATA") for d in sys.path) if p.is_file())
        headers = path.read_text(encoding="utf-8").partition("\n\n")[0].splitlines()
        found = next(
            h.partition(":")[2].strip() for h in headers if h.lower().startswith("version:")
        )
    except StopIteration:
        return {"name": name, "ok": False, "error": f"no version of it is installed in {home}"}
    except (OSError, ValueError) as error:
        return {"name": name, "ok": False, **_failure(error)}
    if found != expected:
        text = f"version {found} is installed, not {expected}"
        return {"name": name, "ok": False, "error": text}
    return {"name": name, "ok": True}


def _places(name: str, module: Any) -> list[str]:
    """Return the file that the module was loaded from; of a namespace package its directories.

    A module may have put another object in its own place, one without `__file__`.
    """
    file = getattr(module, "__file__", None)
    if isinstance(file, str):
        return [file]
    parent, _, _ = name.rpartition(".")
    path = getattr(sys.modules.get(parent), "__path__", None) if parent else None
    spec = importlib.machinery.PathFinder.find_spec(name, path)
    if spec is None:
        return []
    if spec.has_location and spec.origin:
        return [spec.origin]
    return list(spec.submodule_search_locations or ())


def _is_inside(place: str) -> bool:
    """Say whether `place` is in this virtual environment; outside of any, nothing is."""
    if sys.prefix == sys.base_prefix:
        return False
    path = Path(place).absolute()
    return path.is_relative_to(sys.prefix) or path.resolve().is_relative_to(sys.prefix)


def _failure(error: BaseException) -> dict[str, str]:
    try:
        lines = traceback.format_exception(type(error), error, error.__traceback__)
        last = traceback.format_exception_only(type(error), error)[-1].strip()
    except BaseException:  # noqa: BLE001  (an exception whose own __str__ raises)
        lines, last = [], type(error).__name__
    return {"error": last[:MAX_ERROR], "traceback": "".join(lines)[-MAX_TRACEBACK:]}


def _libc() -> str:
    try:
        return os.confstr("CS_GNU_LIBC_VERSION") or ""
    except (OSError, ValueError):
        return ""  # musl


def _request() -> dict[str, Any]:
    if len(sys.argv) > 1:
        return dict(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")))
    return dict(json.load(sys.stdin))


if __name__ == "__main__":
    sys.exit(main())
