"""What reads and writes the farm's values as JSON."""

from __future__ import annotations

from typing import Any, TypeVar

from pydantic import TypeAdapter

Value = TypeVar("Value")

_made: dict[Any, TypeAdapter[Any]] = {}


def adapter(kind: type[Value]) -> TypeAdapter[Value]:
    """Return the reader and writer of `kind`.

    It is made when it is first asked for, since that takes milliseconds, and kept.
    """
    if kind not in _made:
        _made[kind] = TypeAdapter(kind)
    return _made[kind]
