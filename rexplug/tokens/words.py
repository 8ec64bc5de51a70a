"""Where words start, told from characters and offsets, so that it holds for BPE, WordPiece and Unigram alike."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from rexplug.characters import SPACE, WORD, character_classes


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
