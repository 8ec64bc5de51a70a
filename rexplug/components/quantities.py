"""Amounts as people write them: `350B`, `64k`, `1e9`, `8192`."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import BeforeValidator, Field
from pydantic_core import PydanticCustomError

_SUFFIXES = {"": 1, "k": 10**3, "M": 10**6, "B": 10**9, "T": 10**12}
_PATTERN = re.compile(r"(\d+(?:_\d+)*(?:\.\d+)?(?:[eE][+-]?\d+)?)\s*([kKMBT]?)")


def parse_quantity(value: Any) -> int:
    """Read an amount; `k`, `M`, `B` and `T` are powers of 1,000 (`64k` is 64,000).

    Raises:
        PydanticCustomError: what was written is not a whole number of at least 0.
    """
    number: float | None = None
    if isinstance(value, int | float) and not isinstance(value, bool):
        number = value
    elif isinstance(value, str) and (match := _PATTERN.fullmatch(value.strip())):
        digits, suffix = match.groups()
        number = round(float(digits) * _SUFFIXES["k" if suffix == "K" else suffix], 6)
    if number is None or number < 0 or number != int(number):
        raise PydanticCustomError(
            "quantity",
            "{written} is not an amount; write a whole number, or one with k, M, B or T, like 8192, 64k, 1e9 or 350B",
            {"written": repr(value)},
        )
    return int(number)


Quantity = Annotated[
    int,
    BeforeValidator(parse_quantity, json_schema_input_type=int | str),
    Field(ge=0, examples=[8192, "64k", "350B"]),
]
"""A whole number of tokens, documents or bytes; see `parse_quantity`."""
