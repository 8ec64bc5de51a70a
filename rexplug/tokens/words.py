"""Where words start, told from characters and offsets, so that it holds for BPE, WordPiece and Unigram alike."""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

_SPACE, _WORD, _OTHER = 0, 1, 2


@cache
def _classes() -> NDArray[np.uint8]:
    table = np.full(0x110000, _OTHER, np.uint8)
    for code in range(0x110000):
        char = chr(code)
        if char.isalnum() or char == "_":
            table[code] = _WORD
        elif char.isspace():
            table[code] = _SPACE
    return table


def character_classes(text: str) -> NDArray[np.uint8]:
    """Per character 0 = white space, 1 = letter, digit or underscore, 2 = anything else; `[len(text)]`."""
    found: NDArray[np.uint8] = _classes()[np.frombuffer(text.encode("utf-32-le", "surrogatepass"), "<u4")]
    return found


def word_starts(text: str, offsets: NDArray[np.uint32]) -> NDArray[np.bool_]:
    """Which tokens begin a word, `[num_tokens]`.

    A word is a run of letters, digits and underscores, or a single other character. White space at the start of a
    token belongs to no word (byte-level BPE keeps it in the token). The second token of a character that was split
    into bytes continues its word.
    """
    num_tokens = len(offsets)
    if num_tokens == 0:
        return np.zeros(0, np.bool_)
    classes = np.append(character_classes(text), np.uint8(_SPACE))
    length = len(classes) - 1
    # For each character, the first one at or after it that is no white space.
    places = np.where(classes[:length] != _SPACE, np.arange(length), length)
    solid = np.append(np.minimum.accumulate(places[::-1])[::-1], length)
    first = solid[np.minimum(offsets[:, 0], length)]
    first = np.minimum(first, np.maximum(offsets[:, 1].astype(np.int64) - 1, 0))
    before = np.where(first > 0, classes[first - 1], _SPACE)
    starts = (classes[first] != _WORD) | (before != _WORD)
    same = np.zeros(num_tokens, np.bool_)
    same[1:] = first[1:] == first[:-1]
    found: NDArray[np.bool_] = starts & ~same
    return found
