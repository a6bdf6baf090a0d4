"""TOML files of a project, read with a name for every fault: file, key, what it should be."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from farm.model.errors import UsageError


@dataclass(frozen=True, kw_only=True)
class Table:
    """One table of a TOML file. A key may be given in several spellings; the first there wins."""

    file: Path
    data: Mapping[str, Any]
    name: str = ""
    """The table's dotted name, empty for the whole file."""

    def __contains__(self, key: str) -> bool:
        return key in self.data

    def text(self, *keys: str) -> str | None:
        """Return the string at the key, or None; raise UsageError when it is something else."""
        found: str | None = self._get(keys, str, "a string")
        return found

    def flag(self, *keys: str) -> bool | None:
        """Return the boolean at the key, or None; raise UsageError when it is something else."""
        found: bool | None = self._get(keys, bool, "true or false")
        return found

    def items(self, *keys: str) -> tuple[Any, ...]:
        """Return the array at the key, empty when absent; raise UsageError when it is none."""
        return tuple(self._get(keys, list, "an array") or ())

    def texts(self, *keys: str) -> tuple[str, ...]:
        """Return the array of strings at the key; raise UsageError when it is something else."""
        found = self.items(*keys)
        if not all(isinstance(item, str) for item in found):
            raise self.fault(keys[0], "an array of strings")
        return found

    def table(self, *keys: str) -> Table:
        """Return the table at the key, empty when absent; raise UsageError when it is none."""
        found = self._get(keys, dict, "a table")
        return Table(file=self.file, data=found or {}, name=self._dotted(keys[0]))

    def tables(self, key: str) -> tuple[Table, ...]:
        """Return the array of tables at the key; raise UsageError when it is something else."""
        found = self.items(key)
        if not all(isinstance(item, dict) for item in found):
            raise self.fault(key, "an array of tables")
        return tuple(Table(file=self.file, data=item, name=self._dotted(key)) for item in found)

    def fault(self, key: str, wanted: str) -> UsageError:
        """Return the error for a value that is not what it should be."""
        return UsageError(f"{self.file}: {self._dotted(key)} is not {wanted}", "Correct the file.")

    def _dotted(self, key: str) -> str:
        return f"{self.name}.{key}" if self.name else key

    def _get(self, keys: tuple[str, ...], kind: type[Any], wanted: str) -> Any:
        for key in keys:
            if key in self.data:
                if not isinstance(self.data[key], kind):
                    raise self.fault(key, wanted)
                return self.data[key]
        return None


def read_toml(file: Path, remedy: str) -> Table:
    """Return the parsed `file`.

    Raises UsageError: with `remedy` when there is no such file, with line and column when it
    is no TOML.
    """
    try:
        return parse_toml(file, file.read_bytes().decode())
    except FileNotFoundError:
        raise UsageError(f"no {file.name} in {file.parent}", remedy) from None
    except OSError as error:
        raise UsageError(f"{file} can't be read: {error.strerror}", remedy) from None
    except UnicodeDecodeError as error:
        raise UsageError(
            f"{file} is not UTF-8 (at byte {error.start})", "Save the file as UTF-8."
        ) from None
    except ValueError as error:  # a path with a null in it
        raise UsageError(f"{file} can't be read: {error}", remedy) from None


def parse_toml(file: Path, text: str) -> Table:
    """Return the parsed `text` of `file`; raise UsageError when it is no TOML."""
    try:
        return Table(file=file, data=tomllib.loads(text))
    except (ValueError, RecursionError) as error:  # the second for brackets in brackets
        raise UsageError(f"{file} is not valid TOML: {error}", "Correct the file.") from None
