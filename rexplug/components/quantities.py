"""Quantities as people write them: `350B`, `64k`, `1e9`, `8192`."""

from __future__ import annotations

import math
import re
from decimal import Decimal, InvalidOperation
from typing import Annotated, Any

from pydantic import BeforeValidator, Field
from pydantic_core import PydanticCustomError

from rexplug.errors import brief

_SUFFIXES = {"": 1, "k": 10**3, "M": 10**6, "B": 10**9, "T": 10**12}
_PATTERN = re.compile(r"([0-9]+(?:_[0-9]+)*(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?)\s*([kKMBT]?)")
LARGEST = 10**18
"""More than any run needs, and within the range of 64 bits."""


def parse_quantity(value: Any) -> int:
    """The number that a quantity denotes; `k`, `M`, `B` and `T` are powers of 1,000 (`64k` is 64,000).

    Raises:
        PydanticCustomError: `value` is not a whole number from 0 to 10^18.
    """
    number: int | float | Decimal | None = None
    if (isinstance(value, int) and not isinstance(value, bool)) or (isinstance(value, float) and math.isfinite(value)):
        number = value
    elif isinstance(value, str) and (match := _PATTERN.fullmatch(value.strip())):
        digits, suffix = match.groups()
        try:
            number = Decimal(digits) * _SUFFIXES["k" if suffix == "K" else suffix]
        except InvalidOperation:  # an exponent beyond the range of Decimal
            number = None
    if number is not None and number > LARGEST:
        raise PydanticCustomError("quantity", "{written} is more than 10^18", {"written": brief(value)})
    if number is None or number < 0 or number != int(number):
        raise PydanticCustomError(
            "quantity",
            "{written} is not an amount; write a whole number, or one with k, M, B or T, like 8192, 64k, 1e9 or 350B",
            {"written": brief(value)},
        )
    return int(number)


Quantity = Annotated[
    int,
    BeforeValidator(parse_quantity, json_schema_input_type=int | str),
    Field(ge=0, examples=[8192, "64k", "350B"]),
]
"""A whole number of tokens, documents or bytes: the type of an option that a recipe may write as `8192`, `64k`, `1e9` or `350B`.

`k`, `M`, `B` and `T` are powers of 1,000. `Annotated[rexplug.Quantity, Field(gt=0)]` allows no 0.
"""
Positive = Annotated[Quantity, Field(gt=0)]
"""A quantity of at least 1."""
