"""Measures the farm beside other ways to make the same wheels, in one run, by turns.

    .venv/bin/python bench/run.py [--form long|short|checks] [--minutes N] [--fresh] [--table]

`make bench` is the long form, `make bench-short` the short one. Each measurement is written down
as soon as it is made, and a run that was ended goes on where it was. Ends with status 1 when a
ratio breaks its bound, or a measurement failed. See README.md beside this.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))

from growth import measured  # noqa: E402 - some of these import what lies beside the tests
from lab import Failed, Lab, open_lab  # noqa: E402
from picture import draw  # noqa: E402
from results import Store, identity, ratios, table  # noqa: E402
from scenarios import FORMS, Form, Step  # noqa: E402

from farm.engine import images  # noqa: E402
from farm.model.targets import Arch  # noqa: E402

RESULTS = ROOT / "bench" / "results"
_INTERRUPTED = 130


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What a run could not measure."""

    left_out: list[str] = field(default_factory=list)
    """For want of time."""
    failed: list[str] = field(default_factory=list)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--form", choices=FORMS, default="long")
    parser.add_argument("--minutes", type=float, help="by default what the form has")
    parser.add_argument("--fresh", action="store_true", help="forget what was measured before")
    parser.add_argument("--table", action="store_true", help="measure nothing, show what there is")
    options = parser.parse_args()
    form = FORMS[options.form]
    store = Store(directory=RESULTS / options.form)
    outcome = Outcome()
    if not options.table:
        if options.fresh or not form.resumes:
            shutil.rmtree(store.directory, ignore_errors=True)
        try:
            with open_lab() as lab:
                minutes = form.minutes if options.minutes is None else options.minutes
                outcome = measure(lab, store, form, minutes * 60)
        except KeyboardInterrupt:
            say("interrupted" + "; the next call goes on from here" * form.resumes)
            return _INTERRUPTED
    return show(store, form, outcome)


def measure(lab: Lab, store: Store, form: Form, budget: float) -> Outcome:
    """Make the measurements that are missing, as far as `budget` seconds let."""
    prepare(lab, store, form)
    end = time.monotonic() + budget
    outcome = Outcome()
    for step in form.steps():
        if store.has(step):
            continue
        guess = store.guess(step)
        if time.monotonic() + guess > end:
            outcome.left_out.append(f"{step.name}, which takes about {guess:.0f} s")
        else:
            make(lab, store, step, outcome)
    store.keep_growth(measured(lab.environment))
    return outcome


def prepare(lab: Lab, store: Store, form: Form) -> None:
    """Have the images that are needed, in time that no budget counts."""
    emulated = any(step.scenario == "emulated" and not store.has(step) for step in form.steps())
    RESULTS.mkdir(parents=True, exist_ok=True)
    words = ("--emulated",) if emulated else ()
    try:
        lab.farm(RESULTS / "images.log", "images", "build", *words)
    except Failed as fault:
        raise SystemExit(f"images could not be made: {fault}") from fault
    names = [f"{kind}-{arch}" for kind in ("builder", "check") for arch in Arch]
    found = images.find(lab.client, names)
    store.open(identity({name: image.reference for name, image in found.items()}))


def make(lab: Lab, store: Store, step: Step, outcome: Outcome) -> None:
    """Make one measurement and write it down, or why it could not be made."""
    log = store.log(step)
    log.unlink(missing_ok=True)
    lab.commands.clear()
    load, began = os.getloadavg()[0], time.monotonic()
    try:
        found = step.measure(lab, log)
    except Failed as fault:
        outcome.failed.append(f"{step.name}: {fault}")
        say(f"FAILED {outcome.failed[-1]}")
        return
    took = time.monotonic() - began
    store.write(step, found, took=took, commands=lab.commands, load=load)
    told = ", ".join(f"{name} {value:.2f}" for name, value in found.figures.items())
    say(f"{step.name}: {told} ({took:.0f} s in all)")


def show(store: Store, form: Form, outcome: Outcome) -> int:
    """Print and keep what all figures come to; return the exit status."""
    records = store.records()
    text, seen = table(records, store.growth()), ratios(records)
    print(text)
    if seen:
        (store.directory / "table.md").write_text(text + "\n", encoding="utf-8")
        draw(records, ROOT / form.picture if form.picture else store.directory / "bench.svg")
    broken = [
        f"{each.ratio.title}, {each.project}: {each.value:.2f}, {each.ratio.bound}"
        for each in seen
        if not each.holds
    ]
    for what, lines in (
        ("left to the long form", [form.left] if form.left else []),
        ("no time was left for", outcome.left_out),
        ("FAILED", outcome.failed),
        ("BROKEN", broken),
    ):
        for line in lines:
            print(f"{what}: {line}")
    return 1 if broken or outcome.failed or not seen else 0


def say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
