"""Measures of predictions against targets, of many resamples at once.

Each takes values `[n, items]` and the targets `[items]` and returns `[n]`. The definitions are those of scipy and scikit-learn,
which mteb uses; they are written again for many rows because resampling asks for thousands: `scipy.stats.spearmanr` computes a
p-value with each correlation (two times as long for 4,000 items, forty times for 60), and scikit-learn takes one row at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def spearman(values: Floats, targets: Floats) -> Floats:
    """Spearman's rank correlation of each row with the targets; 0 where one of them is constant."""
    from scipy.stats import rankdata

    x, y = rankdata(values, axis=1), rankdata(targets)
    x, y = x - x.mean(1, keepdims=True), y - y.mean()
    norms = np.sqrt((x * x).sum(1) * (y @ y))
    correlations: Floats = np.divide(x @ y, norms, out=np.zeros(len(x)), where=norms > 0)
    return correlations


def average_precision(values: Floats, targets: Floats) -> Floats:
    """Average precision of ranking by falling values; targets are 1 for positives and 0 for the others; 0 without positives.

    Equal values have one threshold, as in `sklearn.metrics.average_precision_score`.
    """
    labels, last_of_ties = _ranked(values, targets)
    places = np.arange(1, labels.shape[1] + 1)
    precision = np.take_along_axis(labels.cumsum(1) / places, last_of_ties, 1)
    positives = labels.sum(1)
    result: Floats = np.divide((labels * precision).sum(1), positives, out=np.zeros(len(labels)), where=positives > 0)
    return result


def best_accuracy(values: Floats, targets: Floats) -> Floats:
    """Accuracy at the threshold between two values that makes it highest, as mteb's `max_accuracy`; targets are 1 and 0."""
    labels, last_of_ties = _ranked(values, targets)
    num_items = labels.shape[1]
    places = np.arange(num_items)
    above = labels.cumsum(1)
    right = above + (num_items - 1 - places) - (labels.sum(1, keepdims=True) - above)
    between = (last_of_ties == places) & (places < num_items - 1)
    result: Floats = np.where(between, right, 0.0).max(1) / num_items
    return result


def macro_f1(values: Floats, targets: Floats) -> Floats:
    """Mean F1 of the classes that are predicted or true; values and targets are numbers of classes, from 0."""
    classes = int(max(values.max(), targets.max())) + 1
    true = targets.astype(np.int64)
    counts = np.bincount(true, minlength=classes)
    scores = []
    for row in values.astype(np.int64):
        hits = np.bincount(true[row == true], minlength=classes)
        either = counts + np.bincount(row, minlength=classes)
        scores.append(float((2 * hits[either > 0] / either[either > 0]).mean()))
    return np.asarray(scores)


def v_measure(values: Floats, targets: Floats, weights: Floats | None = None) -> Floats:
    """V-measure of clusters (values) against classes (targets), as `sklearn.metrics.v_measure_score`; both are numbers from 0.

    Args:
        values: numbers of clusters.
        targets: numbers of classes.
        weights: `[n, items]`, how often each item counts.
    """
    num_classes = int(targets.max()) + 1
    true = targets.astype(np.int64)
    scores = []
    for number, row in enumerate(values.astype(np.int64)):
        of_items = None if weights is None else weights[number]
        num_clusters = int(row.max()) + 1
        table = np.bincount(row * num_classes + true, of_items, num_clusters * num_classes)
        counts: Floats = table.reshape(num_clusters, num_classes).astype(np.float64)
        joint, clusters, classes = (_entropy(part) for part in (counts.ravel(), counts.sum(1), counts.sum(0)))
        shared = clusters + classes - joint
        homogeneity = shared / classes if classes > 1e-12 else 1.0
        completeness = shared / clusters if clusters > 1e-12 else 1.0
        total = homogeneity + completeness
        scores.append(2 * homogeneity * completeness / total if total > 1e-12 else 0.0)
    return np.asarray(scores)


RANKING: Mapping[str, Callable[[Floats, Floats], Floats]] = {
    "spearman": spearman,
    "average_precision": average_precision,
    "best_accuracy": best_accuracy,
}
"""Measures that depend on the order of the values alone."""
OF_TARGETS: Mapping[str, Callable[[Floats, Floats], Floats]] = {**RANKING, "macro_f1": macro_f1, "v_measure": v_measure}
"""All measures of values against targets."""


def _ranked(values: Floats, targets: Floats) -> tuple[Floats, NDArray[np.int64]]:
    """Targets in the order of falling values, and for each place the last place of the same value, both `[n, items]`."""
    order = np.argsort(-values, axis=1, kind="stable")
    ordered = np.take_along_axis(values, order, 1)
    last = np.ones(values.shape, bool)
    last[:, :-1] = ordered[:, :-1] != ordered[:, 1:]
    places = np.where(last, np.arange(values.shape[1]), values.shape[1])
    return targets[order], np.minimum.accumulate(places[:, ::-1], axis=1)[:, ::-1]


def _entropy(counts: Floats) -> float:
    """Entropy of a distribution given by counts, in nats."""
    shares = counts[counts > 0] / counts.sum()
    return float(-(shares * np.log(shares)).sum())
