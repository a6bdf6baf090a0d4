"""The SDK's errors, turned into the farm's."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import requests
from docker.errors import APIError

from farm.model.errors import SurroundingsError
from farm.model.failures import Cause


@contextmanager
def translated(what: str) -> Iterator[None]:
    """Turn the SDK's errors into the farm's, saying `what` the engine was asked to do."""
    try:
        yield
    except APIError as error:
        text = str(error.explanation or error)
        if "no space left" in text.lower():
            raise SurroundingsError(
                f"the engine has no room left: could not {what} ({text})",
                "Free room where the engine keeps its data, for example by "
                "`docker system df` and `farm images prune`.",
                cause=Cause.ROOM,
            ) from error
        raise SurroundingsError(
            f"the engine could not {what}: {text}", "Run farm doctor."
        ) from error
    except (requests.RequestException, ConnectionError) as error:
        raise SurroundingsError(
            f"the engine went away: could not {what} ({error})",
            "Run farm doctor.",
            cause=Cause.ENGINE,
        ) from error
