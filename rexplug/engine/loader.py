"""The batch stream as Composer's data loader; a batch is a list of rows, a microbatch one of them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from composer.core import DataSpec
from torch.utils.data import DataLoader, IterableDataset

from rexplug.batches import IGNORED, BatchStream, GlobalBatch, Position, Row
from rexplug.model.flops import pairs

HALF_WINDOW = 64
"""Tokens that a local layer sees to either side, in every model of the family."""


class StreamDataset(IterableDataset[dict[str, Any]]):
    """Yields the global batches of a phase from a position on."""

    def __init__(self, stream: BatchStream, position: Position, rank: int, world: int) -> None:
        self.stream = stream
        self.position = position
        self.rank, self.world = rank, world

    def __iter__(self) -> Iterator[dict[str, Any]]:
        for batch, after in self.stream.batches(self.position):
            yield to_tensors(batch, after, self.rank, self.world)


def data_spec(stream: BatchStream, position: Position, rank: int = 0, world: int = 1) -> DataSpec:
    """The part of the stream that a rank trains on, from `position` on, for Composer's trainer."""
    loader = DataLoader(StreamDataset(stream, position, rank, world), batch_size=None, num_workers=0)
    return DataSpec(
        loader,
        # Without `about`: Composer copies every microbatch deeply.
        split_batch=lambda batch, size: [
            {"rows": batch["rows"][i : i + size]} for i in range(0, len(batch["rows"]), size)
        ],
        get_num_samples_in_batch=lambda batch: len(batch["rows"]),
        # Plain integers kept beside the tensors: counting on the device would wait for it at every row.
        get_num_tokens_in_batch=lambda batch: {
            "total": sum(row["num_tokens"] for row in batch["rows"]),
            "loss_generating": sum(row["num_masked"] for row in batch["rows"]),
        },
    )


def to_tensors(batch: GlobalBatch, after: Position, rank: int = 0, world: int = 1) -> dict[str, Any]:
    """A rank's rows of a global batch as a mapping of tensors; `about` holds what the callbacks report of all of it.

    Every rank has as many rows as the others, since they share each pass where the model is cut into parts: one that
    would have fewer gets a row that masks nothing and weighs nothing.
    """
    rows = [_row(row) for row in batch.rows[rank::world]]
    if len(rows) * world < len(batch.rows):
        rows.append(_idle(batch.rows[0]))
    lengths = [int(n) for row in batch.rows for n in np.diff(row.borders)]
    return {
        "rows": rows,
        "about": {
            "progress": batch.progress, "num_tokens": batch.num_tokens, "num_masked": batch.num_masked,
            "tokens_of": dict(batch.tokens_of), "planned": dict(batch.planned),
            "capacity": sum(len(row.token_ids) for row in batch.rows),
            "documents": [
                pair for row in batch.rows for pair in zip(row.sources.tolist(), row.documents.tolist(), strict=True)
            ],
            "position": after.to_json(), "tokens": after.tokens,
            "pairs": (pairs(lengths, None), pairs(lengths, HALF_WINDOW)),
        },
    }  # fmt: skip


def _idle(row: Row) -> dict[str, Any]:
    """The first sample of a row, with nothing to predict."""
    made, end = _row(row), int(row.borders[1])
    first = {key: made[key][:end] for key in ("token_ids", "labels", "source_of")}
    return {**first, "borders": made["borders"][:2], "masked": made["masked"][:0], "num_tokens": 0, "num_masked": 0}


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
