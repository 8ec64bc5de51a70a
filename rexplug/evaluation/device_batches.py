"""Batches of rows on a device: one copy to it per batch, hidden states in one tensor, and one read for many batches.

A copy of ordinary host memory to a GPU, a read from it, and an operation whose size depends on values all wait until the
GPU has finished what it was asked to do before, and leave it idle until the host asks for more.

Shapes: n rows of a batch, T their tokens, L tokens of the longest.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

CPU_TOKENS = 8192
"""Tokens of a batch on a CPU, whose caches hold little more."""
CPU_PADDED_TOKENS = 2048
"""Tokens of a batch of padded rows on a CPU: all-MiniLM-L6-v2 embeds titles in two thirds of the time of batches of 8,192."""
CALL_TOKENS = 64
"""Tokens that a CPU reads in the time that one more call of a model takes, gradients included; fewer for large models."""
_GPU_TOKENS = 2**16
"""Tokens of a batch on a GPU, at most: launching the kernels of a batch takes the same time for any number of tokens."""
_SHARE = 1 / 32
"""Share of a GPU's memory that the activations of a batch may take: a training phase may hold the rest."""
_VALUES_PER_READ = 2**26


def batch_tokens(config: Any, device: torch.device, *, padded: bool) -> int:
    """Tokens of a batch without gradients, padding included where rows are padded.

    On a GPU it depends on its memory and not on what is free of it, so that the same machine gives the same numbers.

    Args:
        config: the model's config.
        device: where it runs.
        padded: whether rows are padded to the longest of a batch.
    """
    if device.type != "cuda":
        return CPU_PADDED_TOKENS if padded else CPU_TOKENS
    hidden = int(getattr(config, "hidden_size", 1024))
    intermediate = getattr(config, "intermediate_size", None)
    values_of_token = 12 * hidden + 4 * (int(intermediate) if isinstance(intermediate, int) else 4 * hidden)
    fitting = torch.cuda.get_device_properties(device).total_memory * _SHARE / (4 * values_of_token)
    return max(CPU_TOKENS, min(_GPU_TOKENS, 1 << int(max(fitting, 1.0)).bit_length() - 1))


def batches_of(lengths: Sequence[int], budget: int, *, padded: bool, equal: bool = False) -> Iterator[list[int]]:
    """Batches of row numbers, rows of similar length together and the longest first.

    Args:
        lengths: tokens of each row.
        budget: tokens of a batch, padding included if rows are padded.
        padded: whether they are.
        equal: whether only rows of equal length may share a batch.
    """
    order = sorted(range(len(lengths)), key=lambda i: (lengths[i], i))
    while order:
        batch = [order.pop()]
        longest = total = max(1, lengths[batch[0]])
        while order:
            size = (len(batch) + 1) * longest if padded else total + lengths[order[-1]]
            if size > budget or (equal and lengths[order[-1]] != longest):
                break
            total += lengths[order[-1]]
            batch.append(order.pop())
        yield batch


def similar_lengths(lengths: Sequence[int]) -> list[list[int]]:
    """Row numbers in groups, rows of similar length together, so that their padding and the calls take least time.

    Args:
        lengths: tokens of each row.
    """
    longest = max(lengths, default=0)
    if len(lengths) * longest - sum(lengths) <= CALL_TOKENS:
        return [list(range(len(lengths)))]
    order = sorted(range(len(lengths)), key=lambda i: (lengths[i], i))
    # Groups end where the length changes; `cost[e]` is the least for the first `ends[e]` rows in the order of their length.
    ends = [i for i in range(1, len(order)) if lengths[order[i - 1]] != lengths[order[i]]] + [len(order)]
    cost, first_of = [0.0], [0]
    for number, end in enumerate(ends):
        longest = lengths[order[end - 1]]
        costs = [cost[s] + CALL_TOKENS + (end - (ends[s - 1] if s else 0)) * longest for s in range(number + 1)]
        start = min(range(len(costs)), key=costs.__getitem__)
        cost.append(costs[start])
        first_of.append(start)
    groups = []
    number = len(ends)
    while number:
        start = first_of[number]
        groups.append(order[ends[start - 1] if start else 0 : ends[number - 1]])
        number = start
    return groups[::-1]


def to_device(values: NDArray[Any], device: torch.device) -> Tensor:
    """An array as a tensor on a device. A GPU gets it from pinned memory: the host does not wait for the copy."""
    tensor = torch.from_numpy(np.ascontiguousarray(values))
    if device.type == "cuda" and torch.cuda.is_available():  # fake CUDA tensors need no GPU
        tensor = tensor.pin_memory()
    return tensor.to(device, non_blocking=True)


@dataclass(frozen=True, eq=False)
class TokenRows:
    """The rows of a batch one after the other: token ids `[T]`, cumulative lengths `[n + 1]` int32, chosen positions `[m]`.

    `segments` `[T]` says which of two texts each token belongs to; None where every row is one text to the model.
    """

    ids: Tensor
    cu_seqlens: Tensor
    lengths: Sequence[int]
    positions: Tensor
    segments: Tensor | None = None

    @classmethod
    def on(
        cls, device: torch.device, rows: Sequence[NDArray[np.int64]], positions: Sequence[NDArray[np.int64]] = ()
    ) -> TokenRows:
        """Rows in one copy to the device.

        Args:
            device: where they are needed.
            rows: token ids of each row, `[n_i]`, some with segments (`rexplug.evaluation.text_rows.Row`).
            positions: chosen positions of each row, `[m_i]`; none if left out.
        """
        lengths = [len(row) for row in rows]
        cu_seqlens = np.cumsum([0, *lengths])
        chosen = [
            np.asarray(of_row, np.int64) + start for of_row, start in zip(positions, cu_seqlens.tolist(), strict=False)
        ]
        of_rows = [getattr(row, "segments", None) for row in rows]
        segments = []
        if any(of_row is not None for of_row in of_rows):
            zeros = np.zeros(max(lengths), np.int64)
            segments = [zeros[:n] if of_row is None else of_row for of_row, n in zip(of_rows, lengths, strict=True)]
        counts = [int(cu_seqlens[-1]), len(lengths) + 1, sum(map(len, chosen)), sum(map(len, segments))]
        parts = [np.asarray(part) for part in (*rows, cu_seqlens, *chosen, *segments)]
        joined = to_device(np.concatenate(parts).astype(np.int64, copy=False), device)
        ids, ends, flat_positions, flat_segments = joined.split(counts)
        return cls(ids, ends.int(), lengths, flat_positions, flat_segments if segments else None)

    def select(self, rows: Sequence[int]) -> TokenRows:
        """Some of the rows, without chosen positions."""
        ids = self.ids.split(list(self.lengths))
        segments = None if self.segments is None else self.segments.split(list(self.lengths))
        lengths = [self.lengths[row] for row in rows]
        ends = torch.from_numpy(np.cumsum([0, *lengths])).int().to(self.ids.device)
        of_rows = None if segments is None else torch.cat([segments[row] for row in rows])
        return TokenRows(torch.cat([ids[row] for row in rows]), ends, lengths, self.positions[:0], of_rows)

    def joined(self, values: Sequence[Tensor], groups: Sequence[Sequence[int]]) -> Tensor:
        """Values of the tokens of groups of rows, as `select` gives them, in the order of all tokens `[T, ...]`."""
        parts: list[Tensor] = [self.ids] * len(self.lengths)
        for of_group, rows in zip(values, groups, strict=True):
            for row, part in zip(rows, of_group.split([self.lengths[row] for row in rows]), strict=True):
                parts[row] = part
        return torch.cat(parts)

    def each(self) -> Iterator[TokenRows]:
        """Every row as a batch of its own, without chosen positions."""
        none = self.positions[:0]
        ids = self.ids.split(list(self.lengths))
        segments = [None] * len(ids) if self.segments is None else self.segments.split(list(self.lengths))
        for of_row, length, of_segments in zip(ids, self.lengths, segments, strict=True):
            ends = torch.tensor([0, length], dtype=torch.int32, device=self.ids.device)
            yield TokenRows(of_row, ends, [length], none, of_segments)

    @cached_property
    def _starts_and_lengths(self) -> tuple[Tensor, Tensor]:
        return self.cu_seqlens[:-1].long(), self.cu_seqlens.diff().long()

    @cached_property
    def mask(self) -> Tensor:
        """Which places of padded rows hold a token, `[n, L]`."""
        places = torch.arange(max(self.lengths), device=self.ids.device)
        return places < self._starts_and_lengths[1][:, None]

    def pad(self, values: Tensor, fill: float = 0) -> Tensor:
        """Values of all tokens, `[T, ...]`, as padded rows `[n, L, ...]`."""
        starts, _ = self._starts_and_lengths
        mask = self.mask
        places = starts[:, None] + torch.arange(mask.shape[1], device=values.device)
        padded: Tensor = values.index_select(0, places.clamp(max=len(values) - 1).flatten()).unflatten(0, mask.shape)
        return padded.masked_fill(~mask.view(*mask.shape, *(1,) * (values.ndim - 1)), fill)

    def unpad(self, values: Tensor) -> Tensor:
        """Values of padded rows `[n, L, ...]` as those of all tokens, `[T, ...]`; the inverse of `pad`."""
        starts, lengths = self._starts_and_lengths
        before = torch.arange(len(self.lengths), device=values.device) * values.shape[1] - starts
        places = torch.repeat_interleave(before, lengths, output_size=len(self.ids))
        return values.flatten(0, 1).index_select(0, places + torch.arange(len(self.ids), device=values.device))

    def means(self, values: Tensor) -> Tensor:
        """The mean over the tokens of each row, `[n, ...]`, of values of all tokens `[T, ...]`."""
        if values.device.type == "cpu":
            return torch.stack([of_row.mean(0) for of_row in values.split(list(self.lengths))])
        # One kernel instead of one per row; `unsafe` leaves out checks that would wait for the GPU.
        lengths = self._starts_and_lengths[1]
        means: Tensor = torch.segment_reduce(values, "mean", lengths=lengths, unsafe=True)
        return means


class Results:
    """Collects the values that batches of rows computed on a device, and reads many of them at once; in bounded memory."""

    def __init__(self) -> None:
        self._waiting: list[tuple[list[int], Tensor]] = []
        self._read: list[tuple[list[int], NDArray[Any]]] = []

    def add(self, indices: list[int], values: Tensor) -> None:
        """Add the values of a batch; `indices` are its rows."""
        self._waiting.append((indices, values))
        if sum(waiting.numel() for _, waiting in self._waiting) > _VALUES_PER_READ:
            self._read_waiting()

    def arrays(self) -> list[tuple[list[int], NDArray[Any]]]:
        """The rows of every batch and their values."""
        self._read_waiting()
        return self._read

    def _read_waiting(self) -> None:
        if not self._waiting:
            return
        together = torch.cat([values.flatten() for _, values in self._waiting]).cpu().numpy()
        ends = np.cumsum([values.numel() for _, values in self._waiting])[:-1]
        for (indices, values), array in zip(self._waiting, np.split(together, ends), strict=True):
            self._read.append((indices, array.reshape(tuple(values.shape))))
        self._waiting = []
