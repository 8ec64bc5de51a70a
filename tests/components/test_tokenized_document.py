"""Values of tokens from values of spans of characters."""

import numpy as np

from rexplug import TokenizedDocument

TEXT = "the cell membrane is thin"
OFFSETS = [
    (0, 3),
    (3, 8),
    (8, 12),
    (12, 17),
    (17, 20),
    (20, 25),
]  # as byte-level BPE has them, `membrane` in two tokens
DOCUMENT = TokenizedDocument(
    "1", TEXT, np.arange(6, dtype=np.uint32), np.array(OFFSETS, np.uint32), np.array([1, 1, 1, 0, 1, 1], bool)
)


def test_a_token_has_the_value_of_the_span_that_its_last_character_is_in():
    scores = DOCUMENT.spans_to_tokens([4, 21], [17, 25], [200, 7])
    assert scores.dtype == np.uint8
    assert scores.tolist() == [0, 200, 200, 200, 0, 7]


def test_one_value_serves_all_spans():
    assert DOCUMENT.spans_to_tokens([4, 21], [17, 25], 255).tolist() == [0, 255, 255, 255, 0, 255]
    assert DOCUMENT.spans_to_tokens([], [], 255).tolist() == [0] * 6
