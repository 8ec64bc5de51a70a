"""Collects the embeddings that evaluators ask a model for, so that they can be written to a file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rexplug.evaluation.embedding_files import Key, write_embeddings
from rexplug.evaluation.text_rows import source_of


@dataclass
class EmbeddingLog:
    """Texts with the embedding of each, for every role; of a text that was cut at several lengths the longest."""

    _embeddings: dict[Key, tuple[int, NDArray[np.float32]]] = field(default_factory=dict)

    def add(self, rows: Sequence[NDArray[np.int64]], embeddings: NDArray[np.float32]) -> None:
        """Add the embeddings `[n, dimensions]` of rows that know their texts."""
        for row, embedding in zip(rows, embeddings, strict=True):
            source = source_of(row)
            key = (source.text, source.role or "")
            if key not in self._embeddings or source.max_tokens > self._embeddings[key][0]:
                self._embeddings[key] = source.max_tokens, embedding

    def __len__(self) -> int:
        return len(self._embeddings)

    def write(self, path: Path) -> None:
        """Write all as Parquet; see `rexplug.evaluation.embedding_files`."""
        write_embeddings(path, {key: embedding for key, (_, embedding) in self._embeddings.items()})
