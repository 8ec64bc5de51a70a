"""Cosine similarity of paired embeddings."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def paired_cosines(first: NDArray[np.float32], second: NDArray[np.float32]) -> NDArray[np.float32]:
    """The cosine of `first[i]` and `second[i]`, both `[n, dimensions]`; 0 where one of them is zero. Result: `[n]`.

    Not scikit-learn's `paired_cosine_distances`, which rounds differently: near ties would change places, and with them
    metrics of stored results.
    """
    norms = np.linalg.norm(first, axis=1) * np.linalg.norm(second, axis=1)
    cosines: NDArray[np.float32] = (first * second).sum(1) / np.maximum(norms, 1e-12)
    return cosines
