"""Keeps embeddings in memory, so that models that differ only in where embeddings are cut embed every text once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rexplug.evaluation.text_rows import Row

_MOST_VALUES = 2**28
"""Values that are kept (1 GiB); embeddings beyond them are computed every time."""


class EmbeddingCache:
    """Whole embeddings by what decides them: token ids, segments, the prompt's length and the text that a model reads itself."""

    def __init__(self) -> None:
        self._embeddings: dict[Any, NDArray[np.float32]] = {}
        self._values = 0

    def of(
        self,
        rows: Sequence[NDArray[np.int64]],
        embed: Callable[[Sequence[NDArray[np.int64]]], NDArray[np.float32]],
    ) -> NDArray[np.float32]:
        """Embeddings `[n, dimensions]` of rows; those that are not kept yet are computed by `embed`, each once."""
        if not len(rows):
            return embed([])
        keys = [_key(row) for row in rows]
        new = {key: row for key, row in zip(keys, rows, strict=True) if key not in self._embeddings}
        found = dict(zip(new, embed(list(new.values())), strict=True)) if new else {}
        result = np.stack([self._embeddings[key] if key in self._embeddings else found[key] for key in keys])
        for key, embedding in found.items():
            if self._values + embedding.size > _MOST_VALUES:
                break
            self._embeddings[key] = embedding
            self._values += embedding.size
        return result


def _key(row: NDArray[np.int64]) -> Any:
    if not isinstance(row, Row):
        return row.tobytes()
    segments = None if row.segments is None else row.segments.tobytes()
    return row.tobytes(), segments, row.prompt_length, row.source
