"""What cargo, maturin and well-known crates really wrote, and what is made of it.

The files in `outputs/` are of tiny crates that were built in the builder image by rustc 1.97 and
maturin 1.16, less what cargo tells of its progress.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from farm.model.failures import Cause, Ended
from farm.steps.outcome import Setting, failure
from farm.steps.reasons import Reasons

OUTPUTS = Path(__file__).with_name("outputs")
SCRIPT = "error: failed to run custom build command for `u-{0} v0.1.0 (/w/u-{0})`"
TOLD = {
    "autotools": (Cause.SCRIPT, "command did not execute successfully, got: exit status: 127"),
    "bindgen": (Cause.LIBRARY, "the builder image has no libclang-dev"),
    "cmake": (Cause.LIBRARY, "the program cmake is missing: the builder image has no cmake"),
    "env": (Cause.GIT, 'environment = { GIT_HASH = "…" } in [tool.farm] sets it'),
    "exit": (Cause.SCRIPT, SCRIPT + ": error: set FOO_DIR"),
    "git": (Cause.SCRIPT, "(at u-git/build.rs:1:91); a program that it runs, or a file"),
    "git2": (Cause.GIT, "builds have neither git nor .git: have it take what it asks git from"),
    "gitcl": (Cause.GIT, "it takes VERGEN_GIT_SHA, VERGEN_GIT_DESCRIBE"),
    "gitversion": (Cause.GIT, 'fallback = "unknown"'),
    "link": (Cause.LINK, "exit status: 1: ld.lld: error: undefined symbol: not_there"),
    "mac2": (Cause.MACRO, "error: proc-macro derive panicked: no such field"),
    "make": (Cause.SCRIPT, SCRIPT + ": make failed"),
    "gitsh": (Cause.GIT, "no version; builds have neither git nor .git: have it take"),
    "ospl": (Cause.LIBRARY, "Command 'perl5' not found. Is perl5 installed?; the program perl5"),
    "pkg": (Cause.LIBRARY, "exited with status code 1; the library nosuch is missing"),
    "prost": (Cause.LIBRARY, "the builder image has no protobuf-compiler"),
    "prost2": (Cause.LIBRARY, "the builder image has no protobuf-compiler"),
    "py": (Cause.LIBRARY, "the program python3 is missing"),
    "nasm": (Cause.LIBRARY, "the program nasm is missing: the builder image has no nasm"),
    "maturin-data": (Cause.PACKAGING, "No such data directory /w/data/gone.data"),
    "maturin-isdir": (Cause.PACKAGING, "failed to read from file `/w/isdir/R.md`"),
    "maturin-licfile": (Cause.PACKAGING, "failed to open file `/w/licfile/GONE`"),
    "maturin-link": (Cause.PACKAGING, "Failed to add the python module to the package: No such"),
    "maturin-manif": (Cause.PACKAGING, "unknown binding type"),
    "maturin-manyfeat": (Cause.USAGE, "the package 'tool' does not contain this feature: nosuch"),
    "maturin-pysource": (Cause.PACKAGING, "python-source is set to `python` but"),
    "maturin-readme": (Cause.PACKAGING, "which should be at /w/readme/GONE.md"),
    "maturin-readmecargo": (Cause.PACKAGING, "which should be at /w/readmecargo/GONE.md"),
    "maturin-sbom": (Cause.PACKAGING, "SBOM include path '/w/sbom/gone.json'"),
    "maturin-script": (Cause.PACKAGING, "Defining scripts and working with a binary"),
    "maturin-unread": (Cause.PACKAGING, "stream did not contain valid UTF-8"),
    "maturin-version": (Cause.PACKAGING, "expected version to start with a number"),
}


@pytest.mark.parametrize("name", sorted(path.stem for path in OUTPUTS.iterdir()))
def test_what_was_really_written_has_its_cause_and_says_why(name: str) -> None:
    reasons = Reasons(lambda _: None)
    for line in (OUTPUTS / f"{name}.txt").read_text(encoding="utf-8").splitlines():
        reasons(line)
    error = failure(Ended(code=1), reasons, Setting(deadline=60))
    cause, words = TOLD[name]
    assert error.cause is cause
    assert words.replace("{0}", name) in error.message
