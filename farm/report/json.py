"""JSON on stdout: any of the farm's values, by its own fields."""

from __future__ import annotations

from typing import Any

from pydantic import TypeAdapter


def dump(value: Any) -> str:
    """Return `value`, a dataclass or a tuple of them, as indented JSON."""
    return TypeAdapter(Any).dump_json(value, indent=2).decode()
