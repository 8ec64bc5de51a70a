"""Bounds on values that pages provide: their depth, number and length, so that a page cannot fill the memory or the corpus."""

from __future__ import annotations

import math
import re
import unicodedata
from typing import Any

LONGEST_VALUE = 20_000
"""Characters of a value that are kept."""
_LONGEST_KEY = 200
_DEEPEST = 8
_PREFIX = re.compile(
    r"^(?:https?://(?:www\.)?(?:schema\.org|data-vocabulary\.org|purl\.org/goodrelations/v1)[/#]|(?:schema|gr|v):)"
)
_SPACE = re.compile(r"\s+")


class Budget:
    """How many values and characters one page may still provide."""

    def __init__(self, values: int = 3000, characters: int = 200_000) -> None:
        self.values, self.characters = values, characters

    def take(self, characters: int) -> bool:
        """Whether one more value of this length is allowed; counts it."""
        self.values -= 1
        self.characters -= characters
        return self.values >= 0 and self.characters >= 0


def collapsed(text: str) -> str:
    """One line of valid Unicode, in NFC as all text: white space as single spaces, half surrogate pairs and control characters
    replaced, invisible characters left out except joiners, which Persian and Indic words and emoji need."""
    text = text[: 2 * LONGEST_VALUE].encode("utf-8", "replace").decode()
    if not text.isprintable():
        text = "".join(c if c.isprintable() or c in "\u200c\u200d" else _instead_of(c) for c in text)
    return _SPACE.sub(" ", unicodedata.normalize("NFC", text)).strip()[:LONGEST_VALUE]


def _instead_of(character: str) -> str:
    return "" if unicodedata.category(character) == "Cf" else " "


def local_name(name: str) -> str:
    """A type or property without the address or prefix of its vocabulary: `http://schema.org/Product` is `Product`."""
    return _PREFIX.sub("", name.strip())[:_LONGEST_KEY]


def bounded(value: Any, budget: Budget, depth: int = 0) -> Any:
    """A JSON value within `budget`, as JSON can be written: strings collapsed, deeper and further values left out (None)."""
    if isinstance(value, str):
        text = collapsed(value)
        return text if text and budget.take(len(text)) else None
    if isinstance(value, bool):
        return value
    if isinstance(value, int):
        # A larger number is neither a price nor a count, and formatting it may fail.
        return value if abs(value) < 2**63 and budget.take(8) else None
    if isinstance(value, float):
        return value if math.isfinite(value) and budget.take(8) else None
    if depth >= _DEEPEST or budget.values <= 0:
        return None
    if isinstance(value, list):
        kept = [bounded(v, budget, depth + 1) for v in value[: max(0, budget.values)]]
        return [v for v in kept if v is not None] or None
    if isinstance(value, dict):
        result = {}
        for key, v in value.items():
            if budget.values <= 0:
                break
            inner = bounded(v, budget, depth + 1)
            if inner is not None and (name := collapsed(str(key)[:_LONGEST_KEY])):
                result[name] = inner
        return result or None
    return None
