"""Images as a run uses them: some of them may still be made."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass

from farm.engine.stock import INPUTS, LEFT_OUT, Image, interpreters_of
from farm.model.targets import Interpreter


def at_hand(image: Image) -> Future[Image]:
    """Return what to wait for where an image is there: nothing."""
    ready: Future[Image] = Future()
    ready.set_result(image)
    return ready


@dataclass(frozen=True, kw_only=True)
class Supply(Mapping[str, Image]):
    """Images by name; to ask for one waits until it is there.

    That raises SurroundingsError for one that could not be made.
    """

    labels: Mapping[str, Mapping[str, str]]
    """Each image's labels, which are known before it is there."""
    coming: Mapping[str, Future[Image]]

    def __getitem__(self, name: str) -> Image:
        return self.coming[name].result()

    def __iter__(self) -> Iterator[str]:
        return iter(self.coming)

    def __len__(self) -> int:
        return len(self.coming)

    @property
    def inputs(self) -> dict[str, str]:
        """The hash of all that each is made from, by name."""
        return {name: labels[INPUTS] for name, labels in self.labels.items()}

    def interpreters(self, name: str) -> tuple[Interpreter, ...]:
        """Return the interpreters that an image has or will have."""
        return interpreters_of(self.labels[name])

    @property
    def gaps(self) -> dict[str, list[str]]:
        """Which interpreters the images are made without, each gap with the images' names."""
        found: dict[str, list[str]] = {}
        for name, labels in self.labels.items():
            if gap := labels.get(LEFT_OUT):
                found.setdefault(gap, []).append(name)
        return found

    def there(self) -> dict[str, Image]:
        """Return those that are there by now."""
        ready = (f for f in self.coming.values() if f.done() and f.exception() is None)
        return {image.name: image for image in (future.result() for future in ready)}

    def awaited(self, names: Sequence[str]) -> tuple[Future[Image], ...]:
        """Return what ends when the images `names` are there, or can't be made."""
        return tuple(self.coming[name] for name in names)
