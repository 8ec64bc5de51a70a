"""What a word is, told from characters, so that it holds for BPE, WordPiece and Unigram tokenizers alike."""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

SPACE, WORD, OTHER = 0, 1, 2


@cache
def _classes() -> NDArray[np.uint8]:
    table = np.full(0x110000, OTHER, np.uint8)
    for code in range(0x110000):
        char = chr(code)
        if char.isalnum() or char == "_":
            table[code] = WORD
        elif char.isspace():
            table[code] = SPACE
    return table


def character_classes(text: str) -> NDArray[np.uint8]:
    """Per character 0 = white space, 1 = letter, digit or underscore, 2 = anything else; `[len(text)]`."""
    codes = (
        np.frombuffer(text.encode(), np.uint8)
        if text.isascii()
        else np.frombuffer(text.encode("utf-32-le", "surrogatepass"), "<u4")
    )
    found: NDArray[np.uint8] = _classes()[codes]
    return found


def word_starts(text: str, offsets: NDArray[np.uint32] | NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which tokens begin a word, `[num_tokens]`.

    A word is a run of letters, digits and underscores, or a single other character. White space at the start of a
    token belongs to no word (byte-level BPE keeps it in the token). The second token of a character that was split
    into bytes continues its word.
    """
    num_tokens = len(offsets)
    if num_tokens == 0:
        return np.zeros(0, np.bool_)
    classes = np.append(character_classes(text), np.uint8(SPACE))
    last = np.maximum(offsets[:, 1].astype(np.int64) - 1, 0)
    first = np.minimum(offsets[:, 0].astype(np.int64), last)
    # White space at the start of a token is passed over: one character for most, more for few.
    behind = np.flatnonzero((classes[first] == SPACE) & (first < last))
    while len(behind):
        first[behind] += 1
        behind = behind[(classes[first[behind]] == SPACE) & (first[behind] < last[behind])]
    before = np.where(first > 0, classes[first - 1], SPACE)
    starts = (classes[first] != WORD) | (before != WORD)
    same = np.zeros(num_tokens, np.bool_)
    same[1:] = first[1:] == first[:-1]
    found: NDArray[np.bool_] = starts & ~same
    return found
