"""Packed rows as tensors; a loader worker sends a batch of them as five tensors, of which each row is a slice.

One tensor per row and field would each cost a file descriptor on the way from a loader worker, and a copy to the GPU.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from rexplug.batches import IGNORED, PackedRow

FIELDS = ("token_ids", "cu_seqlens", "masked", "labels", "sources")


@dataclass(frozen=True, eq=False)
class TensorRow:
    """A row of T tokens in n samples, m tokens masked. Neither a mapping nor a sequence, which Composer would copy."""

    token_ids: Tensor
    """`[T]`, padded at the end."""
    cu_seqlens: Tensor
    """`[n + 1]`, int32: 0 and the cumulative ends of the samples."""
    masked: Tensor
    """`[m]`: indices of the masked tokens in the row."""
    labels: Tensor
    """`[m]`: their true ids."""
    sources: Tensor
    """`[m]`: the index of each one's source."""
    lengths: Sequence[int]
    """Tokens of each sample, on the host."""
    num_tokens: int
    """Tokens without padding; 0 for an `idle_row`."""

    @property
    def num_masked(self) -> int:
        """Number of masked tokens."""
        return len(self.labels)

    def to(self, device: torch.device) -> TensorRow:
        """The row on a device; from pinned memory it is copied asynchronously."""
        if self.token_ids.device == device:
            return self
        return replace(self, **{name: getattr(self, name).to(device, non_blocking=True) for name in FIELDS})

    def __deepcopy__(self, memo: dict[int, Any]) -> TensorRow:
        """Returns itself: Composer deep-copies every microbatch, and a row is never changed."""
        return self


def to_tensor_row(row: PackedRow) -> TensorRow:
    """A row of the batch stream as tensors that share its memory where they can."""
    masked = np.flatnonzero(row.labels != IGNORED)
    source_of = np.repeat(row.sources, np.diff(row.cu_seqlens))
    return TensorRow(
        torch.from_numpy(row.token_ids), torch.from_numpy(row.cu_seqlens), torch.from_numpy(masked),
        torch.from_numpy(row.labels[masked]), torch.from_numpy(source_of[masked]), np.diff(row.cu_seqlens).tolist(),
        row.num_tokens,
    )  # fmt: skip


def idle_row(cls: int, pad: int, width: int, context: int) -> TensorRow:
    """A row without masked tokens, which adds nothing to the loss, for a rank that has a row less than the others.

    It is as wide as they are, since layers on a GPU would be compiled again for another width, and costs no more.
    """
    token_ids = torch.full((width,), pad)
    token_ids[0] = cls
    lengths = [min(context, width - first) for first in range(0, width, context)]
    empty = torch.zeros(0, dtype=torch.int64)
    cu_seqlens = torch.tensor([0, *lengths], dtype=torch.int32).cumsum(0, dtype=torch.int32)
    return TensorRow(token_ids, cu_seqlens, empty, empty, empty, lengths, 0)


def pack_fields(rows: Sequence[TensorRow]) -> dict[str, Any]:
    """Rows as one tensor per field, with the sizes by which `unpack_fields` splits them."""
    return {
        "fields": {name: torch.cat([getattr(row, name) for row in rows]) for name in FIELDS},
        "sizes": {name: [len(getattr(row, name)) for row in rows] for name in FIELDS},
        "lengths": [list(row.lengths) for row in rows], "num_tokens": [row.num_tokens for row in rows],
    }  # fmt: skip


def unpack_fields(packed: dict[str, Any]) -> list[TensorRow]:
    """The rows that `pack_fields` packed, as views of the batch's tensors."""
    parts = [packed["fields"][name].split(packed["sizes"][name]) for name in FIELDS]
    return [
        TensorRow(**dict(zip(FIELDS, tensors, strict=True)), lengths=lengths, num_tokens=count)
        for *tensors, lengths, count in zip(*parts, packed["lengths"], packed["num_tokens"], strict=True)
    ]


def concatenate(rows: Sequence[TensorRow]) -> TensorRow:
    """Several rows as one, without the padding of all but the last."""
    if len(rows) == 1:
        return rows[0]
    *first, last = rows
    ends = [sum(row.lengths) for row in first]
    starts = [0, *np.cumsum(ends).tolist()]
    cu_seqlens = [row.cu_seqlens[1:] + start for row, start in zip(rows, starts, strict=True)]
    return TensorRow(
        torch.cat([*(row.token_ids[:end] for row, end in zip(first, ends, strict=True)), last.token_ids]),
        torch.cat([rows[0].cu_seqlens[:1], *cu_seqlens]),
        torch.cat([row.masked + start for row, start in zip(rows, starts, strict=True)]),
        torch.cat([row.labels for row in rows]), torch.cat([row.sources for row in rows]),
        [length for row in rows for length in row.lengths], sum(row.num_tokens for row in rows),
    )  # fmt: skip
