"""What users see of a run: the live table, plain lines, GitHub's groups, the closing summary."""

from __future__ import annotations

import errno
import io
import re
import threading
from pathlib import Path

import pytest
from made_reports import report, result
from rich.console import Console
from rich.text import Text

from farm.model.errors import FarmError, SurroundingsError
from farm.model.events import Emit, ImageProgress, JobLine, JobPhase, Note, Phase, Warned
from farm.model.results import CheckResult, Status, WheelChecks, WheelFacts
from farm.report.console import Progress, make_console, say
from farm.report.excerpt import MAX_LINES, TAIL_LINES, Excerpt, coloured, plain
from farm.report.summary import show_checks, show_error, show_report
from farm.report.table import Row, render
from farm.report.words import clock, duration, plural, short, size

X86 = "cp313-manylinux_2_28_x86_64"
ARM = "cp39-abi3-manylinux_2_28_aarch64"
RUSTC = """\
   Compiling tiny v0.1.0 (/src)
error[E0425]: cannot find value `x` in this scope
 --> src/lib.rs:7:21
  |
7 |     PyLong_FromLong(x)
  |                     ^ not found in this scope

warning: unused import
For more information about this error, try `rustc --explain E0425`.
error: could not compile `tiny` (lib) due to 1 previous error
maturin failed
  Caused by: Failed to build a native library through cargo"""


@pytest.fixture(autouse=True)
def _not_on_github(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GITHUB_ACTIONS", raising=False)
    monkeypatch.delenv("NO_COLOR", raising=False)


class Screen:
    """A console whose output can be looked at."""

    def __init__(self, *, width: int = 80, height: int = 24, terminal: bool = False) -> None:
        self.file = io.StringIO()
        self.console = Console(
            file=self.file, width=width, height=height, force_terminal=terminal, highlight=False
        )

    @property
    def text(self) -> str:
        return self.file.getvalue()

    @property
    def lines(self) -> list[str]:
        return self.text.splitlines()


def fail(emit: Emit, output: str, *, phase: Phase = Phase.BUILD, reason: str = "it broke") -> None:
    emit(JobPhase(job=X86, phase=phase))
    emit(JobLine(job=X86, line="$ cd /src && maturin build"))
    for line in output.splitlines():
        emit(JobLine(job=X86, line=line))
    emit(JobLine(job=X86, line=f"{phase} failed: {reason}"))
    emit(JobPhase(job=X86, phase=Phase.FAILED, text=reason, log="/logs/x.log"))


def rows(*phases: Phase, text: str = "Compiling") -> list[tuple[str, Row]]:
    return [
        (f"cp3{i}-abi3-manylinux_2_28_aarch64", Row(phase=phase, text=text, since=0))
        for i, phase in enumerate(phases, start=10)
    ]


# Plain lines


def test_every_event_but_output_is_a_line_where_there_is_no_terminal() -> None:
    screen = Screen()
    with Progress(screen.console).shown((X86,)) as emit:
        emit(Note(text="auto chose debian"))
        emit(Warned(text="odd", job=X86))
        emit(JobPhase(job=X86, phase=Phase.BUILD))
        emit(JobLine(job=X86, line="   Compiling tiny"))
        emit(JobPhase(job=X86, phase=Phase.CHECK, text="3.13"))
        emit(JobPhase(job=X86, phase=Phase.BUILT, text="/dist/tiny.whl"))
    assert screen.lines == [
        "auto chose debian",
        f"warning: {X86}: odd",
        f"{X86}: build",
        f"{X86}: check 3.13",
        f"{X86}: built in 0 s: /dist/tiny.whl",
    ]


def test_a_wheel_that_was_found_made_is_told_with_its_run() -> None:
    screen = Screen()
    with Progress(screen.console).shown((X86,)) as emit:
        emit(JobPhase(job=X86, phase=Phase.CACHED, text="/dist/tiny.whl", run="r1"))
    assert screen.lines == [f"{X86}: cached from run r1: /dist/tiny.whl"]


def test_the_fetch_says_that_it_began_and_no_more() -> None:
    screen = Screen()
    with Progress(screen.console).shown((X86,)) as emit:
        emit(JobLine(job="fetch", line="$ cd /work && cargo fetch"))
        emit(JobLine(job="fetch", line="  Downloaded libc"))
    assert screen.lines == ["fetch: $ cd /work && cargo fetch"]


def test_an_image_does_not_flood_a_log() -> None:
    screen = Screen()
    with Progress(screen.console).shown() as emit:
        for number in range(50):
            emit(ImageProgress(image="seed", text=f"package {number}"))
        emit(ImageProgress(image="seed", text="ready", done=True))
    assert screen.lines == ["image seed: package 0", "image seed: ready"]


def test_an_image_that_could_not_be_made_is_red() -> None:
    console = Console(file=io.StringIO(), force_terminal=True, color_system="standard", width=80)
    with console.capture() as captured, Progress(console, live=False).shown() as emit:
        emit(ImageProgress(image="seed", text="could not be made", done=True, failed=True))
        emit(ImageProgress(image="toolchain", text="ready", done=True))
    bad, good = captured.get().splitlines()
    assert (bad, good) == (
        "\x1b[1;31mimage seed: could not be made\x1b[0m",
        "\x1b[32mimage toolchain: ready\x1b[0m",
    )


def test_an_image_is_told_whole_though_jobs_begin_meanwhile() -> None:
    screen = Screen()
    with Progress(screen.console).shown((X86,)) as emit:
        emit(ImageProgress(image="check-aarch64", text="starting"))
        emit(JobPhase(job=X86, phase=Phase.BUILD))
        emit(ImageProgress(image="check-aarch64", text="unpacking"))
        emit(ImageProgress(image="check-aarch64", text="ready", done=True))
    assert screen.lines == [
        "image check-aarch64: starting",
        f"{X86}: build",
        "image check-aarch64: ready",
    ]


def test_long_lines_are_left_whole_so_that_paths_can_be_copied() -> None:
    screen = Screen(width=40)
    with Progress(screen.console).shown() as emit:
        emit(Note(text="see " + "/long" * 40))
    assert screen.lines == ["see " + "/long" * 40]


@pytest.mark.parametrize("job", ["", X86])
def test_markup_in_output_is_text(job: str) -> None:
    screen = Screen()
    with Progress(screen.console).shown() as emit:
        emit(Warned(text="[bold]array[1][/]", job=job))
    assert "[bold]array[1][/]" in screen.text


# Failures


def test_a_failure_shows_the_compilers_first_error_and_the_log() -> None:
    screen = Screen()
    with Progress(screen.console).shown((X86,)) as emit:
        fail(emit, RUSTC, reason="error[E0425]: cannot find value `x` in this scope")
    assert screen.lines[1:] == [
        f"{X86}: failed at build",
        *(f"    {line}" for line in RUSTC.splitlines()[1:6]),
        "  log: /logs/x.log",
    ]


def test_a_reason_that_no_line_tells_stands_before_the_last_lines() -> None:
    screen = Screen()
    with Progress(screen.console).shown((X86,)) as emit:
        fail(emit, "\n".join(map(str, range(50))), reason="ended at its deadline of 2 minutes")
    assert screen.lines[1] == f"{X86}: failed at build: ended at its deadline of 2 minutes"
    assert screen.lines[2:-1] == [f"    {n}" for n in range(50 - TAIL_LINES + 1, 50)]


def test_a_failed_check_shows_its_whole_traceback() -> None:
    trace = "Traceback (most recent call last):\n" + "  File\n" * 20 + "ValueError: no"
    screen = Screen()
    with Progress(screen.console).shown((X86,)) as emit:
        fail(emit, f"before\n{trace}", phase=Phase.CHECK, reason="on 3.13: ValueError: no")
    shown = [line[4:] for line in screen.lines[2:-1]]
    assert shown == trace.splitlines()


def test_a_refused_wheel_shows_no_output_of_its_build() -> None:
    screen = Screen()
    with Progress(screen.console).shown((X86,)) as emit:
        fail(emit, "Compiling", phase=Phase.AUDIT, reason="uses GLIBC_2.36")
    assert screen.lines[1:] == [
        f"{X86}: failed at audit: uses GLIBC_2.36",
        "  log: /logs/x.log",
    ]


def excerpt(*lines: str) -> tuple[str, ...]:
    made = Excerpt()
    for line in lines:
        made(line)
    return made.lines


def test_an_excerpt_goes_on_with_the_causes_of_an_error() -> None:
    error = ("error: failed to run custom build command", "", "Caused by:", "  cc: x.h", "", "  y")
    assert excerpt("Compiling", *error, "", "warning: build failed") == error


def test_an_excerpt_is_of_the_last_command() -> None:
    assert excerpt("$ first", "error: old", "", "$ second", "fine") == ("$ second", "fine")


def test_an_excerpt_of_a_long_error_has_its_head_and_its_end() -> None:
    lines = excerpt("error: custom build", "", "Caused by:", *(f"  {n}" for n in range(200)))
    assert len(lines) == MAX_LINES
    assert (lines[0], lines[-1]) == ("error: custom build", "  199")
    assert "…" in lines


def test_an_excerpt_has_no_control_characters() -> None:
    assert excerpt("\x1b[31mred\x1b[0m\x07", "10%\r100%", "a\tb") == ("red", "100%", "a    b")


def test_a_line_that_ends_as_on_windows_is_not_lost() -> None:
    assert plain("error C2065\r") == "error C2065"


def test_colours_stay_and_nothing_else_that_a_terminal_obeys() -> None:
    line = "10%\r\x1b[2J\x1b[31mred \x1b[1mbold\x1b[0m\x07\x1b]0;title\x1b\\ end"
    assert coloured(line) == "\x1b[31mred \x1b[1mbold\x1b[0m end\x1b[0m"


# The live table


@pytest.mark.parametrize("width", [20, 50, 80, 120])
def test_no_line_of_the_table_is_wider_than_the_terminal(width: int) -> None:
    wide = rows(*Phase, text="全角" * 100)
    drawn = render(wide, width=width, height=40, now=100)
    assert max(line.cell_len for line in drawn.split()) <= width


def test_job_phase_and_time_are_whole_at_50_columns() -> None:
    row = Row(phase=Phase.CHECK, detail="3.13", text="last line", since=0)
    [line] = render([(ARM, row)], width=50, height=9, now=754).plain.splitlines()
    assert line.split() == [ARM, "check", "3.13", "12:34"]


def test_both_ends_of_a_long_name_stay() -> None:
    name = "nearly_the_same-0.1.0-cp313-cp313-manylinux_2_28_aarch64.whl"
    drawn = render([(name, Row(phase=Phase.CHECK, since=0))], width=50, height=9, now=1)
    assert re.match(r"nearly_\S*…\S+28_aarch64\.whl check", drawn.plain)


def test_more_rows_than_lines_leave_those_under_way_in_sight() -> None:
    phases = [Phase.BUILT] * 6 + [Phase.CHECK, Phase.BUILD] + [Phase.WAITING] * 2
    lines = render(rows(*phases), width=80, height=5, now=9).plain.splitlines()
    assert len(lines) == 5
    assert [line.split()[1] for line in lines[:4]] == ["check", "build", "waiting", "waiting"]
    assert lines[4] == "and 6 built"


def test_a_row_that_waits_has_no_time_and_one_that_ended_keeps_its_own() -> None:
    waiting = ("a", Row(phase=Phase.WAITING, since=0))
    built = ("b", Row(phase=Phase.BUILT, since=0, ended=7))
    assert render([waiting, built], width=80, height=9, now=99).plain.split() == [
        *("a", "waiting"),
        *("b", "built", "0:07"),
    ]


def test_the_table_is_gone_at_the_end_and_failures_stay() -> None:
    screen = Screen(terminal=True)
    with Progress(screen.console, live=True).shown((X86, ARM)) as emit:
        fail(emit, RUSTC)
        emit(JobPhase(job=ARM, phase=Phase.BUILT, text="/dist/tiny.whl"))
    shown = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", screen.text)
    assert "failed at build" in shown
    assert f"{ARM}: built" not in shown
    assert screen.text.endswith("\x1b[2K")


def test_words_that_can_not_be_printed_are_an_error_only_where_they_are_results() -> None:
    class Full(io.StringIO):
        def write(self, _: str) -> int:
            raise OSError(errno.ENOSPC, "No space left on device")

    say(Console(stderr=True, file=Full()), Text("prose"))
    with pytest.raises(SurroundingsError, match="results could not be printed: No space left"):
        say(Console(file=Full()), Text("results"))


def test_events_of_many_threads_and_the_table_do_not_wait_for_each_other() -> None:
    screen = Screen(terminal=True)
    progress = Progress(screen.console, live=True)

    def speak() -> None:
        for number in range(200):
            progress(Note(text=str(number)))
            progress(JobLine(job=X86, line=str(number)))

    with progress.shown((X86,)):
        threads = [threading.Thread(target=speak, daemon=True) for _ in range(4)]
        for thread in threads:
            thread.start()
        for _ in range(200):
            progress._table()
        for thread in threads:
            thread.join(timeout=60)
    assert not any(thread.is_alive() for thread in threads)


@pytest.mark.parametrize(
    ("terminal", "environment", "live"),
    [
        (True, {}, True),
        (True, {"NO_COLOR": "1"}, False),
        (True, {"TERM": "dumb"}, False),
        (True, {"GITHUB_ACTIONS": "true"}, False),
        (False, {}, False),
        (False, {"FORCE_COLOR": "1"}, False),
    ],
)
def test_the_table_is_for_terminals(
    monkeypatch: pytest.MonkeyPatch,
    terminal: bool,  # noqa: FBT001 - a parameter of the test
    environment: dict[str, str],
    live: bool,  # noqa: FBT001
) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("sys.stderr", io.StringIO())
    monkeypatch.setattr("sys.stderr.isatty", lambda: terminal, raising=False)
    assert Progress(make_console())._live is live


# GitHub Actions


def test_github_gets_each_jobs_log_as_a_group_and_an_annotation(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    screen = Screen()
    with Progress(screen.console).shown((X86,)) as emit:
        fail(emit, "::set-env name=A::b\n50% done", reason="on 3.13: 100% wrong")
    start, end = (screen.lines.index(x) for x in (f"::group::{X86}: its log", "::endgroup::"))
    inside = screen.lines[start + 1 : end]
    assert inside[1:3] == ["| ::set-env name=A::b", "| 50% done"]
    assert f"::error title={X86} failed at build::on 3.13: 100%25 wrong" in screen.lines
    assert not any(line.startswith("::set-env") for line in screen.lines)


def test_github_gets_an_annotation_of_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    screen = Screen()
    show_error(screen.console, FarmError("no engine", "Run farm doctor."))
    assert screen.lines[-1] == "::error title=farm::no engine%0ARun farm doctor."


# The closing summary


def test_the_summary_says_what_was_built_what_failed_where_and_why() -> None:
    wheel = WheelFacts(path="/kept/tiny.whl", sha256="0", size=1_400_000)
    passed = CheckResult(interpreter="3.9", passed=True, seconds=1)
    excused = CheckResult(
        interpreter="3.15", passed=False, excused=True, seconds=1, reason="no wheel of numpy"
    )
    screen = Screen()
    show_report(
        screen.console,
        report(
            result(
                "a", Status.BUILT, wheel=wheel, checks=(passed, excused), seconds={"build": 75.2}
            ),
            result("b", Status.FAILED, phase="check", reason="on 3.9: crashed", wheel=wheel),
            result("c", Status.CANCELLED, reason="interrupted"),
            left_out=("3.8 is left out: requires-python",),
        ),
        "/logs/report.json",
    )
    assert screen.lines == [
        "built",
        "  a  1.4 MB  1 min 15 s  hybrid    passed on 3.9",
        "    excused on 3.15: no wheel of numpy",
        "failed",
        "  b: failed at check: on 3.9: crashed",
        "    wheel, kept to look at: /kept/tiny.whl",
        "    log: /logs/b.log",
        "cancelled",
        "  c: interrupted",
        "3.8 is left out: requires-python",
        "3 jobs in 1 min 01 s: 1 built, 1 failed, 1 cancelled",
        "report: /logs/report.json",
    ]


def test_the_summary_says_that_nothing_was_tested() -> None:
    screen = Screen()
    show_report(screen.console, report(result("a", Status.BUILT), checked=False), "/r.json")
    assert "No wheel was smoke-tested: --no-smoke." in screen.lines
    assert screen.lines[1].endswith("not tested")


def test_warnings_are_not_said_again() -> None:
    screen = Screen()
    show_report(screen.console, report(result("a", Status.BUILT), warnings=("odd",)), "/r.json")
    assert "odd" not in screen.text


def test_checks_name_each_interpreter_and_the_log_of_a_failure() -> None:
    bad = CheckResult(interpreter="3.9", passed=False, seconds=2, reason="no module x")
    screen = Screen()
    show_checks(screen.console, (WheelChecks(wheel="/dist/x.whl", log="/l", checks=(bad,)),))
    assert screen.lines == ["x.whl", "  3.9: no module x (2 s)", "  log: /l", "1 wheel: 1 failed"]


def test_an_error_says_what_to_do() -> None:
    screen = Screen()
    show_error(screen.console, FarmError("no [engine]", "Run farm doctor."))
    assert screen.lines == ["error: no [engine]", "  Run farm doctor."]


# Words


@pytest.mark.parametrize(
    ("seconds", "spoken", "ticking"),
    [
        (0.3, "0 s", "0:00"),
        (59.7, "1 min 00 s", "0:59"),
        (185, "3 min 05 s", "3:05"),
        (3720, "1 h 02 min", "1:02:00"),
    ],
)
def test_durations(seconds: float, spoken: str, ticking: str) -> None:
    assert (duration(seconds), clock(seconds)) == (spoken, ticking)


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 kB"),
        (184_950, "185 kB"),
        (999_700, "1.0 MB"),
        (9_990_000, "10 MB"),
        (1_560_000_000, "1.6 GB"),
    ],
)
def test_sizes(count: int, text: str) -> None:
    assert size(count) == text


def test_paths_below_the_current_directory_are_short(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert short(f"{tmp_path}/dist/x.whl") == "dist/x.whl"
    assert short("/elsewhere/x.whl") == "/elsewhere/x.whl"
    assert plural(1, "job") + plural(2, "job") == "1 job2 jobs"
