"""The batch stream as Composer's data loader; a batch is a list of rows, a microbatch one of them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from composer.core import DataSpec
from torch.utils.data import DataLoader, IterableDataset

from rexplug.batches import IGNORED, BatchStream, GlobalBatch, Position, Row


class StreamDataset(IterableDataset[dict[str, Any]]):
    """Yields the global batches of a phase from a position on."""

    def __init__(self, stream: BatchStream, position: Position) -> None:
        self.stream = stream
        self.position = position

    def __iter__(self) -> Iterator[dict[str, Any]]:
        for batch, after in self.stream.batches(self.position):
            yield to_tensors(batch, after)


def data_spec(stream: BatchStream, position: Position) -> DataSpec:
    """The stream from `position` on, for Composer's trainer."""
    loader = DataLoader(StreamDataset(stream, position), batch_size=None, num_workers=0)
    return DataSpec(
        loader,
        split_batch=lambda batch, size: [
            {**batch, "rows": batch["rows"][i : i + size]} for i in range(0, len(batch["rows"]), size)
        ],
        get_num_samples_in_batch=lambda batch: len(batch["rows"]),
        # Plain integers kept beside the tensors: counting on the device would wait for it at every row.
        get_num_tokens_in_batch=lambda batch: {
            "total": sum(row["num_tokens"] for row in batch["rows"]),
            "loss_generating": sum(row["num_masked"] for row in batch["rows"]),
        },
    )


def to_tensors(batch: GlobalBatch, after: Position) -> dict[str, Any]:
    """A global batch as a mapping of tensors; `about` holds what the callbacks report."""
    return {
        "rows": [_row(row) for row in batch.rows],
        "about": {
            "progress": batch.progress, "num_tokens": batch.num_tokens, "num_masked": batch.num_masked,
            "tokens_of": dict(batch.tokens_of), "planned": dict(batch.planned),
            "capacity": sum(len(row.token_ids) for row in batch.rows),
            "documents": [
                (int(source), sample.document)
                for row in batch.rows
                for source, sample in zip(row.sources, row.samples, strict=True)
            ],
            "position": after.to_json(), "tokens": after.tokens,
        },
    }  # fmt: skip


def _row(row: Row) -> dict[str, Any]:
    lengths = np.diff(row.borders)
    source_of = np.zeros(len(row.token_ids), np.int64)
    source_of[: row.num_tokens] = np.repeat(row.sources, lengths)
    return {
        "token_ids": torch.from_numpy(row.token_ids),
        "labels": torch.from_numpy(row.labels),
        "borders": torch.from_numpy(row.borders),
        "masked": torch.from_numpy(np.flatnonzero(row.labels != IGNORED)),
        "source_of": torch.from_numpy(source_of),
        "num_tokens": row.num_tokens,
        "num_masked": row.num_masked,
    }
