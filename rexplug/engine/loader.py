"""The batch stream as Composer's data loader; a batch is a list of rows, a microbatch some of them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from composer.core import DataSpec
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from rexplug.batches import BatchStream, GlobalBatch, Position
from rexplug.engine.tensor_row import TensorRow, idle_row, pack_fields, to_tensor_row, unpack_fields
from rexplug.model.family import DEFAULT_FAMILY
from rexplug.model.flops import attention_pairs


class StreamDataset(IterableDataset[dict[str, Any]]):
    """Yields a rank's rows of the global batches of a phase from a position on; loader workers take turns."""

    def __init__(self, stream: BatchStream, position: Position, rank: int, world_size: int) -> None:
        self.stream = stream
        self.position = position
        self.rank, self.world_size = rank, world_size

    def __iter__(self) -> Iterator[dict[str, Any]]:
        info = get_worker_info()
        worker, workers = (info.id, info.num_workers) if info else (0, 1)
        batches = self.stream.batches(
            self.position, rank=self.rank, world=self.world_size, worker=worker, workers=workers
        )
        for batch, after in batches:
            tensors = to_tensors(batch, after)
            # Every rank needs as many rows as the others: with FSDP they share each forward and backward pass.
            if len(batch.rows) * self.world_size < batch.num_rows:
                special, stream = self.stream.special, self.stream
                tensors["rows"].append(idle_row(special.cls, special.pad, stream.row_tokens, stream.context))
            yield {"about": tensors["about"], **pack_fields(tensors["rows"])}


def data_spec(
    stream: BatchStream, position: Position, rank: int = 0, world_size: int = 1, workers: int = 0
) -> DataSpec:
    """A rank's part of the stream, from `position` on, for Composer's trainer.

    With `workers` the same batches are made in processes beside training. Beside a GPU they are in pinned memory, from where
    they are copied while it computes.
    """
    dataset = StreamDataset(stream, position, rank, world_size)
    loader = DataLoader(
        # Not collated: torch would make tensors of arrays too, and Composer moves tensors to the GPU.
        dataset, batch_size=None, collate_fn=_identity, num_workers=workers, pin_memory=torch.cuda.is_available(),
    )  # fmt: skip
    return DataSpec(
        loader,
        split_batch=microbatches,
        get_num_samples_in_batch=lambda batch: len(_rows(batch)),
        # Plain integers kept beside the tensors: counting on the device would wait for it at every row.
        get_num_tokens_in_batch=lambda batch: {
            "total": sum(row.num_tokens for row in _rows(batch)),
            "loss_generating": sum(row.num_masked for row in _rows(batch)),
        },
    )


def microbatches(batch: dict[str, Any], size: int) -> list[dict[str, Any]]:
    """A batch split into Composer's microbatches of `size` rows."""
    rows = _rows(batch)
    return [{"rows": rows[first : first + size]} for first in range(0, len(rows), size)]


def _rows(batch: dict[str, Any]) -> list[TensorRow]:
    """The rows of a batch or a microbatch."""
    return batch["rows"] if "rows" in batch else unpack_fields(batch)


def _identity(batch: Any) -> Any:
    return batch


def to_tensors(batch: GlobalBatch, after: Position) -> dict[str, Any]:
    """A rank's `rows` of a global batch as tensors; `about` describes the global batch for the callbacks."""
    samples = [sample for row in batch.samples for sample in row]
    lengths = [sample.length for sample in samples]
    return {
        "rows": [to_tensor_row(row) for row in batch.rows],
        "about": {
            "progress": batch.progress, "num_tokens": batch.num_tokens, "tokens_of": dict(batch.tokens_of),
            "planned": dict(batch.planned), "capacity": batch.capacity, "position": after.to_json(),
            "tokens": after.tokens,
            "pairs": (attention_pairs(lengths, None), attention_pairs(lengths, DEFAULT_FAMILY.half_window)),
            # Source and document of each sample, as an array: lists are slow to send from a loader worker.
            "documents": np.array([(sample.source, sample.document) for sample in samples], np.int64),
        },
    }  # fmt: skip
