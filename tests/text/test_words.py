"""The definitions of a word agree with the patterns that they stand for, on any text."""

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from rexplug.text.words import lower_words, split_words, split_words_and_marks, word_bounds, word_spans

TEXT = "Don't  e-mail: 12.5 ml_x, Größe ÅNGSTRÖM 東京 İstanbul ﬁne e\u0301 🙂\n\u2028½ ²"


@given(st.text(max_size=60))
@example(TEXT)
@example("\ud800 a\ud801")
@example("A_B-9\x1c\x85c")
def test_words_are_runs_of_letters_digits_and_underscores(text):
    assert split_words(text) == re.findall(r"\w+", text)
    assert lower_words(text) == re.findall(r"\w+", text.lower())
    assert word_spans(text) == [match.span() for match in re.finditer(r"\w+", text)]
    starts, ends = word_bounds(text)
    assert [text[a:b] for a, b in zip(starts, ends, strict=True)] == split_words(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Don't e-mail: 5 %!", ["Don't", "e-mail", ":", "5", "%", "!"]),
        ("it’s 'quoted' - well", ["it’s", "'", "quoted", "'", "-", "well"]),
        ("a--b", ["a", "-", "-", "b"]),
        ("", []),
    ],
)
def test_filters_join_words_at_inner_apostrophes_and_hyphens_and_count_marks(text, expected):
    assert split_words_and_marks(text) == expected
