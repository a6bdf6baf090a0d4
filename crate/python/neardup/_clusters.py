from __future__ import annotations

from collections.abc import Iterable


def clusters(pairs: Iterable[tuple[int, int, float]]) -> list[list[int]]:
    """Group what `find_duplicates` found: texts are together if a chain of pairs joins them.

    Each cluster is ascending, and clusters are in the order of their first texts. Takes time
    nearly linear in the number of pairs.
    """
    parent: dict[int, int] = {}

    def root(text: int) -> int:
        while (above := parent.setdefault(text, text)) != text:
            parent[text] = parent[above]  # halves the path, so that the next walk is shorter
            text = above
        return text

    for left, right, _ in pairs:
        first, second = sorted((root(left), root(right)))
        parent[second] = first

    members: dict[int, list[int]] = {}
    for text in sorted(parent):
        members.setdefault(root(text), []).append(text)
    return list(members.values())
