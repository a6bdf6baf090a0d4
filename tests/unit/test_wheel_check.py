from __future__ import annotations

import ast
import json
import subprocess
import sys
import venv
from collections.abc import Mapping
from pathlib import Path

import pytest
from elf_factory import extension
from wheel_factory import WheelSpec, make_wheel

from farm.wheels.archive import read_wheel
from farm.wheels.check import Answer, answer, compile_program, program, request

BREAKS_STR = """
class Odd(Exception):
    def __str__(self):
        raise ValueError("no text")
raise Odd
"""


ASKED = {"name": "pkg", "version": "1.0", "home": "pkg-1.0.dist-info"}


class Environment:
    """A virtual environment whose packages are written by hand."""

    def __init__(self, directory: Path) -> None:
        self.prefix = directory / "venv"
        venv.create(self.prefix, with_pip=False, symlinks=True)
        self.python = self.prefix / "bin" / "python"
        self.site = next(self.prefix.glob("lib/python*/site-packages"))
        self.program = directory / "sent" / "check.py"
        self.program.parent.mkdir()
        self.program.write_bytes(program())

    def install(
        self,
        files: Mapping[str, str],
        *,
        home: str = "pkg-1.0.dist-info",
        version: str = "1.0",
        more: Mapping[str, str] | None = None,
    ) -> None:
        told = {"METADATA": f"Metadata-Version: 2.1\nName: pkg\nVersion: {version}\n"}
        told |= {"RECORD": "".join(f"{name},,\n" for name in files), **(more or {})}
        for name, text in {**files, **{f"{home}/{at}": text for at, text in told.items()}}.items():
            path = self.site / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)

    def check(
        self, *modules: str, scripts: tuple[str, ...] = (), python: Path | None = None
    ) -> tuple[int, Answer, str]:
        asked = ASKED | {"modules": modules, "scripts": scripts}
        ended = subprocess.run(
            [python or self.python, self.program],
            input=json.dumps(asked),
            capture_output=True,
            text=True,
            check=False,
        )
        found = answer(ended.stdout.splitlines())
        assert found is not None, ended.stderr
        assert found.ok == (ended.returncode == 0)
        return ended.returncode, found, ended.stderr


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Environment:
    environment = Environment(tmp_path_factory.mktemp("check"))
    environment.install(
        {
            "pkg/__init__.py": "",
            "pkg/_ext.py": "",
            "ns/inner/__init__.py": "",
            "chatty.py": "import os; print('{\"ok\": true}'); os.write(1, b'half a line')",
            "exits.py": "import sys; sys.exit(0)",
            "interrupted.py": "raise KeyboardInterrupt",
            "fails.py": "def f():\n    raise OSError('no such luck')\nf()",
            "odd.py": BREAKS_STR,
            "replaced.py": "import sys; sys.modules[__name__] = object()",
            "rude.py": "import sys; sys.stdout = sys.stderr = None; sys.path.clear()",
            "recursive.py": "def f():\n    f()\nf()",
            "dies.py": "import os; os._exit(3)",
        }
    )
    (environment.program.parent / "beside.py").write_text("")
    return environment


def test_all_is_well(shared: Environment) -> None:
    tool = shared.prefix / "bin" / "tool"
    tool.write_text("#!/bin/sh\n")
    tool.chmod(0o755)
    code, found, chatter = shared.check("pkg", "pkg._ext", "ns", "ns.inner", scripts=("tool",))
    assert (code, found.ok, found.reason) == (0, True, "")
    assert [m.name for m in found.modules] == ["pkg", "pkg._ext", "ns", "ns.inner"]
    assert found.modules[0].origin == str(shared.site / "pkg" / "__init__.py")
    assert found.python == sys.version.split()[0]
    assert found.prefix == str(shared.prefix)
    assert found.machine
    assert found.elapsed > 0
    assert "importing pkg._ext\n" in chatter


@pytest.mark.parametrize("name", ["exits", "interrupted", "fails", "odd", "recursive", "absent"])
def test_an_import_that_fails_in_any_way_is_an_answer(shared: Environment, name: str) -> None:
    code, found, _ = shared.check(name, "pkg")
    assert code == 1
    assert [m.ok for m in found.modules] == [False, True]
    assert found.modules[0].error


def test_a_failure_comes_with_its_traceback(shared: Environment) -> None:
    _, found, _ = shared.check("fails")
    assert found.reason == "fails: OSError: no such luck"
    assert "fails.py" in found.modules[0].traceback
    assert found.failures == found.modules


@pytest.mark.parametrize("name", ["chatty", "rude", "replaced"])
def test_ill_mannered_modules_do_not_spoil_the_answer(shared: Environment, name: str) -> None:
    code, found, _ = shared.check("pkg", name)
    assert (code, found.reason) == (0, "")
    assert found.prefix == str(shared.prefix)


def test_a_module_that_ends_the_process_is_named_in_what_it_left(shared: Environment) -> None:
    asked = ASKED | {"modules": ["pkg", "dies"], "scripts": []}
    ended = subprocess.run(
        [shared.python, shared.program],
        input=json.dumps(asked),
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 3
    assert answer(ended.stdout.splitlines()) is None
    assert ended.stderr.splitlines()[-1] == "importing dies"


@pytest.mark.parametrize("line", ['{"ok": true}', '{"ok": true, "elapsed": 1, "level": "info"}'])
def test_json_of_others_is_no_answer(line: str) -> None:
    assert answer([line]) is None


def test_a_module_from_elsewhere_does_not_count(shared: Environment) -> None:
    _, found, _ = shared.check("json")
    assert not found.ok
    assert "json: it came from " in found.reason
    assert f"not from {shared.prefix}" in found.reason


def test_what_lies_beside_the_program_is_not_imported(shared: Environment) -> None:
    _, found, _ = shared.check("beside")
    assert "No module named 'beside'" in found.reason


def test_built_in_modules_come_from_nowhere(shared: Environment) -> None:
    _, found, _ = shared.check("sys")
    assert "it came from nowhere" in found.reason


def test_outside_a_virtual_environment_nothing_counts(shared: Environment) -> None:
    _, found, _ = shared.check("json", python=Path(sys.base_prefix, "bin", "python3"))
    assert not found.ok


def test_a_missing_program_is_named(shared: Environment) -> None:
    _, found, _ = shared.check("pkg", scripts=("nowhere",))
    assert found.reason == f"nowhere: there is no program {shared.prefix}/bin/nowhere"


def test_another_version_is_a_failure(tmp_path: Path) -> None:
    environment = Environment(tmp_path)
    environment.install({"pkg/__init__.py": ""}, version="0.9")
    _, found, _ = environment.check("pkg")
    assert found.reason == "pkg: version 0.9 is installed, not 1.0"


def test_a_missing_distribution_is_a_failure(tmp_path: Path) -> None:
    _, found, _ = Environment(tmp_path).check()
    assert found.reason == "pkg: no version of it is installed in pkg-1.0.dist-info"


def test_a_broken_request_is_an_answer_too(shared: Environment) -> None:
    ended = subprocess.run(
        [shared.python, shared.program, "/no/such/request"],
        capture_output=True,
        text=True,
        check=False,
    )
    found = answer(ended.stdout.splitlines())
    assert ended.returncode == 1
    assert found is not None
    assert "FileNotFoundError" in found.reason


def test_the_request_may_be_a_file(shared: Environment, tmp_path: Path) -> None:
    path = tmp_path / "request.json"
    path.write_text(json.dumps(ASKED | {"modules": ["pkg"], "scripts": []}))
    ended = subprocess.run(
        [shared.python, shared.program, path], capture_output=True, text=True, check=True
    )
    found = answer([*ended.stdout.splitlines(), "{another process's line", "the end"])
    assert found is not None
    assert found.ok


def test_a_wheels_request_names_everything_once(tmp_path: Path) -> None:
    spec = WheelSpec(
        files={
            "pkg/__init__.py": b"",
            "pkg/_x.abi3.so": extension("_x"),
            "top.abi3.so": extension("top"),
            "pkg-1.0.data/scripts/tool": b"#!python\n",
        },
        entry_points="[console_scripts]\nrun = pkg:main\n",
    )
    assert json.loads(request(read_wheel(make_wheel(tmp_path, spec)))) == {
        "name": "pkg",
        "version": "1.0",
        "home": "pkg-1.0.dist-info",
        "modules": ["pkg", "top", "pkg._x"],
        "scripts": ["run", "tool"],
    }


def test_the_program_is_python_3_9_and_needs_nothing_installed() -> None:
    tree = ast.parse(program(), feature_version=(3, 9))
    imported = {
        name.split(".")[0]
        for node in ast.walk(tree)
        for name in (
            [a.name for a in node.names]
            if isinstance(node, ast.Import)
            else [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else []
        )
    }
    assert imported <= {*sys.stdlib_module_names, "__future__"}


def compiled(environment: Environment, *asked: str) -> str:
    program = environment.program.with_name("compile.py")
    program.write_bytes(compile_program())
    words = (environment.python, "-I", program, environment.site, *asked)
    return subprocess.run(words, capture_output=True, text=True, check=True).stdout


def files(environment: Environment) -> dict[str, bytes]:
    there = (path for path in environment.site.rglob("*") if path.is_file())
    return {path.relative_to(environment.site).as_posix(): path.read_bytes() for path in there}


def loaded(environment: Environment) -> str:
    words = (environment.python, "-v", "-B", "-c", "import pkg.part")
    return subprocess.run(words, capture_output=True, text=True, check=True).stderr


def test_compiling_adds_bytecode_that_imports_use_and_changes_nothing_else(
    tmp_path: Path,
) -> None:
    environment = Environment(tmp_path)
    environment.install({"pkg/__init__.py": "", "pkg/part.py": "value = 1\n"})
    before = files(environment)
    assert compiled(environment, "pkg") == "compiled 2 of 2 modules\n"
    after = files(environment)
    assert before.items() <= after.items()
    tag = sys.implementation.cache_tag
    added = {f"pkg/__pycache__/{name}.{tag}.pyc" for name in ("__init__", "part")}
    assert after.keys() - before.keys() == added
    assert f"part.{tag}.pyc matches" in loaded(environment)


def test_compiling_runs_nothing_and_leaves_what_is_wrong_to_the_check(
    tmp_path: Path,
) -> None:
    environment = Environment(tmp_path)
    parts = {
        "pkg/__init__.py": "",
        "pkg/broken.py": "def\n",
        "pkg/nul.py": "\0",
        "pkg/warns.py": "'\\d'\n",
        "pkg/raises.py": "open(__file__ + '.ran', 'w')\n1 / 0\n",
    }
    environment.install(parts)
    assert compiled(environment, "pkg") == "compiled 2 of 5 modules\n"
    assert not any(name.endswith(".ran") for name in files(environment))
    assert not any(name.startswith("pkg/__pycache__/warns") for name in files(environment))
    status, found, _ = environment.check("pkg", "pkg.broken", "pkg.raises")
    assert status == 1
    wrong = [outcome.error.partition(":")[0] for outcome in found.failures]
    assert wrong == ["SyntaxError", "ZeroDivisionError"]


def test_bytecode_of_the_wheel_stays_and_that_of_another_python_is_not_used(
    tmp_path: Path,
) -> None:
    environment = Environment(tmp_path)
    environment.install({"pkg/__init__.py": "", "pkg/part.py": "value = 1\n"})
    compiled(environment, "pkg")
    tag = sys.implementation.cache_tag
    path = environment.site / f"pkg/__pycache__/part.{tag}.pyc"
    path.write_bytes(b"\0\0\r\n" + path.read_bytes()[4:])
    of_another = path.read_bytes()
    assert compiled(environment, "pkg") == "compiled 0 of 2 modules\n"
    assert path.read_bytes() == of_another
    said = loaded(environment)
    assert f"part.{tag}.pyc matches" not in said
    assert "bad magic number in 'pkg.part'" in said


DEPENDENCY = {
    "dep/__init__.py": "",
    "dep/named.py": "from . import beside\n",
    "dep/beside.py": "def later():\n    import dep.sub.deep\n",
    "dep/sub/__init__.py": "",
    "dep/sub/deep.py": "",
    "dep/sub/unused.py": "",
    "dep/unused.py": "",
    "single.py": "",
}


@pytest.mark.parametrize(
    ("asked", "more"),
    [
        pytest.param("Some.Package", {}, id="asked for by name"),
        pytest.param("other", {"direct_url.json": "{}"}, id="installed from a file"),
        pytest.param("tested", {}, id="named by an extra of what was installed from a file"),
    ],
)
def test_of_what_came_as_a_dependency_only_what_is_named_is_compiled(
    tmp_path: Path, asked: str, more: Mapping[str, str]
) -> None:
    environment = Environment(tmp_path)
    environment.install(DEPENDENCY, home="dep-2.0.dist-info")
    if asked == "tested":
        extra = "Metadata-Version: 2.1\nRequires-Dist: some-Package>1 ; extra == 'test'\n"
        told = {"METADATA": extra, "direct_url.json": "{}"}
        environment.install({}, home="tested-1.0.dist-info", more=told)
    whole = {"pkg/__init__.py": "from dep.named import beside\n", "pkg/_dynamic.py": ""}
    environment.install(whole, home="some_package-1.0.dist-info", more=more)
    assert compiled(environment, asked) == "compiled 7 of 10 modules\n"
    tag = f".{sys.implementation.cache_tag}.pyc"
    done = {Path(name).name.removesuffix(tag) for name in files(environment) if tag in name}
    assert done == {"__init__", "_dynamic", "named", "beside", "deep"}
