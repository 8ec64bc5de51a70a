"""Bootstrap intervals, paired permutation tests and Holm's correction.

Intervals resample units (documents, queries; whole groups where items are not independent) and, where there are several
fine-tunes or training runs, the runs as well: a difference between two training runs is not a difference between methods.
P-values are those of a paired permutation test: if two models were alike, their scores of a unit could be swapped. Of rank
correlations the ranks are swapped: cosines of two models may have other scales (one in a narrow cone, one not), and after a swap
of these the scales would decide, not the models.

A test on the items of one training run of each model says that these two models differ on such items. Whether two methods differ
also depends on the seeds that they were trained with: a difference is called real only if several were varied.

Of our own because scipy's `bootstrap` and `permutation_test` resample single items of one sample or of pairs, neither
groups of items nor runs beside them, and scipy has no correction by Holm.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from rexplug.components import Budget, Metric, Scores
from rexplug.errors import DataError

_RESAMPLES = 1000
_RANK_RESAMPLES = 300
"""Of rank correlations, for which each resample is ranked again."""
_PERMUTATIONS = 9999
_RANK_PERMUTATIONS = 999
"""Enough that p-values stay small enough to survive Holm's correction in a table of some hundred (some ten) tests."""
_CHUNK = 500
"""Permutations that are computed at once."""
ALPHA = 0.05
"""Differences whose corrected p-value is at or above this are not called real."""
NOT_VARIED = "differs on these items; seeds were not varied"
"""The verdict on a difference that the test confirms for one training run of each model."""
Floats = NDArray[np.float64]


_FACTORS: dict[Budget, float] = {"quick": 0.3, "standard": 1.0, "full": 5.0}
"""Of the number of resamples by budget."""
_budget: ContextVar[Budget] = ContextVar("budget", default="standard")


@contextmanager
def resamples_of(budget: Budget) -> Iterator[None]:
    """Draw as many resamples for intervals of metrics inside the context as the budget says: 300, 1,000 or 5,000.

    Of rank correlations 90, 300 or 1,500. Comparisons of models draw the same numbers at every budget.
    """
    token = _budget.set(budget)
    try:
        yield
    finally:
        _budget.reset(token)


@dataclass(frozen=True)
class Difference:
    """The difference between a metric of two models on the same items, with its 95 % interval and p-value.

    `seeds` tells in how many of the runs (paired by seed) the sign was that of the overall difference, e.g. (3, 3);
    `p_holm` is corrected for the number of comparisons made together; `training_runs` is how many training runs of each model
    the scores hold, by seed, fine-tunes of one run not counted.
    """

    value: float
    low: float
    high: float
    p: float
    num_items: int
    seeds: tuple[int, int]
    p_holm: float = 1.0
    training_runs: int = 1

    @property
    def shown_p(self) -> str:
        """The corrected p-value as tables show it."""
        return "< 0.001" if self.p_holm < 0.001 else f"= {self.p_holm:.3f}"

    @property
    def differs(self) -> bool:
        """Whether both speak for a difference on such items: the interval, which covers the runs too, and the corrected test."""
        return self.p_holm < ALPHA and (self.low > 0 or self.high < 0)

    @property
    def real(self) -> bool:
        """Whether the models differ significantly over more than one training run of each."""
        return self.differs and self.training_runs > 1

    @property
    def verdict(self) -> str:
        """The verdict on the difference that tables show."""
        if not self.differs:
            return "may be chance"
        return "real" if self.real else NOT_VARIED


def metric(scores: Scores, seed: int) -> Metric:
    """The metric of `scores` with its interval, its spread over fine-tunes and the number of items."""
    units = _Units.of(scores)
    if not units.values.shape[1]:
        return Metric(0.0, None, None, 0)
    generator = np.random.default_rng(seed)
    num_resamples = round(units.num_resamples * _FACTORS[_budget.get()])
    resampled = np.array(
        [units.statistic(units.draw_units(generator), units.draw_runs(generator)) for _ in range(num_resamples)]
    )
    of_runs = np.array([units.statistic(None, [run]) for run in range(len(units.values))])
    low, high = np.quantile(resampled, [0.025, 0.975])
    several = len(of_runs) > 1
    return Metric(
        float(of_runs.mean()),
        float(low),
        float(high),
        units.num_items,
        spread=float(of_runs.std(ddof=1)) if several else None,
        num_seeds=len(of_runs) if several else None,
    )


def value(scores: Scores) -> float:
    """The metric of `scores` alone."""
    return _Units.of(scores).metric


def compare(one: Scores, other: Scores, seed: int, *, training_runs: int = 1) -> Difference:
    """`one` minus `other` on the items that both have.

    Args:
        one: scores of a model.
        other: scores of the model that it is compared with.
        seed: of resamples and permutations.
        training_runs: how many training runs of each model the scores hold.

    Raises:
        DataError: they are of different kinds or have no items in common.
    """
    a, b = _Units.of(one), _Units.of(other)
    if (one.targets is None) != (other.targets is None):
        raise DataError("the two results hold scores of different kinds and cannot be compared")
    if list(one.ids) != list(other.ids):
        a, b = _common_items(one, other)
    num_runs = min(len(a.values), len(b.values))
    paired_runs = len(a.values) == len(b.values)
    generator = np.random.default_rng(seed)
    difference = a.metric - b.metric
    resampled = []
    for _ in range(a.num_resamples):
        counts = a.draw_units(generator)
        runs = a.draw_runs(generator)
        other_runs = runs if paired_runs else b.draw_runs(generator)
        resampled.append(a.statistic(counts, runs) - b.statistic(counts, other_runs))
    low, high = np.quantile(resampled, [0.025, 0.975])
    same_sign = [
        np.sign(a.statistic(None, [run]) - b.statistic(None, [run])) == np.sign(difference) for run in range(num_runs)
    ]
    return Difference(
        float(difference),
        float(low),
        float(high),
        _permutation_p(a, b, difference, generator),
        a.num_items,
        (int(sum(same_sign)), num_runs),
        training_runs=training_runs,
    )


def holm(differences: Sequence[Difference]) -> list[Difference]:
    """The same differences with p-values corrected for being tested together (Holm, 1979)."""
    order = sorted(range(len(differences)), key=lambda i: differences[i].p)
    corrected = [1.0] * len(differences)
    highest = 0.0
    for rank, index in enumerate(order):
        highest = max(highest, min(1.0, (len(order) - rank) * differences[index].p))
        corrected[index] = highest
    return [replace(difference, p_holm=p) for difference, p in zip(differences, corrected, strict=True)]


def _permutation_p(a: _Units, b: _Units, difference: float, generator: np.random.Generator) -> float:
    """Two-sided: how often swapping the two models' scores, unit by unit, gives as large a difference."""
    permutations = _PERMUTATIONS if a.targets is None else _RANK_PERMUTATIONS
    if a.targets is not None:
        a, b = a.ranked(), b.ranked()
    extreme = 0
    for start in range(0, permutations, _CHUNK):
        swaps = generator.random((min(_CHUNK, permutations - start), a.num_units)) < 0.5
        permuted = a.swapped(b, swaps) - b.swapped(a, swaps)
        extreme += int((np.abs(permuted) >= abs(difference) - 1e-12).sum())
    return (extreme + 1) / (permutations + 1)


@dataclass(frozen=True)
class _Units:
    """Scores as arrays, with the units that are resampled together.

    Attributes:
        values: `[runs, items]`.
        weights: `[runs, items]`.
        targets: `[items]` of rank correlations; None otherwise.
        unit_of: `[items]`, the number of the unit that each item belongs to.
        num_units: how many units there are.
    """

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
            unit_of = np.arange(values.shape[1])
            return cls(values, weights, targets, unit_of, len(unit_of))
        names, unit_of = np.unique(np.asarray(scores.groups, object).astype(str), return_inverse=True)
        return cls(values, weights, targets, unit_of.astype(np.int64), len(names))

    @property
    def num_items(self) -> int:
        """Items, counted by weight (words of documents)."""
        return int(self.weights[0].sum()) if self.targets is None else self.values.shape[1]

    @property
    def num_resamples(self) -> int:
        return _RESAMPLES if self.targets is None else _RANK_RESAMPLES

    @property
    def metric(self) -> float:
        """The metric on all items, the mean over all runs."""
        return self.statistic(None, range(len(self.values)))

    def draw_units(self, generator: np.random.Generator) -> NDArray[np.int64]:
        """A resample: how often each unit is drawn, `[units]`."""
        drawn = generator.integers(max(1, self.num_units), size=self.num_units)
        return np.bincount(drawn, minlength=self.num_units)

    def draw_runs(self, generator: np.random.Generator) -> Sequence[int]:
        """A resample of the runs; a single run is taken as it is."""
        count = len(self.values)
        runs: list[int] = generator.integers(count, size=count).tolist() if count > 1 else [0]
        return runs

    def statistic(self, counts: NDArray[np.int64] | None, runs: Sequence[int]) -> float:
        """The metric with each unit taken `counts` times `[units]` (None: once), the mean over `runs`."""
        if self.targets is not None:
            values, targets = self.values[list(runs)], self.targets
            if counts is not None:
                items = np.repeat(np.arange(len(self.unit_of)), counts[self.unit_of])
                values, targets = values[:, items], targets[items]
            return float(spearman(values, targets).mean())
        times = 1.0 if counts is None else counts[self.unit_of].astype(np.float64)
        ratios = []
        for run in runs:
            total = float((self.weights[run] * times).sum())
            ratios.append(float((self.values[run] * times).sum()) / total if total else 0.0)
        return float(np.mean(ratios))

    def ranked(self) -> _Units:
        """The same with the rank of each value among those of its run; rank correlations stay the same."""
        from scipy.stats import rankdata

        return replace(self, values=rankdata(self.values, axis=1))

    def swapped(self, other: _Units, swaps: NDArray[np.bool_]) -> Floats:
        """The metric with `other`'s scores at the units of each row of `swaps` `[permutations, units]`.

        Runs are paired as far as both have them. Result: `[permutations]`.
        """
        num_runs = min(len(self.values), len(other.values))
        if self.targets is not None:
            swapped_items = swaps[:, self.unit_of]
            correlations = [
                spearman(np.where(swapped_items, other.values[run], self.values[run]), self.targets)
                for run in range(num_runs)
            ]
            return np.asarray(np.mean(correlations, 0), np.float64)
        chosen = swaps.astype(np.float64)
        ratios = []
        for run in range(num_runs):
            total, weight = (
                mine[run].sum() + chosen @ np.bincount(self.unit_of, others[run] - mine[run], minlength=self.num_units)
                for mine, others in ((self.values, other.values), (self.weights, other.weights))
            )
            ratios.append(np.divide(total, weight, out=np.zeros_like(total), where=weight > 1e-12))
        return np.asarray(np.mean(ratios, 0), np.float64)


def _common_items(one: Scores, other: Scores) -> tuple[_Units, _Units]:
    """Both on their common items, in the order of `one`."""
    index_of = {key: index for index, key in enumerate(other.ids)}
    pairs = [(index, index_of[key]) for index, key in enumerate(one.ids) if key in index_of]
    if not pairs:
        raise DataError("the two results have no items in common: they were measured on other data")
    return _Units.of(_take(one, [i for i, _ in pairs])), _Units.of(_take(other, [j for _, j in pairs]))


def _take(scores: Scores, items: Sequence[int]) -> Scores:
    def take(row: Sequence[float]) -> list[float]:
        return [row[i] for i in items]

    return Scores(
        [scores.ids[i] for i in items],
        [take(row) for row in scores.values],
        None if scores.weights is None else [take(row) for row in scores.weights],
        None if scores.targets is None else take(scores.targets),
        None if scores.groups is None else [scores.groups[i] for i in items],
    )


def spearman(values: Floats, targets: Floats) -> Floats:
    """Spearman's rank correlation of each row of `values` `[n, items]` with `targets` `[items]`; 0 where one is constant.

    Ranks are scipy's; the correlation of many rows at once is ours, since `scipy.stats.spearmanr` computes a p-value with
    each: two times (4,000 items) to forty times (60 items) as long, for thousands of resamples in a comparison.
    """
    from scipy.stats import rankdata

    x, y = rankdata(values, axis=1), rankdata(targets)
    x, y = x - x.mean(1, keepdims=True), y - y.mean()
    norms = np.sqrt((x * x).sum(1) * (y @ y))
    correlations: Floats = np.divide(x @ y, norms, out=np.zeros(len(x)), where=norms > 0)
    return correlations
