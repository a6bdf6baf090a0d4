"""The engine's memory, as a run's builds use it: a part each, or all of it for one alone."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class Turns:
    """Lets builds go on side by side, and one that has to be alone once no other is under way."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._under_way = 0
        self._alone = 0
        """How many want to be alone, or are."""

    @contextmanager
    def turn(self, *, alone: bool) -> Iterator[None]:
        """Wait for a turn and have it to the end of the block.

        Who wants to be alone comes before those who do not, so that it is not put off for ever.
        """
        with self._changed:
            if alone:
                self._alone += 1
                self._changed.wait_for(lambda: not self._under_way)
            else:
                self._changed.wait_for(lambda: not self._alone)
            self._under_way += 1
        try:
            yield
        finally:
            with self._changed:
                self._under_way -= 1
                self._alone -= alone
                self._changed.notify_all()
