"""Which characters belong to words: tables over all code points, by the categories of Unicode.

Scripts that are written without spaces between words are those for which ICU has dictionaries: Chinese and Japanese (Han, Hiragana,
Katakana), Thai, Lao, Khmer and Burmese.
"""

from __future__ import annotations

import re
import unicodedata
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

SPACE, IN_WORD, OTHER, MARK, UNSPACED = range(5)
"""Classes: white space; letters, digits and underscores; other characters, which are not in words; combining marks and invisible
format characters, which belong to the character before them; letters of scripts without spaces between words."""

_UNSPACED = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u19e0-\u19ff\u3005-\u3007\u3021-\u3029\u3031-\u3035\u3038-\u303c\u3041-\u30ff"
    "\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\ua9e0-\ua9ff\uaa60-\uaa7f\uf900-\ufaff\uff66-\uff9f\U0001b000-\U0001b16f"
    "\U00020000-\U0003ffff"
)
"""Blocks of the scripts without spaces; the signs and marks in them are distinguished by their categories."""
UNSPACED_CHARACTER = re.compile(f"[{_UNSPACED}]")
"""A character of a script without spaces between words, or a mark or sign of its block."""

# Blocks that contain neither marks nor invisible characters nor scripts without spaces. Most texts have no other characters, and
# patterns of `\w` alone are twice as fast as those with marks.
_PLAIN = (
    "\x00-\xac\xae-\u02ff\u0370-\u0482\u048a-\u0590\u10a0-\u135c\u13a0-\u1711\u1d00-\u1dbf\u1e00-\u200a\u2010-\u2029\u202f-\u205f"
    "\u2070-\u20cf\u2100-\u2cee\u3000-\u3004\u3131-\u318e\uac00-\ud7a3\uff01-\uff65\U0001f100-\U0001f3fa\U0001f400-\U0001faff"
)
BEYOND_PLAIN = re.compile(f"[^{_PLAIN}]")
"""A character that may be a mark, an invisible character or a letter of a script without spaces."""

_BEFORE_NUMBERS = frozenset(
    (0x600, 0x601, 0x602, 0x603, 0x604, 0x605, 0x6DD, 0x70F, 0x890, 0x891, 0x8E2, 0x110BD, 0x110CD)
)
"""Format characters that are visible and belong to the number after them."""


@cache
def mark_ranges() -> str:
    """All marks as ranges for a set of a pattern, e.g. `\\U00000300-\\U0000036f`."""
    codes = [0xAD, *(code for code in (*range(0x300, 0x20000), *range(0xE0000, 0xE0200)) if _is_mark(code))]
    ranges: list[list[int]] = []
    for code in codes:
        if ranges and ranges[-1][1] == code - 1:
            ranges[-1][1] = code
        else:
            ranges.append([code, code])
    return "".join(f"\\U{first:08x}-\\U{last:08x}" for first, last in ranges)


def _is_mark(code: int) -> bool:
    category = unicodedata.category(chr(code))
    return category in ("Mn", "Mc", "Me") or (category == "Cf" and code not in _BEFORE_NUMBERS)


@cache
def _class_of_character() -> NDArray[np.uint8]:
    """The class of every code point, `[0x110000]`."""
    import numpy as np

    table = np.full(0x110000, OTHER, np.uint8)
    for code in range(0x110000):
        char = chr(code)
        if char.isalnum() or char == "_":
            table[code] = IN_WORD
        elif char.isspace():
            table[code] = SPACE
    marks = re.compile(f"[{mark_ranges()}]")
    for code in (0xAD, *range(0x300, 0x20000), *range(0xE0000, 0xE0200)):
        if marks.match(chr(code)):
            table[code] = MARK
    for block in re.findall("(.)-(.)", _UNSPACED):
        part = table[ord(block[0]) : ord(block[1]) + 1]
        part[part == IN_WORD] = UNSPACED
    return table


def character_classes(text: str) -> NDArray[np.uint8]:
    """The class of each character, `[len(text)]`."""
    import numpy as np

    codes = (
        np.frombuffer(text.encode(), np.uint8)
        if text.isascii()
        else np.frombuffer(text.encode("utf-32-le", "surrogatepass"), "<u4")
    )
    classes: NDArray[np.uint8] = _class_of_character()[codes]
    return classes
