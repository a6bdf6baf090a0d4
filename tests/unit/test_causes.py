"""Causes are told apart by what tools really write; most lines here were taken from real runs."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from farm.bases import libraries
from farm.model.failures import Cause, Ended
from farm.steps.missing import missing
from farm.steps.outcome import Setting, classify

BUILD = Setting(deadline=60)
EMULATED = Setting(deadline=60, emulated=True)
PREPARE = Setting(deadline=60, network=True, ordinary=Cause.DEPENDENCY)
CHECK = Setting(deadline=60, ordinary=Cause.TEST)

FAILED = Ended(code=101)

COMPILE_ERROR = (
    "   Compiling tiny v0.1.0 (/src)",
    "error[E0425]: cannot find value `fourty_two` in this scope",
    "  --> src/lib.rs:7:21",
    "error: could not compile `tiny` (lib) due to 1 previous error",
)


def script(*output: str) -> tuple[str, ...]:
    """Return cargo's account of a failed build script that wrote `output`."""
    return (
        "error: failed to run custom build command for `t v0.1.0 (/src)`",
        "Caused by:",
        ("  process didn't exit successfully: `/work/build-script-build` (exit status: 101)"),
        "  --- stderr",
        *(f"  {line}" for line in output),
    )


def test_the_engines_word_comes_before_any_output() -> None:
    assert classify(Ended(code=137, timed_out=True), COMPILE_ERROR, BUILD) is Cause.DEADLINE
    assert classify(Ended(code=101, out_of_memory=True), COMPILE_ERROR, BUILD) is Cause.MEMORY


@pytest.mark.parametrize("setting", [BUILD, EMULATED, Setting(deadline=60, network=True)])
def test_a_compile_error_is_one_wherever_it_happens(setting: Setting) -> None:
    assert classify(FAILED, COMPILE_ERROR, setting) is Cause.COMPILE


def test_a_compile_error_beside_other_trouble_is_final() -> None:
    crash = "(signal: 11, SIGSEGV: invalid memory reference)"
    assert classify(FAILED, (*COMPILE_ERROR, crash), EMULATED) is Cause.COMPILE


@pytest.mark.parametrize(
    "quoted",
    [
        '7 |     panic!("No space left on device");',
        '12 | const TEXT: &str = "LLVM ERROR: out of memory";',
        "  |         ^^^ Segmentation fault (core dumped)",
    ],
)
def test_quoted_source_may_say_anything(quoted: str) -> None:
    assert classify(FAILED, ("error: expected `;`", quoted), EMULATED) is Cause.COMPILE


@pytest.mark.parametrize(
    "line",
    [
        "process didn't exit successfully: `/work/build-script-build` (signal: 9, SIGKILL: kill)",
        'Cargo build finished with "signal: 9 (SIGKILL)": `env -u CARGO "cargo" "rustc"`',
        "gcc: fatal error: Killed signal terminated program cc1",
        "collect2: fatal error: ld terminated with signal 9 [Killed]",
        "clang: error: unable to execute command: Killed",
        "cc1plus: out of memory allocating 65536 bytes after a total of 1703936 bytes",
        "LLVM ERROR: out of memory",
        "memory allocation of 70368744177664 bytes failed",
        "terminate called after throwing an instance of 'std::bad_alloc'",
        "fork: Cannot allocate memory",
        "qemu-aarch64: Unable to reserve 0x1000000 bytes of virtual address space",
    ],
)
@pytest.mark.parametrize("setting", [BUILD, EMULATED, CHECK])
def test_memory(line: str, setting: Setting) -> None:
    assert classify(FAILED, (line,), setting) is Cause.MEMORY


def test_a_process_that_was_killed_wanted_memory() -> None:
    assert classify(Ended(code=137), (), BUILD) is Cause.MEMORY


@pytest.mark.parametrize(
    "line",
    [
        "qemu: uncaught target signal 11 (Segmentation fault) - core dumped",
        "qemu-aarch64: QEMU internal SIGSEGV {code=MAPERR, addr=0x20}",
        (
            "process didn't exit successfully: `rustc --crate-name x` "
            "(signal: 11, SIGSEGV: invalid memory reference)"
        ),
        "process didn't exit successfully: `x` (signal: 6, SIGABRT: process abort signal)",
        'Cargo build finished with "signal: 11 (SIGSEGV)": `env -u CARGO "cargo" "rustc"`',
        "error: rustc interrupted by SIGSEGV, printing backtrace",
        "collect2: fatal error: ld terminated with signal 11 [Segmentation fault], core dumped",
        "gcc: internal compiler error: Segmentation fault signal terminated program cc1",
        "make: *** [Makefile:2: all] Segmentation fault (core dumped)",
        "bash: line 1: 28704 Segmentation fault      (core dumped) ./x",
        "Illegal instruction",
    ],
)
def test_a_crash_is_qemus_where_it_ran_and_the_jobs_own_elsewhere(line: str) -> None:
    assert classify(FAILED, (line,), EMULATED) is Cause.QEMU
    assert classify(FAILED, (line,), BUILD) is Cause.COMPILE
    assert classify(FAILED, (line,), CHECK) is Cause.TEST


@pytest.mark.parametrize("code", [132, 133, 134, 135, 136, 139])
def test_a_status_of_a_crash(code: int) -> None:
    assert classify(Ended(code=code), (), EMULATED) is Cause.QEMU
    assert classify(Ended(code=code), (), CHECK) is Cause.TEST


NETWORK = (
    "[6] Could not resolve hostname (Could not resolve host: index.crates.io)",
    "  cause: failed to lookup address information: Temporary failure in name resolution",
    "  cause: error sending request for url (https://pypi.org/simple/tenacity/)",
    "urllib.error.URLError: <urlopen error [Errno 101] Network is unreachable>",
    "fatal: unable to access 'https://example.com/x/': Could not resolve host: example.com",
    "curl: (7) Failed to connect to 1.2.3.4 port 443 after 0 ms: Couldn't connect to server",
    "[28] Timeout was reached (Operation timed out after 30001 milliseconds)",
)


@pytest.mark.parametrize("line", NETWORK)
def test_a_failed_network_is_one_only_where_there_should_be_one(line: str) -> None:
    assert classify(FAILED, (line,), PREPARE) is Cause.NETWORK
    assert classify(FAILED, script(line), Setting(deadline=60, network=True)) is Cause.NETWORK
    assert classify(FAILED, script(line), BUILD) is Cause.OFFLINE
    assert classify(FAILED, (line,), CHECK) is Cause.TEST


def test_a_network_error_that_cargo_got_over_is_none() -> None:
    line = "warning: spurious network error (3 tries remaining): [6] Could not resolve hostname"
    assert classify(FAILED, (line,), PREPARE) is Cause.DEPENDENCY


def test_no_space() -> None:
    line = "error: failed to write /work/x.rmeta: No space left on device (os error 28)"
    for setting in (BUILD, EMULATED, PREPARE, CHECK):
        assert classify(FAILED, (line,), setting) is Cause.ROOM


LACKING = (
    (
        (
            'error: unable to find dynamic system library "foo_missing" using strategy paths_first.'
            " searched paths: none"
        ),
        "foo_missing",
        "",
    ),
    ("= note: rust-lld: error: unable to find library -lsqlite3", "sqlite3", "libsqlite3-dev"),
    ("/usr/bin/ld: cannot find -lpq: No such file or directory", "pq", "libpq-dev"),
    ("h.c:1:10: fatal error: 'openssl/ssl.h' file not found", "openssl/ssl.h", "libssl-dev"),
    (
        "cargo:warning=src/a.c:1:10: fatal error: libpq-fe.h: No such file or directory",
        "libpq-fe.h",
        "libpq-dev",
    ),
    (
        "Package libxml-2.0 was not found in the pkg-config search",
        "libxml-2.0",
        "libxml2-dev",
    ),
    ("Package 'dbus-1', required by 'virtual:world', not found", "dbus-1", "libdbus-1-dev"),
    ("The system library `alsa` required by crate `alsa-sys` was not found.", "alsa", "libasound2"),
    (
        "Could not find directory of OpenSSL installation, and this `-sys` crate cannot",
        "openssl",
        "libssl-dev",
    ),
    (
        (
            "Unable to find libclang: \"couldn't find any valid shared libraries matching: "
            "['libclang.so', 'libclang-*.so'], set the `LIBCLANG_PATH` environment variable\""
        ),
        "libclang",
        "libclang-dev",
    ),
    ("is `cmake` not installed?", "cmake", "cmake"),
    (
        (
            'called `Result::unwrap()` on an `Err` value: Custom { kind: NotFound, error: "Could'
            " not find `protoc`. If `protoc` is installed, try setting the `PROTOC` environment "
        ),
        "protoc",
        "protobuf-compiler",
    ),
    (
        'error occurred in cc-rs: failed to find tool "nasm": No such file or directory',
        "nasm",
        "nasm",
    ),
    ("sh: 1: ninja: not found", "ninja", "ninja-build"),
    ("bash: cmake: command not found", "cmake", "cmake"),
    ("make: flex: No such file or directory", "flex", "flex"),
    (
        "Failed to execute `capnp --version`: No such file or directory (os error 2). Please",
        "capnp",
        "capnproto",
    ),
    ("protoc binary not found: cannot find binary path", "protoc", "protobuf-compiler"),
    ("failed to invoke protoc (hint: https://docs.rs/x): (path: y): z", "protoc", "protobuf"),
    ("Missing dependency: nasm", "nasm", "nasm"),
    ("Command 'perl' not found. Is perl installed?", "perl", "perl"),
    ('npm: Os { code: 2, kind: NotFound, message: "No such file or directory" }', "npm", ""),
)


@pytest.mark.parametrize(("line", "name", "package"), LACKING)
def test_what_the_system_lacks(line: str, name: str, package: str) -> None:
    assert classify(FAILED, script(line), BUILD) is Cause.LIBRARY
    assert classify(FAILED, (line,), CHECK) is Cause.TEST
    found = missing(line)
    assert found is not None
    assert name in found.what
    assert found.package.startswith(package)


@pytest.mark.parametrize(
    "line",
    [
        "error: No such file or directory (os error 2)",
        "   Compiling cmake v0.1.58",
        "a.c:3:5: error: use of undeclared identifier 'x'",
        "error: No package found",
        "error: couldn't read python code: No such file or directory (os error 2)",
        "error: couldn't read `src/../git`: No such file or directory (os error 2)",
        "warning: python not found, which is as well",
        "could not call make.rs: No such file or directory (os error 2)",
    ],
)
def test_what_is_no_sign_of_something_missing(line: str) -> None:
    assert missing(line) is None


def test_no_library_is_in_the_table_twice() -> None:
    for names in (
        [name for each in libraries.LIBRARIES for name in each.names],
        [name for each in libraries.LIBRARIES for name in each.headers],
        [each.package for each in libraries.LIBRARIES],
    ):
        assert len(names) == len(set(names))


SETTINGS = st.builds(
    Setting,
    deadline=st.floats(min_value=0, max_value=1e6),
    emulated=st.booleans(),
    network=st.booleans(),
    ordinary=st.sampled_from((Cause.COMPILE, Cause.TEST, Cause.DEPENDENCY)),
)
KNOWN = st.sampled_from((*COMPILE_ERROR, *NETWORK, *(line for line, _, _ in LACKING)))
LINES = st.lists(st.one_of(st.text(), KNOWN, st.builds(str.__add__, st.text(), KNOWN)))


@given(
    ended=st.builds(
        Ended, code=st.integers(), out_of_memory=st.booleans(), timed_out=st.booleans()
    ),
    lines=LINES,
    setting=SETTINGS,
)
def test_whatever_is_written_has_a_cause(ended: Ended, lines: list[str], setting: Setting) -> None:
    cause = classify(ended, lines, setting)
    assert cause is not Cause.OTHER
    assert (cause is Cause.DEADLINE) == ended.timed_out
    if cause is Cause.QEMU:
        assert setting.emulated
    if cause is Cause.NETWORK:
        assert setting.network


@pytest.mark.parametrize(
    "piece",
    ["x", " ", "thread '' ", "qemu: ", "\x1b[0", "a:1:", "Package '", "HTTP response from ", "\\"],
)
def test_long_lines_and_many_take_little_time(piece: str) -> None:
    """Generous bounds: what they are to catch takes minutes."""
    started = time.process_time()
    classify(FAILED, (piece * (1_000_000 // len(piece)),), BUILD)
    assert time.process_time() - started < 1
    classify(FAILED, (piece * 20,) * 10_000, BUILD)
    assert time.process_time() - started < 10
