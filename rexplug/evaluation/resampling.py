"""Resamples of items and runs, and the metric on them.

Units (documents, queries; whole groups where items are not independent) are drawn with replacement. Of the rows of scores,
training runs are drawn, and within each the rows that belong to it (fine-tunes, experiments of a task): rows of one training
run do not tell how much another run would differ. Where a metric is the mean over parts (tasks, subsets), the items of each part
are drawn by themselves, and training runs for all parts together.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from rexplug.components import Scores
from rexplug.components.evaluation_tasks import Measure
from rexplug.errors import DataError
from rexplug.evaluation.measures import OF_TARGETS, RANKING, Floats, v_measure

_CHUNK = 500
"""Permutations that are computed at once."""
Rows = Sequence[int]
"""Numbers of rows of scores; one may occur several times."""


@dataclass(frozen=True)
class Sample:
    """Scores of a model, from which items and runs can be drawn: parts and their shares of the metric."""

    parts: Sequence[tuple[float, Units]]

    @classmethod
    def of(cls, scores: Scores) -> Sample:
        """The scores as a sample."""
        if scores.parts is None:
            return cls([(1.0, Units.of(scores))])
        share = 1.0 / len(scores.parts)
        return cls([(share * of, units) for part in scores.parts.values() for of, units in cls.of(part).parts])

    @property
    def num_items(self) -> int:
        """Items of all parts, counted by weight (words of documents)."""
        return sum(units.num_items for _, units in self.parts)

    @property
    def is_mean(self) -> bool:
        """Whether the metric is a mean, so that thousands of resamples are computed quickly."""
        return all(units.targets is None for _, units in self.parts)

    @property
    def metric(self) -> float:
        """The metric on all items, the mean over all runs."""
        return sum(share * units.statistic(None, range(len(units.values))) for share, units in self.parts)

    def of_runs(self) -> list[float]:
        """The metric of each training run, or of each row of scores where all rows are of one run; of all rows together where
        parts have different numbers of them."""
        if len({len(units.runs) for _, units in self.parts}) > 1:
            return [self.metric]
        return [
            sum(share * units.statistic(None, units.runs[run]) for share, units in self.parts)
            for run in range(len(self.parts[0][1].runs))
        ]

    def resampled(self, generator: np.random.Generator, number: int) -> Floats:
        """The metric of `number` resamples."""
        return np.array([self._resampled(generator, None) for _ in range(number)])

    def differences(self, other: Sample, generator: np.random.Generator, number: int) -> Floats:
        """The difference to `other` on `number` resamples: of the same items, and of the same runs if both have equally many."""
        return np.array([self._resampled(generator, other) for _ in range(number)])

    def permuted(self, other: Sample, generator: np.random.Generator, number: int) -> Floats:
        """`number` differences to `other` as they would be if the two were alike."""
        pairs = zip(self.parts, other.parts, strict=True)
        permuted = [share * a.permuted(b, generator, number) for (share, a), (_, b) in pairs]
        return np.asarray(np.sum(permuted, axis=0), np.float64)

    def _resampled(self, generator: np.random.Generator, other: Sample | None) -> float:
        """The metric of a resample, less that of `other` if there is one."""
        training_runs = None
        if len(self.parts) > 1 and all(units.rows_of is not None for _, units in self.parts):
            training_runs = _draw(generator, len(self.parts[0][1].runs))
        total = 0.0
        for number, (share, units) in enumerate(self.parts):
            counts = units.draw_units(generator)
            rows = units.draw_rows(generator, training_runs)
            total += share * units.statistic(counts, rows)
            if other is not None:
                others = other.parts[number][1]
                alike = [len(run) for run in units.runs] == [len(run) for run in others.runs]
                total -= share * others.statistic(counts, rows if alike else others.draw_rows(generator))
        return total


def paired_samples(one: Scores, other: Scores) -> tuple[Sample, Sample]:
    """Two samples of the items that both have, in the order of `one`.

    Raises:
        DataError: the scores are of different kinds or have no items in common.
    """
    first, second = _on_common_items(one, other)
    return Sample.of(first), Sample.of(second)


@dataclass(frozen=True)
class Units:
    """Scores as arrays, with the units that are resampled together.

    Attributes:
        values: `[rows, items]`.
        weights: `[rows, items]`.
        targets: `[items]`; None if the measure has none.
        unit_of: `[items]`, the number of the unit that each item belongs to.
        num_units: how many units there are.
        measure: how the metric is computed.
        rows_of: the rows of each training run; None if all are of one.
    """

    values: Floats
    weights: Floats
    targets: Floats | None
    unit_of: NDArray[np.int64]
    num_units: int
    measure: Measure
    rows_of: Sequence[Rows] | None

    @classmethod
    def of(cls, scores: Scores) -> Units:
        """The scores of items, without parts."""
        values = np.atleast_2d(np.asarray(scores.values, np.float64))
        weights = (
            np.ones_like(values) if scores.weights is None else np.atleast_2d(np.asarray(scores.weights, np.float64))
        )
        targets = None if scores.targets is None else np.asarray(scores.targets, np.float64)
        rows_of = None
        if scores.training_runs is not None:
            numbers = np.asarray(scores.training_runs)
            rows_of = [np.flatnonzero(numbers == number).tolist() for number in np.unique(numbers)]
        if scores.groups is None:
            unit_of, num_units = np.arange(values.shape[1]), values.shape[1]
        else:
            names, unit_of = np.unique(np.asarray(scores.groups, object).astype(str), return_inverse=True)
            num_units = len(names)
        return cls(values, weights, targets, unit_of.astype(np.int64), num_units, scores.measured_by, rows_of)

    @property
    def num_items(self) -> int:
        """Items, counted by weight (words of documents)."""
        return int(self.weights[0].sum()) if self.targets is None else self.values.shape[1]

    @property
    def runs(self) -> Sequence[Rows]:
        """The rows of each training run, or each row by itself where all are of one run."""
        return self.rows_of or [[row] for row in range(len(self.values))]

    def draw_units(self, generator: np.random.Generator) -> NDArray[np.int64]:
        """A resample: how often each unit is drawn, `[units]`."""
        drawn = generator.integers(max(1, self.num_units), size=self.num_units)
        return np.bincount(drawn, minlength=self.num_units)

    def draw_rows(self, generator: np.random.Generator, training_runs: Sequence[int] | None = None) -> Rows:
        """A resample of the training runs (or those given), and of the rows of each; single ones are taken as they are."""
        drawn = _draw(generator, len(self.runs)) if training_runs is None else training_runs
        return [rows[place] for rows in (self.runs[run] for run in drawn) for place in _draw(generator, len(rows))]

    def statistic(self, counts: NDArray[np.int64] | None, rows: Rows) -> float:
        """The metric with each unit taken `counts` times `[units]` (None: once), the mean over `rows`."""
        if self.targets is not None:
            values, targets, weights = self.values[list(rows)], self.targets, self.weights[list(rows)]
            if counts is not None:
                items = np.repeat(np.arange(len(self.unit_of)), counts[self.unit_of])
                values, targets, weights = values[:, items], targets[items], weights[:, items]
            if self.measure == "v_measure":
                return float(v_measure(values, targets, weights).mean())
            return float(OF_TARGETS[self.measure](values, targets).mean())
        times = 1.0 if counts is None else counts[self.unit_of].astype(np.float64)
        ratios = []
        for row in rows:
            total = float((self.weights[row] * times).sum())
            ratios.append(float((self.values[row] * times).sum()) / total if total else 0.0)
        return float(np.mean(ratios))

    def permuted(self, other: Units, generator: np.random.Generator, number: int) -> Floats:
        """Differences after swapping the two models' scores, unit by unit.

        The ranks are swapped where only the order counts. Clusters of two models cannot be swapped, since they have no names in
        common: in place of permutations the bootstrap's differences are taken, less the difference itself.
        """
        if self.measure == "v_measure":
            of_one, of_other = Sample([(1.0, self)]), Sample([(1.0, other)])
            return of_one.differences(of_other, generator, number) - (of_one.metric - of_other.metric)
        one = self
        if self.measure in RANKING:
            one, other = self._as_ranks(), other._as_ranks()
        chunks = []
        for start in range(0, number, _CHUNK):
            swaps = generator.random((min(_CHUNK, number - start), one.num_units)) < 0.5
            chunks.append(one._swapped(other, swaps) - other._swapped(one, swaps))
        return np.concatenate(chunks)

    def _as_ranks(self) -> Units:
        """The same with the rank of each value among those of its row; measures of the order stay the same."""
        from scipy.stats import rankdata

        return replace(self, values=rankdata(self.values, axis=1))

    def _swapped(self, other: Units, swaps: NDArray[np.bool_]) -> Floats:
        """The metric with `other`'s scores at the units of each row of `swaps` `[permutations, units]`.

        Rows are paired as far as both have them. Result: `[permutations]`.
        """
        num_rows = min(len(self.values), len(other.values))
        if self.targets is not None:
            swapped_items = swaps[:, self.unit_of]
            measure = OF_TARGETS[self.measure]
            of_rows = [
                measure(np.where(swapped_items, other.values[row], self.values[row]), self.targets)
                for row in range(num_rows)
            ]
            return np.asarray(np.mean(of_rows, 0), np.float64)
        chosen = swaps.astype(np.float64)
        ratios = []
        for row in range(num_rows):
            total, weight = (
                mine[row].sum() + chosen @ np.bincount(self.unit_of, others[row] - mine[row], minlength=self.num_units)
                for mine, others in ((self.values, other.values), (self.weights, other.weights))
            )
            ratios.append(np.divide(total, weight, out=np.zeros_like(total), where=weight > 1e-12))
        return np.asarray(np.mean(ratios, 0), np.float64)


def _draw(generator: np.random.Generator, count: int) -> list[int]:
    """`count` numbers below `count`, with replacement; nothing is drawn for a single one."""
    drawn: list[int] = generator.integers(count, size=count).tolist() if count > 1 else [0]
    return drawn


def _on_common_items(one: Scores, other: Scores) -> tuple[Scores, Scores]:
    if (one.parts is None) != (other.parts is None) or (one.parts is None and one.measured_by != other.measured_by):
        raise DataError("the two results hold scores of different kinds and cannot be compared")
    if one.parts is not None and other.parts is not None:
        for name in [*one.parts, *other.parts]:
            if name not in one.parts or name not in other.parts:
                raise DataError(f"the two results are means over different parts: only one of them has '{name}'")
        pairs = {name: _on_common_items(part, other.parts[name]) for name, part in one.parts.items()}
        first, second = ({name: pair[side] for name, pair in pairs.items()} for side in (0, 1))
        return replace(one, parts=first), replace(other, parts=second)
    if list(one.ids) == list(other.ids):
        return one, other
    index_of = {key: index for index, key in enumerate(other.ids)}
    common = [(index, index_of[key]) for index, key in enumerate(one.ids) if key in index_of]
    if not common:
        raise DataError("the two results have no items in common: they were measured on other data")
    return _take(one, [i for i, _ in common]), _take(other, [j for _, j in common])


def _take(scores: Scores, items: Sequence[int]) -> Scores:
    def take(row: Sequence[float]) -> list[float]:
        return [row[i] for i in items]

    return replace(
        scores,
        ids=[scores.ids[i] for i in items],
        values=[take(row) for row in scores.values],
        weights=None if scores.weights is None else [take(row) for row in scores.weights],
        targets=None if scores.targets is None else take(scores.targets),
        groups=None if scores.groups is None else [scores.groups[i] for i in items],
    )
