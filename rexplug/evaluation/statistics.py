"""Bootstrap intervals, paired comparisons and Holm's correction.

Intervals resample units (documents, queries; whole groups where items are not independent) and, where there are several
fine-tunes or training runs, the runs as well: a difference between two training runs is no difference between methods.
P-values are those of a paired permutation test: if two models were alike, their scores of a unit might be swapped.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from rexplug.components import Metric, Scores
from rexplug.errors import DataError

_DRAWS = 1000
_SLOW_DRAWS = 300
"""Draws of rank correlations, which have to be ranked anew each time."""
_PERMUTATIONS = 9999
_SLOW_PERMUTATIONS = 999
"""Enough that p-values stay small enough to survive Holm's correction in a table of some hundred (some ten) tests."""
_CHUNK = 500
ALPHA = 0.05
"""Differences at or above this (after Holm's correction) are not called real."""
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Difference:
    """How far a metric of one model lies above another's on the same items, with its 95 % interval and p-value.

    `seeds` tells in how many of the runs (paired by seed) the sign was that of the whole, e.g. (3, 3); `p_holm` is
    corrected for the number of comparisons made together.
    """

    value: float
    low: float
    high: float
    p: float
    num_items: int
    seeds: tuple[int, int]
    p_holm: float = 1.0

    @property
    def shown_p(self) -> str:
        """The corrected p-value as tables show it."""
        return "< 0.001" if self.p_holm < 0.001 else f"= {self.p_holm:.3f}"

    @property
    def real(self) -> bool:
        """Whether both speak for a difference: the interval, which covers the runs too, and the corrected test."""
        return self.p_holm < ALPHA and (self.low > 0 or self.high < 0)


def metric(scores: Scores, seed: int) -> Metric:
    """The metric that `scores` make, with interval, spread over fine-tunes and number of items."""
    units = _Units.of(scores)
    generator = np.random.default_rng(seed)
    values = units.values
    draws = np.array([units.statistic(units.draw(generator), units.draw_rows(generator)) for _ in range(units.draws)])
    if not len(values[0]):
        return Metric(0.0, None, None, 0)
    each = np.array([units.statistic(None, [row]) for row in range(len(values))])
    low, high = np.quantile(draws, [0.025, 0.975])
    many = len(each) > 1
    return Metric(
        float(each.mean()), float(low), float(high), units.num_items,
        spread=float(each.std(ddof=1)) if many else None, num_seeds=len(each) if many else None,
    )  # fmt: skip


def value(scores: Scores) -> float:
    """The metric alone."""
    return _Units.of(scores).whole


def compare(one: Scores, other: Scores, seed: int) -> Difference:
    """`one` minus `other` on the items that both have.

    Raises:
        DataError: they are of different kinds or have no items in common.
    """
    a, b = _Units.of(one), _Units.of(other)
    if (one.targets is None) != (other.targets is None):
        raise DataError("the two results hold scores of different kinds and cannot be compared")
    if list(one.ids) != list(other.ids):
        a, b = _common(one, other)
    runs = min(len(a.values), len(b.values))
    paired = len(a.values) == len(b.values)
    generator = np.random.default_rng(seed)
    value = a.whole - b.whole
    draws = []
    for _ in range(a.draws):
        units = a.draw(generator)
        rows = a.draw_rows(generator)
        draws.append(a.statistic(units, rows) - b.statistic(units, rows if paired else b.draw_rows(generator)))
    low, high = np.quantile(draws, [0.025, 0.975])
    signs = [np.sign(a.statistic(None, [row]) - b.statistic(None, [row])) == np.sign(value) for row in range(runs)]
    return Difference(
        float(value), float(low), float(high), _permutation(a, b, value, generator), a.num_items,
        (int(sum(signs)), runs),
    )  # fmt: skip


def holm(differences: Sequence[Difference]) -> list[Difference]:
    """The same differences with p-values corrected for being made together (Holm, 1979)."""
    order = sorted(range(len(differences)), key=lambda i: differences[i].p)
    corrected = [1.0] * len(differences)
    highest = 0.0
    for rank, index in enumerate(order):
        highest = max(highest, min(1.0, (len(order) - rank) * differences[index].p))
        corrected[index] = highest
    return [replace(each, p_holm=p) for each, p in zip(differences, corrected, strict=True)]


def _permutation(a: _Units, b: _Units, value: float, generator: np.random.Generator) -> float:
    """Two-sided: how often swapping the two models' scores, unit by unit, gives as large a difference."""
    draws = _PERMUTATIONS if a.targets is None else _SLOW_PERMUTATIONS
    extreme = 0
    for start in range(0, draws, _CHUNK):
        swaps = generator.random((min(_CHUNK, draws - start), a.num_units)) < 0.5
        found = a.swapped(b, swaps) - b.swapped(a, swaps)
        extreme += int((np.abs(found) >= abs(value) - 1e-12).sum())
    return (extreme + 1) / (draws + 1)


@dataclass(frozen=True)
class _Units:
    """Scores as arrays: `values` and `weights` `[rows, items]`, `unit_of` `[items]` the unit that each belongs to."""

    values: Floats
    weights: Floats
    targets: Floats | None
    unit_of: NDArray[np.int64]
    num_units: int

    @classmethod
    def of(cls, scores: Scores) -> _Units:
        values = np.atleast_2d(np.asarray(scores.values, np.float64))
        weights = (
            np.ones_like(values) if scores.weights is None else np.atleast_2d(np.asarray(scores.weights, np.float64))
        )
        targets = None if scores.targets is None else np.asarray(scores.targets, np.float64)
        if scores.groups is None:
            units = np.arange(values.shape[1])
            return cls(values, weights, targets, units, len(units))
        names, units = np.unique(np.asarray(scores.groups, object).astype(str), return_inverse=True)
        return cls(values, weights, targets, units.astype(np.int64), len(names))

    @property
    def num_items(self) -> int:
        """Items, counted by weight (words of documents)."""
        return int(self.weights[0].sum()) if self.targets is None else self.values.shape[1]

    @property
    def draws(self) -> int:
        return _DRAWS if self.targets is None else _SLOW_DRAWS

    @property
    def whole(self) -> float:
        """The metric."""
        return self.statistic(None, range(len(self.values)))

    def draw(self, generator: np.random.Generator) -> NDArray[np.int64]:
        """How often each unit is drawn, `[units]`."""
        picks = generator.integers(max(1, self.num_units), size=self.num_units)
        return np.bincount(picks, minlength=self.num_units)

    def draw_rows(self, generator: np.random.Generator) -> Sequence[int]:
        count = len(self.values)
        rows: list[int] = generator.integers(count, size=count).tolist() if count > 1 else [0]
        return rows

    def statistic(self, counts: NDArray[np.int64] | None, rows: Sequence[int]) -> float:
        """The metric of a resample, the mean over `rows`."""
        if self.targets is not None:
            items = None if counts is None else np.repeat(np.arange(len(self.unit_of)), counts[self.unit_of])
            return float(np.mean([_spearman(self.values[row], self.targets, items) for row in rows]))
        times = 1.0 if counts is None else counts[self.unit_of].astype(np.float64)
        found = []
        for row in rows:
            total = float((self.weights[row] * times).sum())
            found.append(float((self.values[row] * times).sum()) / total if total else 0.0)
        return float(np.mean(found))

    def swapped(self, other: _Units, swaps: NDArray[np.bool_]) -> Floats:
        """The metric with `other`'s scores at the units of each line of `swaps` `[draws, units]`, `[draws]`.

        Rows are paired as far as both have them.
        """
        rows = min(len(self.values), len(other.values))
        if self.targets is not None:
            found = [
                [
                    _spearman(np.where(items, other.values[row], self.values[row]), self.targets, None)
                    for row in range(rows)
                ]
                for items in swaps[:, self.unit_of]
            ]
            return np.asarray(np.mean(found, 1), np.float64)
        chosen = swaps.astype(np.float64)
        each = []
        for row in range(rows):
            total, weight = (
                mine[row].sum() + chosen @ np.bincount(self.unit_of, theirs[row] - mine[row], minlength=self.num_units)
                for mine, theirs in ((self.values, other.values), (self.weights, other.weights))
            )
            each.append(np.divide(total, weight, out=np.zeros_like(total), where=weight > 1e-12))
        return np.asarray(np.mean(each, 0), np.float64)


def _common(one: Scores, other: Scores) -> tuple[_Units, _Units]:
    """Both on their common items, in the order of `one`."""
    place = {key: number for number, key in enumerate(other.ids)}
    pairs = [(number, place[key]) for number, key in enumerate(one.ids) if key in place]
    if not pairs:
        raise DataError("the two results have no items in common: they were measured on other data")
    return _Units.of(_take(one, [i for i, _ in pairs])), _Units.of(_take(other, [j for _, j in pairs]))


def _take(scores: Scores, items: Sequence[int]) -> Scores:
    def cut(row: Sequence[float]) -> list[float]:
        return [row[i] for i in items]

    return Scores(
        [scores.ids[i] for i in items], [cut(row) for row in scores.values],
        None if scores.weights is None else [cut(row) for row in scores.weights],
        None if scores.targets is None else cut(scores.targets),
        None if scores.groups is None else [scores.groups[i] for i in items],
    )  # fmt: skip


def _spearman(values: Floats, targets: Floats, items: NDArray[np.int64] | None) -> float:
    """Spearman's rank correlation, ties at their mean rank; 0 where one side is constant."""
    from scipy.stats import rankdata

    if items is not None:
        values, targets = values[items], targets[items]
    x, y = rankdata(values), rankdata(targets)
    x, y = x - x.mean(), y - y.mean()
    norm = float(np.sqrt((x @ x) * (y @ y)))
    return float(x @ y) / norm if norm else 0.0
