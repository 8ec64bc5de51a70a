"""The batch stream as Composer's data loader; a batch is a list of rows, a microbatch one of them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from composer.core import DataSpec
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from rexplug.batches import IGNORED, BatchStream, GlobalBatch, Position, Row
from rexplug.model.flops import pairs
from rexplug.tokens import SpecialTokens

HALF_WINDOW = 64
"""Tokens that a local layer sees to either side, in every model of the family."""


class StreamDataset(IterableDataset[dict[str, Any]]):
    """Yields a rank's part of the global batches of a phase from a position on; loader workers take them in turn."""

    def __init__(self, stream: BatchStream, position: Position, rank: int, world: int) -> None:
        self.stream = stream
        self.position = position
        self.rank, self.world = rank, world

    def __iter__(self) -> Iterator[dict[str, Any]]:
        info = get_worker_info()
        worker, workers = (info.id, info.num_workers) if info else (0, 1)
        batches = self.stream.batches(self.position, rank=self.rank, world=self.world, worker=worker, workers=workers)
        for batch, after in batches:
            made = to_tensors(batch, after)
            # Every rank has as many rows as the others, since they share each pass where the model is cut into parts.
            if len(batch.rows) * self.world < batch.num_rows:
                made["rows"].append(_idle(self.stream.special))
            yield made


def data_spec(stream: BatchStream, position: Position, rank: int = 0, world: int = 1, workers: int = 0) -> DataSpec:
    """The part of the stream that a rank trains on, from `position` on, for Composer's trainer.

    With `workers` the batches are made beside training, in processes that take turns; they are the same batches. Beside a
    GPU they lie in pinned memory, from where they are copied while it computes.
    """
    dataset = StreamDataset(stream, position, rank, world)
    loader = DataLoader(
        # As it is: torch would make tensors of arrays too, and what is a tensor goes to the GPU.
        dataset, batch_size=None, collate_fn=_as_it_is, num_workers=workers, pin_memory=torch.cuda.is_available(),
    )  # fmt: skip
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


def _as_it_is(batch: Any) -> Any:
    return batch


def to_tensors(batch: GlobalBatch, after: Position) -> dict[str, Any]:
    """A rank's rows of a global batch as a mapping of tensors; `about` holds what the callbacks report of all of it."""
    samples = np.array([sample[:4] for row in batch.contents for sample in row], np.int64)
    lengths = samples[:, 0].tolist()
    return {
        "rows": [_row(row) for row in batch.rows],
        "about": {
            "progress": batch.progress, "num_tokens": batch.num_tokens, "tokens_of": dict(batch.tokens_of),
            "planned": dict(batch.planned), "capacity": batch.capacity, "position": after.to_json(),
            "tokens": after.tokens, "pairs": (pairs(lengths, None), pairs(lengths, HALF_WINDOW)),
            # Source and document of each sample; an array crosses from process to process at once.
            "documents": samples[:, [1, 3]],
        },
    }  # fmt: skip


def _idle(special: SpecialTokens) -> dict[str, Any]:
    """An empty document, of which nothing is masked and which weighs nothing."""
    return {
        "token_ids": torch.tensor([special.cls, special.sep]), "labels": torch.full((2,), IGNORED),
        "borders": torch.tensor([0, 2], dtype=torch.int32), "masked": torch.zeros(0, dtype=torch.int64),
        "source_of": torch.zeros(2, dtype=torch.int64), "lengths": np.array([2]), "num_tokens": 0, "num_masked": 0,
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
        "lengths": lengths,
        "num_tokens": row.num_tokens,
        "num_masked": row.num_masked,
    }
