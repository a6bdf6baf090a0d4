import unicodedata

import pytest

from neardup import estimate, signature, similarity

QUICK = "the quick brown fox jumps over the lazy dog"


@pytest.mark.parametrize(
    ("left", "right", "shingle", "unit", "expected"),
    [
        ("a b c d", "a b c d", 2, "word", 1.0),
        ("a b c d", "a b c e", 2, "word", 2 / 4),
        ("a b c d", "d c b a", 1, "word", 1.0),
        ("a b c d", "d c b a", 2, "word", 0.0),
        ("a b a b a b", "a b", 2, "word", 1 / 2),
        ("abcd", "bcde", 2, "char", 2 / 4),
        ("abcd", "a b c d", 1, "char", 4 / 5),
        ("two words", "two words", 9, "word", 1.0),
    ],
)
def test_jaccard_is_the_one_worked_out_by_hand(left, right, shingle, unit, expected):
    assert similarity(left, right, shingle=shingle, unit=unit) == expected


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("Hello, World!", "hello   world"),
        ("\ufb01ne \uff37\uff49\uff44\uff45", "fine wide"),
        ("ÉCOLE", unicodedata.normalize("NFD", "école")),
        ("don't stop", "Don't\nstop."),
    ],
)
def test_case_encoding_spacing_and_punctuation_do_not_count(left, right):
    assert similarity(left, right, shingle=1) == 1.0


def test_accents_and_letters_do_count():
    assert similarity("école", "ecole", shingle=1) == 0.0


def test_words_are_found_in_scripts_without_spaces():
    assert similarity("我喜欢茶", "我喜欢咖啡", shingle=1) == 3 / 6


def test_characters_are_code_points_not_bytes():
    assert similarity("日本語", "日本史", shingle=1, unit="char") == 2 / 4


@pytest.mark.parametrize("blank", ["", " \t\n", "…!?"])
def test_blank_texts_are_like_nothing(blank):
    assert similarity(blank, blank) == 0.0
    assert estimate(signature(blank), signature(blank)) == 0.0


@pytest.mark.parametrize(
    ("text", "settings", "expected"),
    [
        (QUICK, {}, [698012917, 1206539971, 144245671, 276845469]),
        (
            "Naïve ﬁnd: 日本",
            {"shingle": 5, "unit": "char"},
            [1196649219, 194028808, 1057885799, 256580814],
        ),
    ],
)
def test_signatures_never_change(text, settings, expected):
    assert signature(text, num_hashes=4, **settings) == expected


def test_signatures_grow_by_appending():
    assert signature(QUICK, num_hashes=16)[:8] == signature(QUICK, num_hashes=8)


def test_estimates_lie_near_the_truth():
    left = " ".join(str(number) for number in range(100))
    right = " ".join(str(number) for number in range(40, 140))
    assert similarity(left, right, shingle=1) == 60 / 140
    signatures = [signature(text, num_hashes=1024, shingle=1) for text in (left, right)]
    assert estimate(*signatures) == pytest.approx(60 / 140, abs=0.05)


@pytest.mark.parametrize(("left", "right"), [([1, 2], [1]), ([], [])])
def test_signatures_of_unlike_length_cannot_be_compared(left, right):
    with pytest.raises(ValueError, match="same length"):
        estimate(left, right)
