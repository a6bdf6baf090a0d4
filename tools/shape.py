"""Tells the shape of the code in figures: what a reader has to hold in mind.

    .venv/bin/python tools/shape.py [PROJECT]

PROJECT is a directory that `farm build --force --arch native` can build. It is built to see which
modules lie between the command and the container that compiles it.
"""

from __future__ import annotations

import ast
import sys
import threading
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import suppress
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from statistics import quantiles
from types import FrameType

import grimp
from typer.main import get_command

from farm.cli.main import app
from farm.engine.containers import Container

FARM = Path(__file__).resolve().parent.parent / "farm"
COMMAND = "farm.cli.build"


def main() -> None:
    trees = {path: ast.parse(path.read_text(encoding="utf-8")) for path in FARM.rglob("*.py")}
    lengths = sorted(_functions(trees))
    graph = grimp.build_graph("farm", exclude_type_checking_imports=True)
    closure = graph.find_upstream_modules(COMMAND)
    print(f"modules: {len(graph.modules)}, in the imports of {COMMAND}: {len(closure) + 1}")
    print(f"import circle: {' > '.join(_circle(graph)) or 'none'}")
    longest, name = lengths[-1]
    p90 = quantiles([length for length, _ in lengths], n=10)[-1]
    print(
        f"functions: {len(lengths)}, longest {longest} lines ({name}), nine of ten under {p90:.0f}"
    )
    print(f"imports inside functions: {sum(map(_inner_imports, trees.values()))}")
    twice = {name: places for name, places in _public(trees).items() if len(places) > 1}
    print(f"public names that stand in two modules or more: {len(twice)}")
    for name, places in sorted(twice.items()):
        print(f"  {name}: {', '.join(sorted(places))}")
    lines: Counter[str] = Counter()
    for path in trees:
        package = path.relative_to(FARM).parts[0] if path.parent != FARM else "farm"
        lines[package] += len(path.read_text(encoding="utf-8").splitlines())
    print(f"lines: {lines.total()}: {', '.join(f'{k} {v}' for k, v in lines.most_common())}")
    for project in sys.argv[1:]:
        chain = _hot_chain(project)
        print(f"modules between the command and its container: {len(chain)}: {' > '.join(chain)}")


def _functions(trees: dict[Path, ast.Module]) -> Iterator[tuple[int, str]]:
    for path, tree in trees.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef):
                lines = (node.end_lineno or node.lineno) - node.lineno + 1
                yield lines, f"{path.relative_to(FARM.parent)}: {node.name}"


def _circle(graph: grimp.ImportGraph) -> list[str]:
    """Return the modules of one import circle, the first at the end again, or nothing."""
    imports = {name: graph.find_modules_directly_imported_by(name) for name in graph.modules}
    try:
        TopologicalSorter(imports).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def _inner_imports(tree: ast.Module) -> int:
    inner = {
        node
        for function in ast.walk(tree)
        if isinstance(function, ast.FunctionDef)
        for node in ast.walk(function)
        if isinstance(node, ast.Import | ast.ImportFrom)
    }
    return len(inner)


def _public(trees: dict[Path, ast.Module]) -> dict[str, set[str]]:
    found: dict[str, set[str]] = defaultdict(set)
    for path, tree in trees.items():
        for node in tree.body:
            if isinstance(node, ast.ClassDef | ast.FunctionDef) and not node.name.startswith("_"):
                found[node.name].add(".".join(path.relative_to(FARM).with_suffix("").parts))
    return found


def _hot_chain(project: str) -> list[str]:
    """Build `project`; return the farm's modules on the way to a container's command.

    Those of the thread that runs it, and of the main thread, which waits for it.
    """
    longest: list[str] = []
    main_thread = threading.main_thread().ident

    def look(frame: FrameType, event: str, _argument: object) -> None:
        nonlocal longest
        if event == "call" and frame.f_code is Container.execute.__code__:
            above = [*_stack(sys._current_frames().get(main_thread or 0)), *_stack(frame)]  # noqa: SLF001
            chain = list(dict.fromkeys(name for name in above if name.startswith("farm")))
            longest = max(longest, chain, key=len)

    threading.setprofile(look)
    sys.setprofile(look)
    try:
        with suppress(SystemExit):
            get_command(app)(["build", project, "--force", "--arch", "native", "--no-smoke"])
    finally:
        sys.setprofile(None)
        threading.setprofile(None)
    return longest


def _stack(frame: FrameType | None) -> list[str]:
    """Return the names of the modules from the outermost frame to this one."""
    names = []
    while frame is not None:
        names.append(str(frame.f_globals.get("__name__", "")))
        frame = frame.f_back
    return names[::-1]


if __name__ == "__main__":
    main()
