"""The command line as users meet it: help, usage errors, statuses, completion, pipes."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
from typer.testing import CliRunner

import farm
from farm.cli import main
from farm.engine.images import Image
from farm.model.plan import Command, Plan
from farm.model.targets import Arch, Interpreter
from farm.report.json import dump
from farm.report.text import images_text, plan_text

COMMANDS = (
    *("", "build", "plan", "doctor", "test", "runs", "logs", "report", "verify"),
    *("images", "images build", "images list", "images prune"),
)
Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def run() -> Run:
    """Return a function that runs `farm` as a process of its own."""

    def call(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "farm", *arguments],
            env=os.environ | {"COLUMNS": "80"} | environment,
            capture_output=True,
            text=True,
            check=False,
        )

    return call


@pytest.mark.parametrize("command", COMMANDS)
def test_help_fits_80_columns_and_shows_no_markup(command: str) -> None:
    result = CliRunner().invoke(
        main.app, [*command.split(), "--help"], terminal_width=80, catch_exceptions=False
    )
    assert result.exit_code == 0
    assert max(map(len, result.output.splitlines())) <= 80
    assert "..." not in re.sub(r"\[ARGS\]\.\.\.|\{WHEEL\}\.\.\.", "", result.output)
    assert "[bold]" not in result.output
    assert "\b" not in result.output


@pytest.mark.parametrize("command", [c for c in COMMANDS if c not in {"", "images"}])
def test_help_of_each_command_has_examples(command: str) -> None:
    result = CliRunner().invoke(main.app, [*command.split(), "--help"])
    assert re.search(rf"\n  Examples?:\n    farm {command}", result.output)


def test_farm_alone_shows_the_help(run: Run) -> None:
    ended = run()
    assert "Commands:" in ended.stdout + ended.stderr


def test_version(run: Run) -> None:
    ended = run("--version")
    assert (ended.returncode, ended.stdout) == (0, f"farm {farm.__version__}\n")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["bild"], "Did you mean 'build'?"),
        (["build", "--frob"], "--frob"),
        (["build", "/nowhere"], "/nowhere does not exist"),
        (["plan", "{tiny}", "--arch", "x86_65"], "did you mean 'x86_64'?"),
        (["plan", "{tiny}", "--py", "2.7"], "'2.7' is no Python"),
        (["plan", "{tiny}", "--mode", "hybird"], "did you mean 'hybrid'?"),
        (["test", "/nowhere.whl"], "/nowhere.whl"),
        (["doctor", "--fix", "--undo"], "exclude each other"),
    ],
)
def test_wrong_arguments_are_status_2_with_what_to_do(
    run: Run, arguments: list[str], said: str
) -> None:
    tiny = str(Path(__file__).parents[1] / "projects" / "tiny")
    ended = run(*(word.replace("{tiny}", tiny) for word in arguments))
    assert ended.returncode == 2
    assert said in ended.stderr
    assert ended.stdout == ""
    assert "Traceback" not in ended.stderr


def test_an_error_of_a_command_is_told_and_is_the_status(run: Run) -> None:
    ended = run("images", "list", DOCKER_HOST="unix:///nowhere/docker.sock")
    assert ended.returncode == 3
    assert ended.stderr.startswith("error: no Docker engine is running here: there is no /nowhere")
    assert ended.stdout == ""


TERMINATED = "import os, signal, time; os.kill(os.getpid(), signal.SIGTERM)"


@pytest.mark.parametrize(
    "code",
    [
        pytest.param(
            f"class Named:\n    def __set_name__(self, *_):\n        {TERMINATED}\n"
            "class Made:\n    name = Named()\n"
            "def connect():\n    import time; time.sleep(60)\n",
            id="in an import, while a class is made",
        ),
        pytest.param(
            f"def connect():\n    exec({TERMINATED!r})\n",
            id="in code made from text",
        ),
        pytest.param(
            f"class Freed:\n    def __del__(self):\n        {TERMINATED}\n"
            "def connect():\n    Freed(); import time; time.sleep(60)\n",
            id="where exceptions are dropped",
        ),
        pytest.param(
            f"import sys\nclass Last:\n    def flush(self):\n        {TERMINATED}\n"
            "def connect():\n    sys.stdout = Last(); sys.exit(130)\n",
            id="when all is done",
        ),
    ],
)
def test_a_signal_at_any_moment_ends_the_farm_with_its_own_status(
    run: Run, tmp_path: Path, code: str
) -> None:
    """Code of a test's own in the place of the module by which the engine is reached."""
    (tmp_path / "instead.py").write_text(f"{code}def __getattr__(name):\n    return None\n")
    (tmp_path / "sitecustomize.py").write_text(
        "import sys\n"
        "from importlib.util import spec_from_file_location\n"
        "class Found:\n"
        "    def find_spec(self, name, path, target=None):\n"
        "        if name == 'farm.engine.connection':\n"
        f"            return spec_from_file_location(name, {str(tmp_path / 'instead.py')!r})\n"
        "sys.meta_path.insert(0, Found())\n"
    )
    ended = run("images", "list", PYTHONPATH=str(tmp_path))
    assert ended.returncode == 130
    assert ended.stderr in {"interrupted\n", ""}


def test_results_that_can_not_be_printed_are_an_error() -> None:
    ended = subprocess.run(
        ["sh", "-c", '"$1" -m farm --version > /dev/full', "sh", sys.executable],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 3
    assert ended.stderr == (
        "error: the results could not be printed: No space left on device\n"
        "  Make room where standard output goes, or send it elsewhere.\n"
    )


def test_a_reader_that_goes_away_gets_no_traceback(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(
        "import farm.engine.connection, farm.engine.images, contextlib\n"
        "from farm.engine.images import Image\n"
        "image = Image(name='x' * 999, reference='x', id='', labels={}, interpreters=(),"
        " versions={})\n"
        "farm.engine.connection.connect = lambda: contextlib.nullcontext(None)\n"
        "farm.engine.images.existing = lambda engine: (image,) * 9999\n"
    )
    code = f'"{sys.executable}" -m farm images list --json | head -1'
    ended = subprocess.run(
        ["sh", "-c", code],
        env=os.environ | {"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.stdout == "[\n"
    assert ended.stderr == ""


@pytest.mark.parametrize("arguments", [["--help"], ["build", "--help"], ["--version"]])
def test_help_loads_nothing_heavy(arguments: list[str]) -> None:
    code = (
        "import sys\nfrom farm.cli.main import app\n"
        f"try:\n    app({arguments!r})\nexcept SystemExit:\n    pass\n"
        "heavy = {'docker', 'auditwheel', 'python_on_whales', 'farm.engine.images', 'rich.live'}\n"
        "print(sorted(heavy & set(sys.modules)), file=sys.stderr)"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ended.stderr == "[]\n"


def test_a_run_that_builds_nothing_loads_nothing_that_only_builds_need() -> None:
    code = (
        "import sys\nimport farm.cli.main, farm.engine.connection, farm.report.summary\n"
        "import farm.runs.planner, farm.runs.run\n"
        "heavy = {'auditwheel', 'filelock', 'installer', 'psutil', 'python_on_whales'}\n"
        "heavy |= {'farm.engine.containers', 'farm.engine.making', 'farm.runs.building'}\n"
        "print(sorted(heavy & set(sys.modules)), file=sys.stderr)"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ended.stderr == "[]\n"


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        ("farm b", {"build"}),
        ("farm build --arch ", {"x86_64", "aarch64", "native", "all"}),
        ("farm plan --arch aa", {"aarch64"}),
        ("farm build --mode ", {"hybrid", "emulated"}),
        ("farm test --py 3.1", {"3.11", "3.13", "3.14", "3.15"}),
    ],
)
def test_the_shell_completes_values(run: Run, words: str, offered: set[str]) -> None:
    ended = run(_FARM_COMPLETE="complete_bash", COMP_WORDS=words, COMP_CWORD=str(words.count(" ")))
    assert set(ended.stdout.split()) == offered


def test_completion_can_be_installed(tmp_path: Path) -> None:
    """From a shell, as a user does: which one it is, is seen from the processes above."""
    ended = subprocess.run(
        ["bash", "-c", '"$0" -m farm --install-completion; exit $?', sys.executable],
        env=os.environ | {"HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout
    assert ".bash_completions/farm.sh" in (tmp_path / ".bashrc").read_text()


# Results on stdout


def plan() -> Plan:
    command = Command(
        image="builder-x86_64",
        arch=Arch.X86_64,
        argv=("cargo", "fetch", "a b"),
        cwd="/work",
        environment={"A": "1"},
        network=True,
    )
    return Plan(
        project="tiny",
        version="0.1",
        engine_arch=Arch.X86_64,
        fetch=(command,),
        jobs=(),
        left_out=("3.8 is left out",),
    )


def test_a_plans_json_has_its_fields() -> None:
    made = json.loads(dump(plan()))
    assert made["engine_arch"] == "x86_64"
    assert made["fetch"][0]["argv"] == ["cargo", "fetch", "a b"]
    assert made["fetch"][0]["environment"] == {"A": "1"}


def test_json_writes_an_interpreter_as_people_do() -> None:
    assert json.loads(dump((Interpreter(minor=9), Interpreter(minor=14, threaded=True)))) == [
        "3.9",
        "3.14t",
    ]


def test_a_plans_commands_can_be_pasted() -> None:
    text = plan_text(plan())
    assert text.startswith("tiny 0.1: 0 jobs\n")
    assert "    cargo fetch 'a b'  # on a network" in text
    assert text.endswith("3.8 is left out")


def images() -> Iterable[Image]:
    yield Image(
        name="builder-x86_64",
        reference="farm/builder-x86_64:0123456789abcdef",
        id="sha256:00",
        labels={},
        interpreters=(Interpreter(minor=9),),
        versions={"cp39-cp39": "3.9.2-1+deb11u7", "uv": "0.13", "rustc": "1.96.1"},
        size=1_500_000_000,
    )
    yield Image(
        name="seed", reference="", id="sha256:feed", labels={}, interpreters=(), versions={}
    )


def test_images_are_a_line_each_with_their_size_and_what_is_inside() -> None:
    heading, builder, seed = images_text(images()).splitlines()
    assert heading.split() == ["IMAGE", "SIZE", "MADE", "INSIDE"]
    assert builder.startswith("farm/builder-x86_64:0123456789abcdef  1.5 GB  ")
    assert builder.endswith("  Python 3.9.2, rustc 1.96.1")
    assert seed.startswith("seed (no tag) feed ")
