"""JSON on stdout: any of the farm's values, by its own fields."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any

from farm.model.targets import Interpreter

_HALF = re.compile("[\ud800-\udfff]")


def dump(value: Any) -> str:
    """Return `value`, a dataclass or a tuple of them, as indented JSON.

    Half a character, of a file's name that is no UTF-8, is escaped as JSON has it.
    """
    text = json.dumps(value, default=_plain, indent=2, ensure_ascii=False)
    return _HALF.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def canonical(value: Any) -> str:
    """Return `value` as JSON that is the same for the same value, whatever the order of keys."""
    return json.dumps(value, default=_plain, sort_keys=True)


def _plain(value: Any) -> Any:
    """Return what JSON has for `value`: an object, or an interpreter's version."""
    if isinstance(value, Interpreter):
        return value.version
    if isinstance(value, Mapping):
        return dict(value)
    if is_dataclass(value):
        return {field.name: getattr(value, field.name) for field in fields(value)}
    raise TypeError(value)
