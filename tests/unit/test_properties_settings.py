"""Any table is settings or one error; what the farm takes, the schema takes."""

from __future__ import annotations

import re
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from farm.model.errors import UsageError
from farm.model.settings import Settings, read_settings, schema

BOUNDED = settings(
    max_examples=120,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],
)
WORDS = st.one_of(
    st.text(max_size=8),
    st.sampled_from(["all", "native", "x86_64", "3.12", "cp314t", "hybrid", "-x", "a\0", "a>=1"]),
)
SCALARS = st.one_of(
    WORDS, st.booleans(), st.integers(-(10**20), 10**20), st.floats(), st.datetimes()
)
RARELY = st.integers(0, 9).map(lambda number: number == 9)
SCHEMA = schema()
RIGHT: dict[str, st.SearchStrategy[Any]] = {
    "array": st.lists(WORDS, max_size=2),
    "boolean": st.booleans(),
    "integer": st.integers(-1, 5000),
    "number": st.floats(-1, 1000),
    "object": st.dictionaries(WORDS, WORDS, max_size=2),
    "string": WORDS,
}
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(WORDS, inner, max_size=3)),
    max_leaves=6,
)


@st.composite
def tables(draw: st.DrawFn, shape: dict[str, Any]) -> dict[str, Any]:
    """Return a table with some of the keys of `shape`, most values of the right type."""
    keys = draw(st.lists(st.sampled_from(sorted(shape["properties"])), max_size=4, unique=True))
    table = {key: draw(value_of(shape["properties"][key])) for key in keys}
    return table | (draw(st.dictionaries(WORDS, SCALARS, max_size=1)) if draw(RARELY) else {})


@st.composite
def value_of(draw: st.DrawFn, shape: dict[str, Any]) -> Any:
    if draw(RARELY):
        return draw(VALUES)
    if "$ref" in shape:
        return draw(tables(SCHEMA["$defs"][shape["$ref"].rpartition("/")[2]]))
    if "enum" in shape:
        return draw(st.sampled_from(shape["enum"]))
    return draw(RIGHT[shape["type"]])


def fits(value: Any, shape: dict[str, Any]) -> bool:
    """Tell whether `value` is of `shape`, by the words of JSON Schema that the farm's has."""
    if "$ref" in shape:
        shape = SCHEMA["$defs"][shape["$ref"].rpartition("/")[2]]
    known = {"title", "description", "default", "$schema", "$defs", "format"}
    match shape.get("type"):
        case "object":
            names = shape.get("properties", {})
            more = shape.get("additionalProperties", True)
            patterns = shape.get("patternProperties", {})
            known |= {"type", "properties", "additionalProperties", "patternProperties"}
            good = isinstance(value, dict) and all(
                fits(item, names[key])
                if key in names
                else any(re.search(p, key) and fits(item, s) for p, s in patterns.items())
                or (isinstance(more, dict) and fits(item, more))
                or (more is True and not patterns)
                for key, item in value.items()
            )
        case "array":
            known |= {"type", "items"}
            good = isinstance(value, list) and all(fits(i, shape["items"]) for i in value)
        case "string":
            known |= {"type", "pattern", "enum"}
            good = isinstance(value, str) and bool(re.search(shape.get("pattern", ""), value))
            good = good and value in shape.get("enum", [value])
        case "boolean":
            known |= {"type"}
            good = isinstance(value, bool)
        case "integer" | "number" as kind:
            known |= {"type", "minimum", "maximum", "exclusiveMinimum"}
            types = (int,) if kind == "integer" else (int, float)
            good = isinstance(value, types) and not isinstance(value, bool)
            good = good and shape.get("minimum", value) <= value <= shape.get("maximum", value)
            good = good and ("exclusiveMinimum" not in shape or value > shape["exclusiveMinimum"])
        case other:
            pytest.fail(f"a type that this test does not know: {other}")
    assert not shape.keys() - known, "a word that this test does not know"
    return good


@BOUNDED
@given(tables(SCHEMA))
@example({"limits": {"memory-gib": float("inf")}})
@example({"environment": {"A\n": "b"}})
def test_any_table_is_settings_or_an_error_and_the_schema_takes_what_the_farm_does(
    table: dict[str, Any],
) -> None:
    try:
        made = read_settings(table, "pyproject.toml")
    except UsageError:
        return
    assert isinstance(made, Settings)
    assert fits(table, SCHEMA)
    again = made.model_dump(mode="json", by_alias=True)
    assert read_settings(again, "pyproject.toml") == made


@BOUNDED
@given(st.dictionaries(WORDS, VALUES))
def test_a_table_of_anything_is_settings_or_an_error(table: dict[str, Any]) -> None:
    with suppress(UsageError):
        assert isinstance(read_settings(table, "pyproject.toml"), Settings)
