"""Splits text into words: the same for every part of rexplug and for any tokenizer and script.

A *word* is a run of letters, digits and underscores (as in `\\w+`) with their combining marks: accents, vowel signs of Indic
scripts, invisible joiners. Runs in scripts that are written without spaces between words (Chinese, Japanese, Thai, Lao, Khmer,
Burmese) are divided by the dictionaries of ICU, as in Unicode's Standard Annex 29. Two callers need a little more:

- token stores and whole-word masking also count every other character that is not white space as a word by itself
  (`word_starts`), so that each token belongs to a word or is white space;
- quality filters and near-duplicate search follow datatrove's filters: inner apostrophes and hyphens join words, and
  punctuation marks count (`split_words_and_marks`).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from itertools import accumulate
from typing import TYPE_CHECKING

from rexplug.text.characters import (
    BEYOND_PLAIN,
    IN_WORD,
    MARK,
    OTHER,
    SPACE,
    UNSPACED,
    UNSPACED_CHARACTER,
    character_classes,
    mark_ranges,
)

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


_WORD = re.compile(r"\w+")
_WORD_OR_MARK = re.compile(r"\w+(?:['’\-]\w+)*|[^\w\s]")
_LOWER_ASCII = {code: chr(code).lower() if _WORD.match(chr(code)) else " " for code in range(128)}
"""ASCII: lower-case letters, and a blank for characters that are in no word."""
_SHORT = 600
"""Characters below which splitting a text is faster than arrays of its characters."""


@cache
def _word_with_marks() -> re.Pattern[str]:
    return re.compile(rf"\w+(?:[{mark_ranges()}]+\w*)*")


@cache
def _word_with_marks_or_mark() -> re.Pattern[str]:
    marks = mark_ranges()
    return re.compile(rf"\w+(?:[{marks}]+\w*|['’\-]\w+)*|[^\w\s][{marks}]*")


def split_words(text: str) -> list[str]:
    """The words of a text, in order."""
    if text.isascii() or not BEYOND_PLAIN.search(text):
        return _WORD.findall(text)
    return _divided(_word_with_marks().findall(text), text)


def lower_words(text: str) -> list[str]:
    """The words of the lower-cased text, in order."""
    if text.isascii():  # twice as fast as the pattern
        return text.translate(_LOWER_ASCII).split()
    return split_words(text.lower())


def count_words(text: str) -> int:
    """The number of words, `len(split_words(text))`, at the speed of `str.split` or faster."""
    if len(text) < _SHORT and text.isascii():
        return len(text.translate(_LOWER_ASCII).split())
    import numpy as np

    classes = _joined(character_classes(text), text)
    if (classes == UNSPACED).any():
        return len(split_words(text))
    in_word = classes == IN_WORD
    return int(np.count_nonzero(in_word[1:] > in_word[:-1])) + int(in_word[:1].any())


def has_unspaced(text: str) -> bool:
    """Whether a text has letters of a script without spaces between words."""
    return not text.isascii() and UNSPACED_CHARACTER.search(text) is not None


def word_spans(text: str) -> list[tuple[int, int]]:
    """(start, end) in characters of each word, end exclusive, in order."""
    starts, ends = word_bounds(text)
    return list(zip(starts.tolist(), ends.tolist(), strict=True))


def word_bounds(text: str) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Starts and ends in characters of all words, both `[num_words]`, ends exclusive: `word_spans` as arrays."""
    import numpy as np

    classes = _joined(character_classes(text), text)
    in_word = np.zeros(len(text) + 2, np.bool_)
    np.logical_or(classes == IN_WORD, classes == UNSPACED, out=in_word[1:-1])
    edges = np.flatnonzero(in_word[1:] != in_word[:-1])
    starts, ends = edges[::2], edges[1::2]
    if not (classes == UNSPACED).any():
        return starts, ends
    cuts = _cuts(text, starts, ends, classes)
    return np.union1d(starts, cuts), np.union1d(ends, cuts)


def split_words_and_marks(text: str) -> list[str]:
    """Words, with inner apostrophes and hyphens (`don't`, `e-mail`), and punctuation marks one by one, in order."""
    if text.isascii() or not BEYOND_PLAIN.search(text):
        return _WORD_OR_MARK.findall(text)
    return _divided(_word_with_marks_or_mark().findall(text), text)


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
    classes = np.append(character_classes(text), np.uint8(SPACE))
    begins_word = _begins_word(classes, text)
    last = np.maximum(offsets[:, 1].astype(np.int64) - 1, 0)
    first = np.minimum(offsets[:, 0].astype(np.int64), last)
    # Skip white space at the start of a token: one character for most tokens, more for few.
    on_space = np.flatnonzero((classes[first] == SPACE) & (first < last))
    while len(on_space):
        first[on_space] += 1
        on_space = on_space[(classes[first[on_space]] == SPACE) & (first[on_space] < last[on_space])]
    same_character = np.zeros(num_tokens, np.bool_)
    same_character[1:] = first[1:] == first[:-1]
    starts: NDArray[np.bool_] = begins_word[first] & ~same_character
    return starts


def _begins_word(classes: NDArray[np.uint8], text: str) -> NDArray[np.bool_]:
    """Which characters do not continue the word of the character before them, `[len(classes)]`; white space never does."""
    import numpy as np

    in_word = classes == IN_WORD
    begins = np.ones(len(classes), np.bool_)
    if classes.max() <= OTHER:
        begins[1:] = ~(in_word[1:] & in_word[:-1])
        return begins
    joined = _joined(classes, text)
    in_word = (joined == IN_WORD) | (joined == UNSPACED)
    begins[1:] = ~(in_word[1:] & in_word[:-1])
    # A mark belongs to the letter or emoji before it; after white space it is alone.
    begins[1:] &= (classes[1:] != MARK) | (classes[:-1] == SPACE)
    if (joined == UNSPACED).any():
        edges = np.flatnonzero(np.diff(in_word, prepend=False, append=False))
        begins[_cuts(text, edges[::2], edges[1::2], joined)] = True
    return begins


def _joined(classes: NDArray[np.uint8], text: str) -> NDArray[np.uint8]:
    """The classes with those of marks replaced by that of the character that they belong to; after white space, `OTHER`."""
    import numpy as np

    if text.isascii() or not (marks := classes == MARK).any():
        return classes
    places = np.where(marks, -1, np.arange(len(classes)))
    base = np.maximum.accumulate(places)
    joined: NDArray[np.uint8] = classes[base]
    joined[marks & ((base < 0) | (joined == SPACE))] = OTHER
    return joined


def _cuts(
    text: str, starts: NDArray[np.int64], ends: NDArray[np.int64], classes: NDArray[np.uint8]
) -> NDArray[np.int64]:
    """Where ICU divides the runs `starts` to `ends` that have characters of a script without spaces, in characters."""
    import numpy as np

    unspaced = np.concatenate([[0], np.cumsum(classes == UNSPACED)])
    runs = np.flatnonzero(unspaced[ends] > unspaced[starts])
    starts, ends = starts[runs], ends[runs]
    parts = _segments([text[start:end] for start, end in zip(starts.tolist(), ends.tolist(), strict=True)])
    cuts = [place for start, words in zip(starts.tolist(), parts, strict=True) for place in _inner_bounds(start, words)]
    return np.array(cuts, np.int64)


def _divided(words: list[str], text: str) -> list[str]:
    """The words, those with characters of a script without spaces divided by ICU."""
    if not UNSPACED_CHARACTER.search(text):
        return words
    parts = iter(_segments([word for word in words if has_unspaced(word)]))
    divided: list[str] = []
    for word in words:
        divided.extend(next(parts) if has_unspaced(word) else (word,))
    return divided


def _inner_bounds(start: int, words: Sequence[str]) -> list[int]:
    """Where each word but the first begins, if the first begins at `start`."""
    return list(accumulate(map(len, words[:-1]), initial=start))[1:]


def _segments(runs: Sequence[str]) -> list[list[str]]:
    """The words of each run."""
    from icu4py.breakers import WordBreaker

    # One call for all runs: setting up ICU takes as long as hundreds of characters. ICU always breaks at a line break, and
    # the text on one side of it does not change the other.
    parts: list[list[str]] = [[]]
    for segment in WordBreaker("\n".join(runs), "en"):
        if segment == "\n":
            parts.append([])
        else:
            parts[-1].append(segment)
    return parts[: len(runs)]
