"""What goes wrong with the user's disk, as an error that names the file."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from farm.model.errors import UsageError


@contextmanager
def readable() -> Iterator[None]:
    """Turn an OSError of what runs inside into a UsageError with the file's name.

    A directory without permission, a path that is too long, a disk that fails.
    """
    try:
        yield
    except OSError as error:
        raise UsageError(
            f"{error.filename or 'a file of the project'} can't be read: {error.strerror}",
            "Make it readable, or correct the path that leads to it.",
        ) from None
