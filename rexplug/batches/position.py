"""The position of a stream, and what it yields: packed rows in global batches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rexplug.batches.samples import SampleRecord


@dataclass(frozen=True, slots=True)
class Position:
    """The whole state of a stream: a few integers per source, however many tokens were consumed."""

    batch: int
    """Number of global batches consumed."""
    tokens: int
    """Number of tokens consumed."""
    credits: tuple[int, ...]
    """Per source, the tokens that it is owed, times the sum of the weights (see `mixing.next_source`)."""
    next_indices: tuple[int, ...]
    """Per source, one more than the highest sample index that was taken."""
    deferred: tuple[tuple[int, int], ...] = ()
    """(source, sample index) of the samples below `next_indices` that were passed over, fewer than `LOOK_AHEAD` a source."""

    def to_json(self) -> dict[str, Any]:
        """The position as JSON holds it. Checkpoints keep it, hence the keys stay as they are."""
        return {
            "batch": self.batch, "tokens": self.tokens, "credits": list(self.credits), "draws": list(self.next_indices),
            "waiting": [list(pair) for pair in self.deferred],
        }  # fmt: skip

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Position:
        """The position that `to_json` wrote."""
        return cls(
            value["batch"], value["tokens"], tuple(value["credits"]), tuple(value["draws"]),
            tuple((source, sample_index) for source, sample_index in value["waiting"]),
        )  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False)
class PackedRow:
    """n whole samples in one flat row of T tokens, masked, with padding at the end."""

    number: int
    """The row's number in the global batch."""
    token_ids: NDArray[np.int64]
    """`[T]`; chosen tokens are replaced."""
    labels: NDArray[np.int64]
    """`[T]`; the true id of each masked token, and `IGNORED` elsewhere."""
    position_ids: NDArray[np.int64]
    """`[T]`; restart at 0 with each sample; 0 on padding."""
    cu_seqlens: NDArray[np.int32]
    """`[n + 1]`; cumulative ends of the samples, from 0 to `num_tokens`: padding is left out."""
    max_length: int
    """Number of tokens of the longest sample."""
    num_tokens: int
    """Number of tokens, without padding."""
    num_masked: int
    """Number of masked tokens."""
    sources: NDArray[np.int64]
    """`[n]`; the index of each sample's source in the stream."""
    documents: NDArray[np.int64]
    """`[n]`; the number of each sample's document in its token store."""
    samples: Sequence[SampleRecord]
    """The n samples, in order."""


@dataclass(frozen=True, slots=True, eq=False)
class BatchPlan:
    """Which samples make up a global batch; no token is read yet."""

    number: int
    """The batch's number in the phase, from 0."""
    progress: float
    """Share of the phase's tokens consumed before it, in [0, 1]."""
    rows: tuple[Sequence[SampleRecord], ...]
    """The samples of each row."""
    num_tokens: int
    """Tokens of all samples."""
    tokens_of: Mapping[str, int]
    """Source -> its tokens in the batch."""
    planned: Mapping[str, float]
    """Source -> its share in the mixing schedule at `progress`."""


@dataclass(frozen=True, slots=True, eq=False)
class GlobalBatch:
    """One step of the optimizer. Over all ranks together it does not depend on their number."""

    number: int
    """The batch's number in the phase, from 0."""
    progress: float
    """Share of the phase's tokens consumed before it, in [0, 1]."""
    rows: tuple[PackedRow, ...]
    """The rows of this rank."""
    num_tokens: int
    """Tokens of the whole batch, without padding."""
    num_masked: int
    """Masked tokens in `rows`: with one rank, of the whole batch."""
    capacity: int
    """Tokens for which the rows of the whole batch have room."""
    samples: tuple[Sequence[SampleRecord], ...]
    """The samples of each row of the whole batch."""
    tokens_of: Mapping[str, int]
    """Source -> its tokens in the whole batch."""
    planned: Mapping[str, float]
    """Source -> its share in the mixing schedule at `progress`."""

    @property
    def num_rows(self) -> int:
        """Rows of the whole batch."""
        return len(self.samples)


_EVEN_LENGTH = 8192
"""A token of a document of this length costs about twice as much as one of a short document: in the layers with global
attention it has that many products with other tokens. Our estimate, between small models (a third of it) and large ones."""


def row_cost(lengths: Sequence[int]) -> int:
    """What a row costs to train on, in any unit: its tokens, and the pairs of tokens that attend to each other.

    Args:
        lengths: tokens of its samples.
    """
    return sum(length * (_EVEN_LENGTH + length) for length in lengths)


def rank_rows(costs: Sequence[int], rank: int, world: int) -> list[int]:
    """The numbers of the rows that a rank trains on, the costliest first; every row goes to exactly one rank.

    Rows are dealt from the costliest down, back and forth (0, 1, ..., n - 1, n - 1, ..., 1, 0, 0, ...), so that ranks have
    the same number of rows (one more or less if it does not divide) at nearly the same cost, and rows that ranks train on at
    the same time cost about the same: with FSDP they wait for each other in every layer. Which rows a batch has does not
    depend on the number of ranks.

    Args:
        costs: cost of each row of the global batch, as of `row_cost`.
        rank: this rank, from 0.
        world: the number of ranks.

    Raises:
        ValueError: there is no such rank.
    """
    if not 0 <= rank < world:
        raise ValueError(f"rank {rank} of {world}")
    costliest_first = sorted(range(len(costs)), key=lambda row: (-costs[row], row))
    dealing_order = [*range(world), *reversed(range(world))]
    return [row for place, row in enumerate(costliest_first) if dealing_order[place % (2 * world)] == rank]
