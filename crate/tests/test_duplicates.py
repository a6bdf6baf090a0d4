import random
from itertools import combinations

import pytest

from neardup import Index, clusters, find_duplicates, similarity


def text(source, words=60):
    return [f"word{source.randrange(5000)}" for _ in range(words)]


def planted(count):
    """Texts in twos: one at random, and one with two of its words replaced."""
    source = random.Random(0)
    for _ in range(count):
        original = text(source)
        copy = list(original)
        copy[20] = copy[40] = "other"
        yield " ".join(original)
        yield " ".join(copy)


def test_planted_duplicates_are_found_with_their_exact_similarity():
    texts = list(planted(12))
    wanted = [
        (left, right, exact)
        for left, right in combinations(range(len(texts)), 2)
        if (exact := similarity(texts[left], texts[right])) >= 0.8
    ]
    assert len(wanted) == 12
    assert find_duplicates(texts) == wanted


def test_the_threshold_is_inclusive():
    texts = ["a b c d", "a b c d e"]
    assert find_duplicates(texts, shingle=1, threshold=0.8) == [(0, 1, 0.8)]
    assert find_duplicates(texts, shingle=1, threshold=0.81) == []


def test_copies_are_paired_with_the_first_of_them():
    texts = ["one two three", "else", "One, two, three!", "one  two three"]
    assert find_duplicates(texts) == [(0, 2, 1.0), (0, 3, 1.0)]


@pytest.mark.parametrize("texts", [[], ["alone"], ["", " ", "…"]])
def test_there_may_be_none(texts):
    assert find_duplicates(texts) == []


def test_texts_may_come_from_any_iterable():
    assert find_duplicates(iter(("a b", "a b"))) == [(0, 1, 1.0)]


def test_an_index_finds_what_find_duplicates_finds():
    texts = list(planted(4))
    index = Index()
    assert index.add_many(texts) == range(8)
    found = {
        (left, right, exact)
        for left, original in enumerate(texts)
        for right, exact in index.query(original)
        if left < right
    }
    assert found == set(find_duplicates(texts))


def test_an_index_numbers_texts_as_they_come():
    index = Index(threshold=0.5, shingle=1)
    assert index.add("a b c") == 0
    assert index.add_many(["x", "", "A B C"]) == range(1, 4)
    assert index.add("a b c d") == 4
    assert len(index) == 5
    assert index.query("c, b, a") == [(0, 1.0), (3, 1.0), (4, 0.75)]
    assert index.query("unknown") == index.query("") == []


def test_an_index_takes_all_or_nothing():
    index = Index()
    with pytest.raises(TypeError, match=r"texts\[1\] must be a str, not .*int"):
        index.add_many(["fine", 1])
    assert len(index) == 0


def test_an_index_shows_its_settings():
    index = Index(threshold=0.5, unit="char", shingle=5)
    index.add("text")
    expected = "<Index of 1 texts: threshold=0.5, num_hashes=128, shingle=5, unit='char'>"
    assert repr(index) == expected


def test_clusters_follow_chains_of_pairs():
    pairs = [(5, 9, 0.8), (2, 4, 0.9), (4, 5, 0.9), (1, 7, 1.0)]
    assert clusters(pairs) == [[1, 7], [2, 4, 5, 9]]
    assert clusters([]) == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"threshold": 0}, "threshold must be above 0 and at most 1, not 0"),
        ({"threshold": 1.5}, "threshold must be above 0 and at most 1, not 1.5"),
        ({"threshold": float("nan")}, "threshold must be above 0"),
        ({"threshold": 0.01}, "threshold 0.01 is too low for num_hashes 128"),
        ({"num_hashes": 0}, "num_hashes must be from 1 to 4096, not 0"),
        ({"num_hashes": 5000}, "num_hashes must be from 1 to 4096, not 5000"),
        ({"shingle": -1}, "shingle must be at least 1, not -1"),
        ({"unit": "line"}, "unit must be 'word' or 'char', not 'line'"),
    ],
)
def test_senseless_settings_are_refused_by_name(arguments, message):
    with pytest.raises(ValueError, match=message):
        find_duplicates([], **arguments)
    with pytest.raises(ValueError, match=message):
        Index(**arguments)


def test_one_str_is_not_an_iterable_of_texts():
    with pytest.raises(TypeError, match="iterable of str, not one str"):
        find_duplicates("text")


def test_a_lone_surrogate_is_a_value_error():
    with pytest.raises(ValueError, match="surrogates not allowed"):
        find_duplicates(["fine", "\ud800"])
