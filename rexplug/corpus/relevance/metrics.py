"""Metrics of the classifier and of agreement, with 95 % intervals, and the choice of the threshold."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rexplug.errors import DataError
from rexplug.recipe.schema import Threshold

_NUM_RESAMPLES = 1000
_DECIMALS = 17
"""Decimals that tell any two numbers between 0 and 1 apart."""


def classification_metrics(truth: NDArray[np.bool_], predicted: NDArray[np.bool_], seed: int) -> dict[str, Any]:
    """Precision, recall and F1 of the relevant class.

    Args:
        truth: the labels, `[n]`.
        predicted: the classifier's answers, `[n]`.
        seed: of the resampling for F1's interval.

    Returns:
        `{"documents", "relevant", "precision": {"value", "low", "high"}, "recall": ..., "f1": ...}`. Precision and recall have
        Wilson intervals, which have a width at 0 and 1 too; F1 has a bootstrap interval over documents. A value that is not
        defined (no document was predicted, or is relevant) is None.
    """
    hits, wrong, missed = _counts(truth, predicted)
    values = np.stack([truth & predicted, ~truth & predicted, truth & ~predicted]).astype(np.float64)
    f1 = _f1(hits, wrong, missed)
    low = high = None
    if f1 is not None:
        shares = np.concatenate([values.sum(1), [len(truth) - values.sum()]]) / len(truth)
        draws = np.random.default_rng(seed).multinomial(len(truth), shares, size=_NUM_RESAMPLES).astype(np.float64)
        sums = 2 * draws[:, 0] + draws[:, 1] + draws[:, 2]
        low, high = (float(x) for x in np.quantile(2 * draws[:, 0] / np.maximum(sums, 1), [0.025, 0.975]))
    return {
        "documents": len(truth),
        "relevant": int(truth.sum()),
        "precision": _share(hits, hits + wrong),
        "recall": _share(hits, hits + missed),
        "f1": {"value": f1, "low": low, "high": high},
    }


@dataclass(frozen=True)
class Curve:
    """Precision, recall and F1 at every threshold that a set of scores can be divided by."""

    scores: NDArray[np.float64]
    """The distinct scores, falling, `[n]`; documents with at least this score are taken as relevant."""
    hits: NDArray[np.int64]
    """Relevant documents with at least this score, `[n]`."""
    wrong: NDArray[np.int64]
    """Other documents with at least this score, `[n]`."""
    relevant: int
    """Relevant documents in all."""

    @property
    def precision(self) -> NDArray[np.float64]:
        """`[n]`."""
        return self.hits / (self.hits + self.wrong)

    @property
    def recall(self) -> NDArray[np.float64]:
        """`[n]`; NaN if no document is relevant."""
        return self.hits / self.relevant if self.relevant else np.full(len(self.hits), np.nan)

    @property
    def f1(self) -> NDArray[np.float64]:
        """`[n]`."""
        return 2 * self.hits / (self.hits + self.wrong + self.relevant)

    def threshold(self, index: int) -> float:
        """The number in the middle between a score and the next lower one, with as few decimals as the gap allows.

        Every number above the lower score and up to the score itself divides these documents alike; the middle is the farthest
        from both, so that it is the likeliest to divide others alike.
        """
        high = float(self.scores[index])
        low = float(self.scores[index + 1]) if index + 1 < len(self.scores) else min(0.0, high)
        for decimals in range(2, _DECIMALS):
            rounded = round((low + high) / 2, decimals)
            if low < rounded <= high:
                return rounded
        return high

    def rows(self, most: int) -> list[dict[str, float | None]]:
        """At most about `most` thresholds, rising, evenly over the documents' ranks, with their metrics."""
        chosen = np.unique(np.linspace(0, len(self.scores) - 1, min(most, len(self.scores))).round().astype(int))[::-1]
        precision, recall, f1 = self.precision, self.recall, self.f1
        return [
            {
                "threshold": self.threshold(index),
                "precision": float(precision[index]),
                "recall": float(recall[index]) if self.relevant else None,
                "f1": float(f1[index]),
            }
            for index in chosen.tolist()
        ]


def curve(truth: NDArray[np.bool_], scores: NDArray[np.float64]) -> Curve:
    """The metrics at every observed score.

    Args:
        truth: the labels, `[n]`.
        scores: the classifier's probabilities, `[n]`.
    """
    order = np.argsort(-scores, kind="stable")
    falling = scores[order]
    last = np.append(np.flatnonzero(falling[1:] != falling[:-1]), len(falling) - 1)  # of those with the same score
    hits = np.cumsum(truth[order])[last]
    return Curve(falling[last], hits, last + 1 - hits, int(truth.sum()))


def choose_threshold(found: Curve, target: Threshold) -> float:
    """The threshold that the target asks for; of several that are equally good the middle one.

    Raises:
        DataError: no threshold reaches the target; the message says what is reached.
    """
    if not found.relevant:
        raise DataError("relevance: the dev split has no relevant document; label more documents")
    metrics = {"precision": found.precision, "recall": found.recall, "f1": found.f1}
    fixed, free = ("precision", "recall") if target.precision is not None else ("recall", "precision")
    needed = target.precision if target.precision is not None else target.recall
    if needed is None:
        possible, by = np.arange(len(found.scores)), metrics["f1"]
    else:
        possible, by = np.flatnonzero(metrics[fixed] >= needed), metrics[free]
        if not len(possible):
            best = int(np.argmax(metrics[fixed]))
            raise DataError(
                f"relevance: no threshold reaches a {fixed} of {needed} on the dev split; the best is "
                f"{metrics[fixed][best]:.3f} at {found.threshold(best)}. Label more documents, or lower relevance.threshold"
            )
    best_ones = possible[by[possible] >= by[possible].max() - 1e-12]
    if needed is not None:  # of those with as many relevant documents found the most precise, and the other way round
        best_ones = best_ones[metrics[fixed][best_ones] >= metrics[fixed][best_ones].max() - 1e-12]
    return found.threshold(int(best_ones[len(best_ones) // 2]))


def cohens_kappa(first: NDArray[np.bool_], second: NDArray[np.bool_], seed: int) -> dict[str, Any]:
    """Cohen's kappa of two judges on the same documents, `[n]` each, with a bootstrap interval.

    None where it is not defined: one judge gave every document the same label, and so did the other.
    """
    cells = np.array(
        [(first & second).sum(), (first & ~second).sum(), (~first & second).sum(), (~first & ~second).sum()]
    )
    total = int(cells.sum())
    value = float(_kappa(cells[None].astype(np.float64))[0]) if total else float("nan")
    low = high = None
    if np.isfinite(value):
        draws = np.random.default_rng(seed).multinomial(total, cells / total, size=_NUM_RESAMPLES).astype(np.float64)
        drawn = _kappa(draws)
        drawn = drawn[np.isfinite(drawn)]
        low, high = (float(x) for x in np.quantile(drawn, [0.025, 0.975]))
    names = ("both_relevant", "first_only", "second_only", "neither")
    return {
        "documents": total,
        "agreement": float((cells[0] + cells[3]) / total) if total else None,
        "kappa": {"value": value if np.isfinite(value) else None, "low": low, "high": high},
        **{name: int(count) for name, count in zip(names, cells, strict=True)},
    }


def _kappa(cells: NDArray[np.float64]) -> NDArray[np.float64]:
    """`[m, 4]` -> `[m]`."""
    total = cells.sum(1)
    observed = (cells[:, 0] + cells[:, 3]) / total
    first, second = (cells[:, 0] + cells[:, 1]) / total, (cells[:, 0] + cells[:, 2]) / total
    expected = first * second + (1 - first) * (1 - second)
    with np.errstate(invalid="ignore", divide="ignore"):
        kappa: NDArray[np.float64] = np.where(expected < 1, (observed - expected) / (1 - expected), np.nan)
    return kappa


def _counts(truth: NDArray[np.bool_], predicted: NDArray[np.bool_]) -> tuple[int, int, int]:
    return int((truth & predicted).sum()), int((~truth & predicted).sum()), int((truth & ~predicted).sum())


def _f1(hits: int, wrong: int, missed: int) -> float | None:
    return 2 * hits / (2 * hits + wrong + missed) if hits + wrong + missed else None


def _share(part: int, total: int) -> dict[str, float | None]:
    if not total:
        return {"value": None, "low": None, "high": None}
    from scipy.stats import binomtest

    interval = binomtest(part, total).proportion_ci(method="wilson")
    return {"value": part / total, "low": float(interval.low), "high": float(interval.high)}
