from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from farm.model.errors import UsageError
from farm.model.settings import Settings, read_settings, schema

ROOT = Path(__file__).parents[2]


def test_an_empty_table_is_all_defaults() -> None:
    assert read_settings({}, "pyproject.toml") == Settings()


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ({"featuers": ["a"]}, "unknown key 'featuers'; did you mean 'features'?"),
        ({"smoke": {"comand": ["x"]}}, "unknown key 'smoke.comand'; did you mean 'command'?"),
        ({"no_default_features": True}, "did you mean 'no-default-features'?"),
        ({"arch": ["arm46"]}, "did you mean 'arm64'?"),
        ({"python": ["3.x"]}, "'3.x' is no Python"),
        ({"smoke": {"excuse": ["later"]}}, "'later' is no Python"),
        ({"limits": {"cpus": -1}}, "limits.cpus"),
        ({"mode": "cross-compile"}, "mode: must be 'hybrid' or 'emulated'"),
        ({"archive": "x"}, "archive: must be a table"),
        ({"environment": ["x"]}, "environment: must be a table"),
        ({"arch": "all"}, "arch: must be an array"),
        ({"python": [3.1]}, "python.0: must be a string"),
        ({"strip": "yes"}, "strip: must be true or false"),
        ({"limits": {"pids": 1.5}}, "limits.pids: must be a whole number"),
        ({"limits": {"keep-gib": "1"}}, "limits.keep-gib: must be a number"),
        ({"features": ["-x"]}, "features.0: '-x' is not the name of a Cargo feature"),
        (
            {"archive": {"mirror": "mirror.example"}},
            "archive.mirror: 'mirror.example' is not an address such as http://mirror.example/debian",
        ),
    ],
)
def test_what_is_wrong_is_named_with_its_place(table: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError) as caught:
        read_settings(table, "here/pyproject.toml")
    assert words in caught.value.message
    assert "here/pyproject.toml" in caught.value.message


def test_all_faults_are_told_at_once() -> None:
    with pytest.raises(UsageError) as caught:
        read_settings({"featuers": [], "limits": {"pids": 0}}, "pyproject.toml")
    assert "featuers" in caught.value.message
    assert "limits.pids" in caught.value.message


def test_the_schema_in_docs_is_that_of_the_model() -> None:
    kept = json.loads((ROOT / "docs" / "farm.schema.json").read_text(encoding="utf-8"))
    assert kept == schema(), "run: make schema"


def documented() -> dict[str, Any]:
    """Return key -> default of the table in docs/settings.md."""
    text = (ROOT / "docs" / "settings.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `([\w.-]+)` \| `(.*?)` \|", text, re.MULTILINE)
    return {key: tomllib.loads(f"x = {default}")["x"] for key, default in rows}


def defaults(table: dict[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in table.items():
        if isinstance(value, dict) and value:
            yield from defaults(value, f"{above}{key}.")
        else:
            yield above + key, value


def test_docs_tell_every_key_and_its_default() -> None:
    assert documented() == dict(defaults(Settings().model_dump(mode="json", by_alias=True)))
