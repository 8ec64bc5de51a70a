"""Curves as a line of block characters."""

from __future__ import annotations

from collections.abc import Sequence

_BLOCKS = " ▁▂▃▄▅▆▇█"


def sparkline(values: Sequence[float], width: int, *, top: float) -> str:
    """`values` in `width` columns; a full block is `top`, a blank 0, and anything above 0 shows at least the lowest block.

    Each column is the mean of the values that fall into it.
    """
    columns = []
    for column in range(width):
        first = column * len(values) // width
        part = values[first : max(first + 1, (column + 1) * len(values) // width)]
        height = sum(part) / len(part) / top if top else 0.0
        level = min(8, max(0, round(8 * height)))
        columns.append(_BLOCKS[max(1, level) if height > 0 else 0])
    return "".join(columns)
