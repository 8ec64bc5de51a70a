"""Splits text into words by its characters: the same for every part of rexplug and for any tokenizer and script.

A *word* is a run of letters, digits and underscores: what `\\w+` matches. Two callers need a little more:

- token stores and whole-word masking also count every other character that is not white space as a word by itself
  (`word_starts`), so that each token belongs to a word or is white space;
- quality filters and near-duplicate search follow datatrove's filters: inner apostrophes and hyphens join words, and
  punctuation marks count (`split_words_and_marks`).
"""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


_WORD = re.compile(r"\w+")
_WORD_OR_MARK = re.compile(r"\w+(?:['’\-]\w+)*|[^\w\s]")
_LOWER_ASCII = {code: chr(code).lower() if _WORD.match(chr(code)) else " " for code in range(128)}
"""ASCII: small letters, and a blank for characters that are in no word."""
_SPACE, _IN_WORD, _OTHER = 0, 1, 2


def split_words(text: str) -> list[str]:
    """The words of a text, in order."""
    return _WORD.findall(text)


def lower_words(text: str) -> list[str]:
    """The words of the lower-cased text, in order."""
    if text.isascii():  # twice as fast as the pattern
        return text.translate(_LOWER_ASCII).split()
    return _WORD.findall(text.lower())


def word_spans(text: str) -> list[tuple[int, int]]:
    """(start, end) in characters of each word, end exclusive, in order."""
    starts, ends = word_bounds(text)
    return list(zip(starts.tolist(), ends.tolist(), strict=True))


def word_bounds(text: str) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Starts and ends in characters of all words, both `[num_words]`, ends exclusive: `word_spans` as arrays."""
    import numpy as np

    in_word = np.zeros(len(text) + 2, np.bool_)
    np.equal(_character_classes(text), _IN_WORD, out=in_word[1:-1])
    edges = np.flatnonzero(in_word[1:] != in_word[:-1])
    return edges[::2], edges[1::2]


def split_words_and_marks(text: str) -> list[str]:
    """Words, with inner apostrophes and hyphens (`don't`, `e-mail`), and punctuation marks one by one, in order."""
    return _WORD_OR_MARK.findall(text)


@cache
def _class_of_character() -> NDArray[np.uint8]:
    """The class of every code point, `[0x110000]`."""
    import numpy as np

    table = np.full(0x110000, _OTHER, np.uint8)
    for code in range(0x110000):
        char = chr(code)
        if char.isalnum() or char == "_":
            table[code] = _IN_WORD
        elif char.isspace():
            table[code] = _SPACE
    return table


def _character_classes(text: str) -> NDArray[np.uint8]:
    """`_SPACE`, `_IN_WORD` or `_OTHER` for each character, `[len(text)]`."""
    import numpy as np

    codes = (
        np.frombuffer(text.encode(), np.uint8)
        if text.isascii()
        else np.frombuffer(text.encode("utf-32-le", "surrogatepass"), "<u4")
    )
    classes: NDArray[np.uint8] = _class_of_character()[codes]
    return classes


def word_starts(text: str, offsets: NDArray[np.uint32] | NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which tokens begin a word, `[num_tokens]`; here every character that is neither in a word nor white space is one.

    White space at the start of a token belongs to no word (byte-level BPE keeps it in the token). The second token of a
    character that was split into bytes continues its word.

    Args:
        text: the text.
        offsets: `[num_tokens, 2]`, the characters that each token covers, ends exclusive.
    """
    import numpy as np

    num_tokens = len(offsets)
    if num_tokens == 0:
        return np.zeros(0, np.bool_)
    classes = np.append(_character_classes(text), np.uint8(_SPACE))
    last = np.maximum(offsets[:, 1].astype(np.int64) - 1, 0)
    first = np.minimum(offsets[:, 0].astype(np.int64), last)
    # Skip white space at the start of a token: one character for most tokens, more for few.
    on_space = np.flatnonzero((classes[first] == _SPACE) & (first < last))
    while len(on_space):
        first[on_space] += 1
        on_space = on_space[(classes[first[on_space]] == _SPACE) & (first[on_space] < last[on_space])]
    before = np.where(first > 0, classes[first - 1], _SPACE)
    begins = (classes[first] != _IN_WORD) | (before != _IN_WORD)
    same_character = np.zeros(num_tokens, np.bool_)
    same_character[1:] = first[1:] == first[:-1]
    starts: NDArray[np.bool_] = begins & ~same_character
    return starts
