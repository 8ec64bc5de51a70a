"""What kind of character each one is, for whole texts at once."""

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
