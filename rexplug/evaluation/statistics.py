"""Bootstrap intervals, paired permutation tests and Holm's correction.

Intervals resample units (documents, queries; whole groups where items are not independent) and, where there are several
fine-tunes or training runs, the runs as well: a difference between two training runs is not a difference between methods.
P-values are those of a paired permutation test: if two models were alike, their scores of a unit could be swapped. For rank
correlations the ranks are swapped: cosines of two models may have different scales (one in a narrow cone, one not), and if they
were swapped, the scales would decide, not the models.

A test on the items of one training run of each model says that these two models differ on such items. Whether two methods of
training differ also depends on the seeds that they were trained with. So a difference is called real only if each model that was
trained here was trained with several seeds. A baseline that compares words has no seed, and a published model is one model: what is
said about it is said about this model, not about how it was trained.

They are our own because scipy's `bootstrap` and `permutation_test` resample single items of one sample or of pairs, neither
groups of items nor runs beside them, and scipy has no correction by Holm.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace

import numpy as np

from rexplug.components import Budget, Metric, Scores
from rexplug.evaluation.resampling import Sample, paired_samples
from rexplug.plugins.calls.evaluation_results import scores_problem

_RESAMPLES = 1000
_SLOW_RESAMPLES = 300
"""For measures that are not means, such as rank correlations, which rank each resample again."""
_PERMUTATIONS = 9999
_SLOW_PERMUTATIONS = 999
"""Enough that p-values stay small enough to survive Holm's correction in a table of some hundred (some ten) tests."""
ALPHA = 0.05
"""Differences whose corrected p-value is at or above this are not called real."""
NOT_VARIED = "differs on these items; seeds were not varied"
"""The verdict on a difference that the test confirms for a single training run of a model."""


_FACTORS: dict[Budget, float] = {"quick": 0.3, "standard": 1.0, "full": 5.0}
"""Budget -> factor of the number of resamples."""
_budget: ContextVar[Budget] = ContextVar("budget", default="standard")


@contextmanager
def resamples_of(budget: Budget) -> Iterator[None]:
    """Draw as many resamples for intervals of metrics inside the context as the budget says: 300, 1,000 or 5,000.

    For rank correlations 90, 300 or 1,500. Comparisons of models draw the same numbers at every budget.
    """
    token = _budget.set(budget)
    try:
        yield
    finally:
        _budget.reset(token)


@dataclass(frozen=True)
class Difference:
    """The difference between a metric of two models on the same items, with its 95 % interval and p-value."""

    value: float
    """The metric of one model minus that of the other."""
    low: float
    """Lower end of its 95 % interval."""
    high: float
    """Upper end of its 95 % interval."""
    p: float
    """The two-sided p-value of this test alone."""
    num_items: int
    """Items that both models have."""
    seeds: tuple[int, int]
    """In how many of the runs (paired by seed) the sign was that of the difference, and how many there are: (3, 3)."""
    p_holm: float = 1.0
    """The p-value corrected for the number of comparisons made together; 1 before `holm_correction`."""
    training_runs: int | None = 1
    """How many training runs, by seed, the scores hold of each model that was trained here, fine-tunes of one run not counted;
    None if neither was trained here."""

    @property
    def shown_p(self) -> str:
        """The corrected p-value as tables show it."""
        return "< 0.001" if self.p_holm < 0.001 else f"= {self.p_holm:.3f}"

    @property
    def differs(self) -> bool:
        """Whether both the interval, which covers the runs too, and the corrected test indicate a difference on such items."""
        return self.p_holm < ALPHA and (self.low > 0 or self.high < 0)

    @property
    def real(self) -> bool:
        """Whether the models differ significantly, over more than one training run of each that was trained here."""
        return self.differs and (self.training_runs is None or self.training_runs > 1)

    @property
    def verdict(self) -> str:
        """The verdict on the difference that tables show."""
        if not self.differs:
            return "may be chance"
        return "real" if self.real else NOT_VARIED

    @property
    def sign(self) -> str:
        """The verdict as a sign: `+` or `-` for a real difference, in brackets where seeds were not varied, `~` for one that may be
        chance."""
        if not self.differs:
            return "~"
        sign = "+" if self.value > 0 else "-"
        return sign if self.real else f"({sign})"


def bootstrap_metric(scores: Scores, seed: int, *, tags: Sequence[str] = ()) -> Metric:
    """The metric of `scores` with its 95 % interval, its spread over fine-tunes and the number of items.

    The interval resamples items (whole groups, if `scores` have groups), and fine-tunes or training runs where there are several.
    Inside an evaluation there are as many resamples as its budget says: 300, 1,000 or 5,000 for means, 90, 300 or 1,500 for other
    measures.

    Args:
        scores: the scores of single items; those without items give 0 without an interval.
        seed: of the resamples, for example `EvaluationContext.seed`.
        tags: tags of the metric.

    Raises:
        ValueError: values are not numbers, or there are not equally many of all that the scores hold.
    """
    _require_consistent(scores)
    sample = Sample.of(scores)
    if not sample.num_items:
        return Metric(0.0, None, None, 0, tags=tags)
    number = round((_RESAMPLES if sample.is_mean else _SLOW_RESAMPLES) * _FACTORS[_budget.get()])
    low, high = np.quantile(sample.resampled(np.random.default_rng(seed), number), [0.025, 0.975])
    of_runs = sample.of_runs()
    several = len(of_runs) > 1
    return Metric(
        float(np.mean(of_runs)),
        float(low),
        float(high),
        sample.num_items,
        spread=float(np.std(of_runs, ddof=1)) if several else None,
        num_seeds=len(of_runs) if several else None,
        tags=tags,
    )


def _require_consistent(scores: Scores) -> None:
    if (problem := scores_problem(scores)) is not None:
        raise ValueError(f"the scores do not fit together: {problem}")


def value(scores: Scores) -> float:
    """The metric of `scores` alone."""
    return Sample.of(scores).metric


def paired_test(one: Scores, other: Scores, seed: int, *, training_runs: int | None = 1) -> Difference:
    """`one` minus `other` on the items that both have, by a paired permutation test.

    The p-value is two-sided, from 9,999 permutations for means and 999 for other measures; the 95 % interval resamples the items
    of both models together, and the runs of each. Several tests that are reported together need `holm_correction`.

    Args:
        one: scores of a model.
        other: scores of the model that it is compared with.
        seed: of resamples and permutations.
        training_runs: how many training runs the scores hold of those models that were trained here; None if neither was.

    Raises:
        DataError: they are of different kinds or have no items in common.
        ValueError: values are not numbers, or there are not equally many of all that the scores hold.
    """
    for scores in (one, other):
        _require_consistent(scores)
    a, b = paired_samples(one, other)
    is_mean = a.is_mean and b.is_mean
    generator = np.random.default_rng(seed)
    difference = a.metric - b.metric
    resampled = a.differences(b, generator, _RESAMPLES if is_mean else _SLOW_RESAMPLES)
    low, high = np.quantile(resampled, [0.025, 0.975])
    of_runs = [np.sign(x - y) == np.sign(difference) for x, y in zip(a.of_runs(), b.of_runs(), strict=False)]
    # Two-sided: how often the scores of two models that are alike give as large a difference.
    permuted = a.permuted(b, generator, _PERMUTATIONS if is_mean else _SLOW_PERMUTATIONS)
    extreme = int((np.abs(permuted) >= abs(difference) - 1e-12).sum())
    return Difference(
        float(difference),
        float(low),
        float(high),
        (extreme + 1) / (len(permuted) + 1),
        a.num_items,
        (int(sum(of_runs)), len(of_runs)),
        training_runs=training_runs,
    )


def holm_correction(differences: Sequence[Difference]) -> list[Difference]:
    """The same differences with p-values corrected for being tested together (Holm, 1979)."""
    order = sorted(range(len(differences)), key=lambda i: differences[i].p)
    corrected = [1.0] * len(differences)
    highest = 0.0
    for rank, index in enumerate(order):
        highest = max(highest, min(1.0, (len(order) - rank) * differences[index].p))
        corrected[index] = highest
    return [replace(difference, p_holm=p) for difference, p in zip(differences, corrected, strict=True)]
