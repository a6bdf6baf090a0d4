"""Near-duplicate detection of texts: MinHash, LSH banding, verified Jaccard."""

from ._clusters import clusters
from ._neardup import (
    Index,
    __version__,
    estimate,
    find_duplicates,
    signature,
    similarity,
)

__all__ = [
    "Index",
    "__version__",
    "clusters",
    "estimate",
    "find_duplicates",
    "signature",
    "similarity",
]
