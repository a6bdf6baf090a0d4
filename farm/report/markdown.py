"""A run's report as Markdown, for the summary of a CI job or for an issue.

Whatever comes from outside, log lines first of all, is text: none of it becomes markup.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence

from farm.model.results import JobResult, Report, Status
from farm.model.runs import Run
from farm.report.excerpt import plain
from farm.report.summary import counts
from farm.report.words import duration, plural, size

_TOLD = ("rustc", "maturin")
"""The tools of the images whose versions are told."""
_DIGITS = 12
"""Of a digest."""
_MAX_WIDTH = 400
_MARKUP = re.compile(r"[^\w .,:;/()+%=-]|(?<![^\W_])_|_(?![^\W_])")
"""What could be markup; an underscore within a word can't."""
_SIMPLE = re.compile(r"[\w.,+:/=-]+(?: [\w.,+:/=-]+)*")
_TICKS = re.compile("`+")

Tail = Callable[[str], Sequence[str]]
"""Returns the last lines of the log called so."""


def markdown(run: Run, tail: Tail) -> str:
    """Return what is known of `run` as GitHub's Markdown."""
    report, results = run.report, run.results
    made = [result for result in results if result.status in {Status.BUILT, Status.CACHED}]
    failed = [result for result in results if result.status is Status.FAILED]
    rest = [result for result in results if result.status in {Status.CANCELLED, Status.SKIPPED}]
    blocks = [f"## {_headline(run)}"]
    if report and not report.checked:
        blocks.append("No wheel was smoke-tested: `--no-smoke`.")
    if report and report.error:
        blocks.append(f"No job started: {_text(plain(report.error))}")
    if made:
        blocks.append(
            _table(("Wheel", "Mode", "Time", "Size", "Checks", "sha256"), map(_row, made))
        )
    for result in failed:
        blocks += _failure(result, tail(result.job))
    blocks += [_list(f"{r.job}: {r.status}" for r in rest)] if rest else []
    blocks += [_list(f"{name}: did not end" for name in run.open)] if run.open else []
    if report:
        blocks += [_list(report.left_out)] if report.left_out else []
        blocks.append(_details("Versions", _table(("What", "Version"), _versions(report))))
    return "\n\n".join(blocks)


def _headline(run: Run) -> str:
    told = counts(run.results) or "no job"
    if run.report is None:
        return f"Run {_code(run.id)}, {run.state}: {told}"
    name = f"{_text(run.report.project)} {_text(run.report.version)}"
    jobs = plural(len(run.results), "job")
    return f"{name}: {told} ({jobs} in {duration(run.report.seconds)})"


def _row(result: JobResult) -> tuple[str, ...]:
    wheel = result.wheel
    cached = result.status is Status.CACHED
    return (
        _code(result.job),
        _text(result.mode),
        f"from run {_code(result.run)}" if cached else duration(sum(result.seconds.values())),
        size(wheel.size) if wheel else "",
        _checks(result),
        _code(wheel.sha256[:_DIGITS]) if wheel else "",
    )


def _checks(result: JobResult) -> str:
    passed = " ".join(c.interpreter for c in result.checks if c.passed)
    told = [f"passed on {passed}"] if passed else []
    told += [f"excused on {c.interpreter}: {plain(c.reason)}" for c in result.checks if c.excused]
    return _text("; ".join(told) or "not tested")


def _failure(result: JobResult, tail: Sequence[str]) -> Iterator[str]:
    tries = f" after {result.attempts} attempts" if result.attempts > 1 else ""
    cause = f": {_text(result.cause)}" if result.cause else ""
    yield f"### {_code(result.job)} failed at {_text(result.phase)}{tries}{cause}"
    yield _text(plain(result.reason))
    if tail:
        yield _details("The end of its log", _block(tail))


def _versions(report: Report) -> Iterator[tuple[str, str]]:
    yield "farm", _code(report.farm)
    for tool in _TOLD:
        versions = dict.fromkeys(v[tool] for v in report.images.values() if tool in v)
        if versions:
            yield tool, _code(", ".join(versions))
    linkers = dict.fromkeys(result.linker for result in report.jobs)
    if linkers:
        yield "linker", "; ".join(map(_code, linkers))
    for arch, version in report.emulation.items():
        yield f"QEMU for {_text(arch)}", _code(version)
    for name, facts in report.images.items():
        told = _code(facts.get("id", ""))
        if instead := facts.get("instead", ""):
            told += f"; {_text(plain(instead))}"
        yield f"image {_code(name)}", told
    yield "engine", _text(" ".join(report.engine.get(key, "") for key in ("version", "arch")))
    yield "source, sha256", _code(report.source)


def _table(heading: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = (heading, ["---"] * len(heading), *rows)
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _list(lines: Iterable[str]) -> str:
    return "\n".join(f"- {_text(line)}" for line in lines)


def _details(summary: str, content: str) -> str:
    return f"<details><summary>{summary}</summary>\n\n{content}\n\n</details>"


def _block(lines: Sequence[str]) -> str:
    """Return `lines` between fences that none of them can close."""
    shown = [plain(line)[:_MAX_WIDTH] for line in lines]
    longest = max((len(ticks) for line in shown for ticks in _TICKS.findall(line)), default=0)
    fence = "`" * max(longest + 1, 3)
    return "\n".join((f"{fence}text", *shown, fence))


def _text(text: str) -> str:
    """Return `text` as nothing but text, wherever it stands in a line."""
    return _MARKUP.sub(lambda found: f"&#{ord(found[0])};", text)


def _code(text: str) -> str:
    """Return `text` as code, in a table too."""
    if _SIMPLE.fullmatch(text):
        return f"`{text}`"
    return f"<code>{_text(text)}</code>" if text else ""
