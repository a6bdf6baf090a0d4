"""A run as Markdown: what it says once rendered, and that nothing in it becomes markup."""

from __future__ import annotations

from dataclasses import replace
from html.parser import HTMLParser
from typing import Any

import pytest
from made_reports import report, result
from markdown_it import MarkdownIt

from farm.model.results import CheckResult, Status, WheelFacts
from farm.model.runs import LogFile, Run, State
from farm.report.markdown import markdown

HOSTILE = (
    "a `b` ``` ```` | pipe \\| <b>bold</b> </details><script>alert(1)</script> "
    "[link](http://x) ![i](x) **strong** _em_ ~~gone~~ &amp; $x$ @who #1 <!-- -->"
)


class Page(HTMLParser):
    """What a reader of rendered Markdown sees: its cells, its text, its elements."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.rows: list[list[str]] = []
        self.text = ""
        self.feed(MarkdownIt("commonmark").enable(["table", "strikethrough"]).render(text))
        self.rows = [row for row in self.rows if row]

    def handle_starttag(self, tag: str, _attrs: object) -> None:
        self.tags.append(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in {"td", "th"}:
            self.rows[-1].append("")

    def handle_endtag(self, tag: str) -> None:
        if tag == "table":
            self.rows.append([])

    def handle_data(self, data: str) -> None:
        self.text += data
        if self.rows and self.rows[-1]:
            self.rows[-1][-1] += data.strip("\n")


def ended(*jobs: Any, **more: Any) -> Run:
    made = report(*jobs, **more)
    logs = tuple(LogFile(name=r.job, path=r.log, size=1) for r in jobs)
    return Run(
        id="r", project=".", directory=".", started=0, state=State.ENDED, logs=logs, report=made
    )


def page(run: Run, *tail: str) -> Page:
    return Page(markdown(run, lambda _name: tail))


def test_wheels_are_a_table() -> None:
    facts = WheelFacts(path="/x.whl", sha256="0123456789abcdef", size=1_400_000)
    checks = (
        CheckResult(interpreter="3.9", passed=True, seconds=1),
        CheckResult(interpreter="3.15", passed=False, seconds=1, excused=True, reason="no a|b"),
    )
    built = result("cp39-abi3", Status.BUILT, wheel=facts, checks=checks, seconds={"build": 75})
    cached = result("cp314t", Status.CACHED, wheel=facts, run="20260101-120000-aaaa")
    made = page(ended(built, cached))
    assert made.text.startswith("tiny 0: 1 built, 1 cached (2 jobs in 1 min 01 s)")
    assert made.rows[:3] == [
        ["Wheel", "Mode", "Time", "Size", "Checks", "sha256"],
        [
            *("cp39-abi3", "hybrid", "1 min 15 s", "1.4 MB"),
            *("passed on 3.9; excused on 3.15: no a|b", "0123456789ab"),
        ],
        [
            *("cp314t", "hybrid", "from run 20260101-120000-aaaa", "1.4 MB"),
            *("not tested", "0123456789ab"),
        ],
    ]


def test_versions_are_a_table() -> None:
    why = "forky, not trixie-backports: rustc is 1.97.1 for amd64"
    versions = {"rustc": "1.96.1", "maturin": "1.16.0"}
    images = {
        "builder-x86_64": {"id": "sha256:ab", "instead": why, **versions},
        "builder-aarch64": {"id": "sha256:cd", **versions},
    }
    job = result("a", Status.SKIPPED, linker="zig 0.17.1, glibc 2.28")
    rows = page(ended(job, images=images, emulation={"aarch64": "11.1.3"}, farm="0.1")).rows
    found = {row[0]: row[1] for row in rows}
    assert found["rustc"] == "1.96.1"
    assert found["linker"] == "zig 0.17.1, glibc 2.28"
    assert found["QEMU for aarch64"] == "11.1.3"
    assert found["image builder-aarch64"] == "sha256:cd"
    assert found["image builder-x86_64"] == f"sha256:ab; {why}"


def test_a_failure_has_its_reason_and_the_end_of_its_log_folded() -> None:
    made = page(ended(result("a", Status.FAILED, phase="check", reason="on 3.9: no")), "one", "two")
    assert "a failed at check" in made.text
    assert "on 3.9: no" in made.text
    assert "one\ntwo\n" in made.text
    assert made.tags.count("details") == made.tags.count("summary") == 2


def test_nothing_from_outside_becomes_markup() -> None:
    facts = WheelFacts(path="/x.whl", sha256=HOSTILE, size=1)
    excused = CheckResult(
        interpreter=HOSTILE, passed=False, seconds=1, excused=True, reason=HOSTILE
    )
    jobs = (
        result(HOSTILE, Status.BUILT, wheel=facts, checks=(excused,), linker=HOSTILE),
        result(HOSTILE, Status.FAILED, phase=HOSTILE, reason=HOSTILE),
        result(HOSTILE, Status.SKIPPED),
    )
    odd = {
        "project": HOSTILE,
        "version": HOSTILE,
        "images": {HOSTILE: {"id": HOSTILE, "rustc": HOSTILE, "instead": HOSTILE}},
        "emulation": {HOSTILE: HOSTILE},
        "engine": {"version": HOSTILE},
        "left_out": (HOSTILE,),
    }
    made = page(ended(*jobs, **odd), HOSTILE, "```", "</pre></code></details><b>")
    allowed = {"h2", "h3", "p", "code", "pre", "ul", "li", "details", "summary"}
    assert set(made.tags) <= allowed | {"table", "thead", "tbody", "tr", "th", "td"}
    assert made.tags.count("details") == 2
    assert made.text.count(HOSTILE) >= 15
    assert [len(row) for row in made.rows] == [6, 6, *[2] * (len(made.rows) - 2)]
    assert made.rows[1][4] == f"excused on {HOSTILE}: {HOSTILE}"


@pytest.mark.parametrize("line", ["\x1b[31mred\x1b[0m\x07", "red\r"])
def test_log_lines_have_no_control_characters(line: str) -> None:
    made = markdown(ended(result("a", Status.FAILED, phase="build")), lambda _name: (line,))
    assert "```text\nred\n```" in made


def test_a_long_line_is_cut() -> None:
    made = markdown(ended(result("a", Status.FAILED, phase="build")), lambda _name: ("x" * 9999,))
    assert max(map(len, made.splitlines())) <= 400


def test_an_unfinished_run_says_what_did_not_end() -> None:
    run = replace(
        ended(result("a", Status.BUILT)),
        report=None,
        state=State.UNFINISHED,
        journal=(result("a", Status.BUILT),),
        logs=(LogFile(name="b", path="", size=0),),
    )
    made = page(run)
    assert made.text.startswith("Run r, unfinished: 1 built")
    assert "b: did not end" in made.text


def test_untested_wheels_are_said_to_be() -> None:
    assert "No wheel was smoke-tested" in page(ended(checked=False)).text
