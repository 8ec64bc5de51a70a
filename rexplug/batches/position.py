"""Where a stream stands, and what it yields."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rexplug.batches.samples import Item, Sample


@dataclass(frozen=True, slots=True)
class Position:
    """The whole state of the stream: a few integers per source, at any number of tokens.

    `credits` and `draws` are per source; `waiting` are (source, draw) of samples passed over so far, at most
    `LOOK_AHEAD` of each source.
    """

    batch: int
    tokens: int
    credits: tuple[int, ...]
    draws: tuple[int, ...]
    waiting: tuple[tuple[int, int], ...] = ()

    def to_json(self) -> dict[str, Any]:
        """As JSON can hold it."""
        return {
            "batch": self.batch, "tokens": self.tokens, "credits": list(self.credits), "draws": list(self.draws),
            "waiting": [list(pair) for pair in self.waiting],
        }  # fmt: skip

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Position:
        """Back from `to_json`."""
        return cls(
            value["batch"], value["tokens"], tuple(value["credits"]), tuple(value["draws"]),
            tuple((source, draw) for source, draw in value["waiting"]),
        )  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False)
class PackedRow:
    """A microbatch: whole samples in one flat row of T tokens, padded at the end.

    `token_ids`, `labels`, `position_ids` are `[T]` int64, already masked; `cu_seqlens` `[n + 1]` int32 are the cumulative
    ends of the n samples and end before the padding (`cu_seqlens`); `sources` and `documents` `[n]` int64 and `samples`
    say where each came from; `number` is the row's in the global batch.
    """

    number: int
    token_ids: NDArray[np.int64]
    labels: NDArray[np.int64]
    position_ids: NDArray[np.int64]
    cu_seqlens: NDArray[np.int32]
    max_length: int
    num_tokens: int
    num_masked: int
    sources: NDArray[np.int64]
    documents: NDArray[np.int64]
    contents: Sequence[Item]

    @property
    def samples(self) -> tuple[Sample, ...]:
        """The samples of the row in order."""
        return tuple(map(Sample._make, self.contents))


@dataclass(frozen=True, slots=True, eq=False)
class BatchPlan:
    """What a global batch consists of, before anything is read: the samples of each row."""

    number: int
    progress: float
    rows: tuple[Sequence[Item], ...]
    num_tokens: int
    tokens_of: Mapping[str, int]
    planned: Mapping[str, float]


@dataclass(frozen=True, slots=True, eq=False)
class GlobalBatch:
    """One step of the optimizer, over all ranks: the same whatever their number.

    `num_tokens` counts the whole batch, `capacity` what its rows have room for, `tokens_of` the tokens of each source in
    it; `contents` are the samples of all of its rows; `planned` are the schedule's shares at its start. `rows` are those
    of this rank, and `num_masked` counts what is masked in them: with one rank, the whole batch.
    """

    number: int
    progress: float
    rows: tuple[PackedRow, ...]
    num_tokens: int
    num_masked: int
    capacity: int
    contents: tuple[Sequence[Item], ...]
    tokens_of: Mapping[str, int]
    planned: Mapping[str, float]

    @property
    def num_rows(self) -> int:
        """Rows of the whole batch."""
        return len(self.contents)


def rank_rows(sizes: Sequence[int], rank: int, world: int) -> list[int]:
    """The numbers of the rows that a rank trains on, in order; every row goes to exactly one rank.

    Rows are dealt from the fullest down, back and forth (0, 1, ..., n - 1, n - 1, ..., 1, 0, 0, ...), so that ranks have
    the same number of rows (one more or less if it does not divide) and nearly the same number of tokens. Which rows a
    batch has does not depend on the number of ranks.

    Args:
        sizes: tokens of each row of the global batch.
        rank: this rank, from 0.
        world: the number of ranks.
    """
    if not 0 <= rank < world:
        raise ValueError(f"rank {rank} of {world}")
    fullest = sorted(range(len(sizes)), key=lambda i: (-sizes[i], i))
    turn = [*range(world), *reversed(range(world))]
    return sorted(row for place, row in enumerate(fullest) if turn[place % (2 * world)] == rank)
