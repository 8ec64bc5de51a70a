"""Metrics of the classifier and of agreement, with 95 % intervals, and the choice of the threshold."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from rexplug.errors import DataError
from rexplug.recipe.schema import Threshold

_NUM_RESAMPLES = 1000
_GRID = np.round(np.arange(0.01, 1.0, 0.01), 2)


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


def curve(truth: NDArray[np.bool_], scores: NDArray[np.float64]) -> list[dict[str, float | None]]:
    """Precision, recall and F1 at each threshold from 0.01 to 0.99."""
    rows = []
    for threshold in _GRID:
        hits, wrong, missed = _counts(truth, scores >= threshold)
        rows.append(
            {
                "threshold": float(threshold),
                "precision": hits / (hits + wrong) if hits + wrong else None,
                "recall": hits / (hits + missed) if hits + missed else None,
                "f1": _f1(hits, wrong, missed),
            }
        )
    return rows


def choose_threshold(rows: list[dict[str, float | None]], target: Threshold) -> float:
    """The threshold that the target asks for; of several that are equally good the middle one.

    Raises:
        DataError: no threshold reaches the target; the message says what is reached.
    """
    fixed, free = ("precision", "recall") if target.precision is not None else ("recall", "precision")
    needed = target.precision if target.precision is not None else target.recall
    known = [row for row in rows if row["f1"] is not None]
    if needed is None:
        possible, by = known, "f1"
    else:
        possible, by = [row for row in known if (row[fixed] or 0.0) >= needed], free
        if not possible:
            best = max(known, key=lambda row: row[fixed] or 0.0, default=None)
            reached = f"the best is {best[fixed]:.3f} at {best['threshold']}" if best else "nothing was found relevant"
            raise DataError(
                f"relevance: no threshold reaches a {fixed} of {needed} on the dev split; {reached}. "
                "Label more documents, or lower relevance.threshold"
            )
    if not possible:
        raise DataError("relevance: the dev split has no relevant document; label more documents")
    most = max(row[by] or 0.0 for row in possible)
    best_rows = [row["threshold"] for row in possible if (row[by] or 0.0) >= most - 1e-12]
    return float(best_rows[len(best_rows) // 2] or 0.0)


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
