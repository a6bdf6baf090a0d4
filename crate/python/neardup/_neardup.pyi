from collections.abc import Iterable, Sequence
from typing import Literal, final

from typing_extensions import TypeAlias

__all__ = [
    "Index",
    "__version__",
    "estimate",
    "find_duplicates",
    "signature",
    "similarity",
]

__version__: str

_Unit: TypeAlias = Literal["word", "char"]

def similarity(left: str, right: str, *, shingle: int = 3, unit: _Unit = "word") -> float:
    """The Jaccard similarity of two texts' shingle sets, from 0 to 1."""

def signature(
    text: str, *, num_hashes: int = 128, shingle: int = 3, unit: _Unit = "word"
) -> list[int]:
    """The MinHash signature of a text: `num_hashes` integers below 2**32."""

def estimate(left: Sequence[int], right: Sequence[int]) -> float:
    """The similarity of two texts, estimated from their signatures.

    The standard error is at most 0.5 / sqrt(len(left)): 0.044 for 128 hashes.
    """

def find_duplicates(
    texts: Iterable[str],
    *,
    threshold: float = 0.8,
    num_hashes: int = 128,
    shingle: int = 3,
    unit: _Unit = "word",
) -> list[tuple[int, int, float]]:
    """The pairs of near-duplicates among texts, as (left, right, similarity) with left < right.

    Sorted; see the README for what is found and what it costs.
    """

@final
class Index:
    """Texts to look up near-duplicates in; safe to share between threads."""

    def __new__(
        cls,
        *,
        threshold: float = 0.8,
        num_hashes: int = 128,
        shingle: int = 3,
        unit: _Unit = "word",
    ) -> Index: ...
    def add(self, text: str) -> int:
        """Adds a text and returns its number."""

    def add_many(self, texts: Iterable[str]) -> range:
        """Adds all of the texts, or none if there is an error, and returns their numbers."""

    def query(self, text: str) -> list[tuple[int, float]]:
        """The texts similar to this one, as (number, similarity), the most similar first."""

    def __len__(self) -> int: ...
