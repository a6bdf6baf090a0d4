from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

BENCH = Path(__file__).resolve().parents[2] / "bench"


@pytest.fixture
def scenarios(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    before = set(sys.modules)
    monkeypatch.syspath_prepend(BENCH)
    import scenarios

    yield scenarios
    for name in set(sys.modules) - before:  # the bench's modules have plain names
        if str(BENCH) in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]


@pytest.fixture
def results(scenarios: ModuleType) -> ModuleType:
    assert scenarios
    import results

    return results


def figures(scenarios: ModuleType, form: str, seconds: float) -> list[dict[str, object]]:
    return [
        {
            "project": step.project.name,
            "scenario": step.scenario,
            "contestant": step.contestant,
            "round": step.round,
            "figures": {"build": seconds, "whole": seconds, "cpu": seconds, "ideal": seconds},
            "checked": False,
            "wheels": [seconds, seconds],
        }
        for step in scenarios.FORMS[form].steps()
    ]


@pytest.mark.parametrize("form", ["long", "short"])
def test_no_measurement_is_made_twice(scenarios: ModuleType, form: str) -> None:
    names = [step.name for step in scenarios.FORMS[form].steps()]
    assert len(names) == len(set(names))


def test_in_each_round_another_contestant_begins(scenarios: ModuleType) -> None:
    first: dict[int, str] = {}
    for step in scenarios.LONG.steps():
        if step.project is scenarios.CRATE and step.scenario == "x86_64":
            first.setdefault(step.round, step.contestant)
    assert first == {1: "farm", 2: "plain", 3: "cibuildwheel"}


def test_the_long_form_measures_every_ratio_of_every_project(
    scenarios: ModuleType, results: ModuleType
) -> None:
    seen = results.ratios(figures(scenarios, "long", 1.0))
    assert {each.ratio.title for each in seen} == {ratio.title for ratio in scenarios.RATIOS}
    assert {each.value for each in seen} == {1.0}


def test_a_ratio_is_of_medians_with_the_spread_of_its_rounds(
    scenarios: ModuleType, results: ModuleType
) -> None:
    records = figures(scenarios, "long", 10.0)
    for record in records:
        if record["contestant"] == "farm":
            record["figures"] = {"build": 10.0 * (1, 2, 6)[int(str(record["round"])) - 1]}
    seen = next(r for r in results.ratios(records) if r.ratio.title.startswith("x86_64 alone"))
    assert (seen.value, seen.low, seen.high, seen.rounds) == (2.0, 1.0, 6.0, 3)


def test_bounds_hold_up_to_themselves(scenarios: ModuleType) -> None:
    cell = scenarios.Cell(scenario="x86_64", contestant="farm", figure="build")
    most = scenarios.Ratio(title="most", over=cell, at_most=0.85)
    least = scenarios.Ratio(title="least", over=cell, at_least=1.4)
    assert [most.holds(0.85), most.holds(0.86)] == [True, False]
    assert [least.holds(1.4), least.holds(1.39)] == [True, False]


def test_what_was_measured_is_found_again_and_not_mixed_with_another_farm(
    scenarios: ModuleType, results: ModuleType, tmp_path: Path
) -> None:
    from contestants import Found

    store = results.Store(directory=tmp_path / "results")
    store.open({"farm": "one"})
    step, other = list(scenarios.SHORT.steps())[:2]
    store.write(step, Found(figures={"build": 2.0}), took=3.0, commands=["make"], load=0.1)
    store.open({"farm": "one"})
    assert [store.has(step), store.has(other)] == [True, False]
    assert store.guess(step) == 3.0
    assert store.guess(other) == 2.0 * scenarios.SCENARIOS[other.scenario].builds
    (record,) = store.records()
    assert record["figures"] == {"build": 2.0}
    assert record["commands"] == ["make"]
    with pytest.raises(SystemExit):
        store.open({"farm": "another"})
    assert json.loads((tmp_path / "results" / results.IDENTITY).read_bytes()) == {"farm": "one"}


def test_the_table_has_a_line_for_each_contestant(
    scenarios: ModuleType, results: ModuleType
) -> None:
    growth = [{"jobs": 10, "seconds": 1.0, "cpu": 1.0, "peak MiB": 50.0}]
    text = results.table(figures(scenarios, "short", 1.0), growth)
    assert "| crate | one aarch64 wheel, cold | cargo-zigbuild | 1.00 | 1.00 | 1.00 | 1 |" in text
    assert "| crate | 2 | 1.00 |" in text
    assert "| 10 | 1.00 | 1.00 | 50.0 |" in text


def test_growth_runs_as_many_jobs_as_it_is_told() -> None:
    script = BENCH / "growth.py"
    ended = subprocess.run([sys.executable, script, "12"], capture_output=True, check=False)
    assert ended.returncode == 0, ended.stderr.decode()
    assert json.loads(ended.stdout)["jobs"] == 12
