"""Strings of structured data: white space, invisible characters, and Unicode normalisation."""

import pytest

from rexplug.corpus.structured_data.values import collapsed


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("  two\n\twords \x00 ", "two words"),
        ("Woll\u00adsocken", "Wollsocken"),
        ("b\u200bu\u200by", "buy"),
        ("\u200fנעל\u200e ABC", "נעל ABC"),
        ("می\u200cشود", "می\u200cشود"),
        ("क्\u200dष", "क्\u200dष"),
        ("👩\u200d👧", "👩\u200d👧"),
        ("Gro\u0308ße カ\u3099", "Größe ガ"),
        ("\ud800x", "?x"),
    ],
)
def test_white_space_and_invisible_characters_collapse(text, expected):
    assert collapsed(text) == expected
