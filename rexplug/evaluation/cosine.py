"""Similarity of paired embeddings."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from rexplug.recipe.evaluation import Similarity


def paired_cosines(first: NDArray[np.float32], second: NDArray[np.float32]) -> NDArray[np.float32]:
    """The cosine of `first[i]` and `second[i]`, both `[n, dimensions]`; 0 where one of them is zero. Result: `[n]`.

    Not scikit-learn's `paired_cosine_distances`, which rounds differently: near ties would change places, and with them
    metrics of stored results.
    """
    norms = np.linalg.norm(first, axis=1) * np.linalg.norm(second, axis=1)
    cosines: NDArray[np.float32] = (first * second).sum(1) / np.maximum(norms, 1e-12)
    return cosines


def paired_similarities(
    first: NDArray[np.float32], second: NDArray[np.float32], similarity: Similarity
) -> NDArray[np.float32]:
    """Similarity of `first[i]` and `second[i]`, `[n]`, both `[n, dimensions]`; the negative value of a distance."""
    if similarity == "cosine":
        return paired_cosines(first, second)
    if similarity == "dot":
        products: NDArray[np.float32] = (first * second).sum(1)
        return products
    order = 2 if similarity == "euclidean" else 1
    return np.asarray(-np.linalg.norm(first - second, ord=order, axis=1), np.float32)


def similarity_matrix(
    queries: NDArray[np.float32], documents: NDArray[np.float32], similarity: Similarity
) -> NDArray[np.float32]:
    """Similarity of each query `[q, dimensions]` and document `[d, dimensions]`, `[q, d]`; the negative value of a distance."""
    if similarity in ("cosine", "dot"):
        if similarity == "cosine":
            queries, documents = (
                side / np.maximum(np.linalg.norm(side, axis=1, keepdims=True), 1e-12) for side in (queries, documents)
            )
        products: NDArray[np.float32] = queries @ documents.T
        return products
    from scipy.spatial.distance import cdist

    return np.asarray(-cdist(queries, documents, "euclidean" if similarity == "euclidean" else "cityblock"), np.float32)
