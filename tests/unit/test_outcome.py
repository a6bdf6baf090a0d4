from __future__ import annotations

import pytest

from farm.model.errors import ExitCode
from farm.model.failures import Cause, Ended
from farm.steps.outcome import Setting, failure
from farm.steps.reasons import Reasons

BUILD = Setting(deadline=60)


def told(*lines: str) -> Reasons:
    heard: list[str] = []
    reasons = Reasons(heard.append)
    for line in lines:
        reasons(line)
    assert heard == list(lines)
    return reasons


def test_the_first_compiler_error_is_the_reason() -> None:
    reasons = told(
        "   Compiling x v1.0.0 (/src)",
        "warning: unused variable: `y`",
        "error[E0425]: cannot find value `z` in this scope",
        " --> src/lib.rs:3:5",
        "error: aborting due to 1 previous error",
        "error: could not compile `x` (lib) due to 1 previous error",
        "💥 maturin failed",
        "  Caused by: Failed to build a native library through cargo",
    )
    expected = "error[E0425]: cannot find value `z` in this scope"
    assert failure(Ended(code=1), reasons, BUILD).message == expected


@pytest.mark.parametrize(
    ("output", "said"),
    [
        (
            ("--- stdout", "cargo:warning=a/b.c:6:2: error: no OpenSSL 3", "--- stderr", "exit"),
            "a/b.c:6:2: error: no OpenSSL 3",
        ),
        (
            (
                "--- stderr",
                "thread 'main' (71) panicked at build.rs:2:5:",
                "no such header",
                "note",
            ),
            "no such header",
        ),
    ],
)
def test_a_failed_build_script_is_told_with_what_it_said(
    output: tuple[str, ...], said: str
) -> None:
    failed = "error: failed to run custom build command for `x v1.0.0 (/src)`"
    assert told(failed, *(f"  {line}" for line in output)).summary == f"{failed}: {said}"


def test_colours_are_no_part_of_a_reason() -> None:
    reasons = told("\x1b[1m\x1b[91merror\x1b[0m\x1b[1m: linking failed\x1b[0m")
    assert reasons.summary == "error: linking failed"


def test_maturins_last_cause_counts_when_no_compiler_failed() -> None:
    reasons = told(
        "💥 maturin failed",
        "  Caused by: Error ensuring manylinux_2_28 compliance",
        '  Caused by: Your library is not compliant: ["libc.so.6 offending versions: GLIBC_2.33"]',
    )
    assert "GLIBC_2.33" in failure(Ended(code=1), reasons, BUILD).message


def test_uvs_explanation_is_told_as_one_line() -> None:
    reasons = told(
        "  \u00d7 No solution found when resolving dependencies:",
        "  \u2570\u2500\u25b6 Because numpy has no wheels with a matching Python ABI tag and x",
        "      depends on numpy, we can conclude that x cannot be used.",
    )
    assert reasons.summary == (
        "Because numpy has no wheels with a matching Python ABI tag and x "
        "depends on numpy, we can conclude that x cannot be used."
    )


def test_a_tool_that_says_nothing_gives_its_status() -> None:
    assert failure(Ended(code=7), told(), BUILD).message == "ended with status 7"


@pytest.mark.parametrize(
    ("ended", "words"),
    [
        (Ended(code=137, out_of_memory=True), "limits.memory-gib"),
        (Ended(code=137, timed_out=True), "deadline of 1.5 minutes"),
        (Ended(code=137), "SIGKILL"),
        (Ended(code=139), "SIGSEGV"),
    ],
)
def test_a_killed_process_says_who_killed_it(ended: Ended, words: str) -> None:
    reasons = told("error: whatever it wrote")
    assert words in failure(ended, reasons, Setting(deadline=90)).message


def test_a_full_disk_is_no_fault_of_the_job() -> None:
    reasons = told("error: failed to write /work/x.rmeta: No space left on device (os error 28)")
    error = failure(Ended(code=101), reasons, BUILD)
    assert error.exit_code is ExitCode.SURROUNDINGS
    assert error.cause is Cause.ROOM
    assert "room" in error.message


def test_a_build_that_wants_the_network_is_told_of_the_setting() -> None:
    reasons = told("curl: (6) Could not resolve host: example.com")
    error = failure(Ended(code=1), reasons, BUILD)
    assert error.exit_code is ExitCode.JOB_FAILED
    assert "network = true in [tool.farm]" in error.message


def test_a_failed_network_is_no_fault_of_the_job() -> None:
    reasons = told("curl: (6) Could not resolve host: example.com")
    error = failure(Ended(code=1), reasons, Setting(deadline=60, network=True))
    assert error.exit_code is ExitCode.SURROUNDINGS


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (
            "rust-lld: error: unable to find library -lpq",
            "the library pq is missing: the builder image has no libpq-dev",
        ),
        (
            "rust-lld: error: unable to find library -lfoo_missing",
            "the library foo_missing is missing, and no package of the builder image has it",
        ),
        (
            "The system library `openssl` required by crate `openssl-sys` was not found.",
            "the library openssl was not found, though the builder image has libssl-dev",
        ),
    ],
)
def test_what_the_system_lacks_is_named_with_its_package(line: str, said: str) -> None:
    error = failure(Ended(code=101), told("error: linking with `cc` failed", line), BUILD)
    assert error.message == f"error: linking with `cc` failed; {said}"


def test_a_line_of_any_length_is_told_by_its_ends() -> None:
    reasons = told(f"error: linking failed {'x' * 100_000} at last")
    assert reasons.summary.startswith("error: linking failed")
    assert reasons.summary.endswith("at last")
    assert len(reasons.summary) < 3000


def test_a_process_that_could_not_be_made_points_at_the_limit() -> None:
    reasons = told("cc: fork: Resource temporarily unavailable")
    assert "limits.pids" in failure(Ended(code=1), reasons, BUILD).message
