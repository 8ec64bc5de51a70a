"""Histograms of scores with fixed bins, so that those of several shards can be added."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

_STEPS = (1.0, 2.0, 5.0, 10.0)


def bin_of(score: float) -> tuple[float, float]:
    """Lower and upper edge of the bin of a score: twentieths within [0, 1], beyond it 1, 2, 5, 10, 20, 50, ... on either side."""
    if 0 <= score <= 1:
        number = min(19, math.floor(score * 20 + 1e-9))
        return number / 20, (number + 1) / 20
    size = abs(score)
    if size <= 1:
        return (-1.0, 0.0)
    power = 10.0 ** math.floor(math.log10(size))
    below, above = next(
        (low * power, high * power) for low, high in pairwise(_STEPS) if size < high * power or high == _STEPS[-1]
    )
    return (below, above) if score > 0 else (-above, -below)


@dataclass
class Histogram:
    """Counts of kept and dropped documents per bin."""

    bins: dict[tuple[float, float], list[int]] = field(default_factory=dict)

    def add(self, score: float | None, kept: bool) -> None:
        """Count a score; None, infinity and NaN are left out."""
        if score is not None and math.isfinite(score):
            self.bins.setdefault(bin_of(score), [0, 0])[0 if kept else 1] += 1

    def merge(self, other: Sequence[Mapping[str, Any]]) -> None:
        """Add the counts of a histogram that `to_json` wrote."""
        for entry in other:
            counts = self.bins.setdefault((entry["from"], entry["to"]), [0, 0])
            counts[0] += entry["kept"]
            counts[1] += entry["dropped"]

    def to_json(self) -> list[dict[str, Any]]:
        """The bins in order; empty if there were no scores."""
        return [
            {"from": low, "to": high, "kept": kept, "dropped": dropped}
            for (low, high), (kept, dropped) in sorted(self.bins.items())
        ]
