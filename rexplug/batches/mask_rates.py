"""Measures how much of each source guided masking masks, separately for salient and for plain tokens."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rexplug.batches.masking import IGNORED, stored_channels
from rexplug.batches.position import PackedRow
from rexplug.batches.stream import BatchStream
from rexplug.components import MaskingPolicy, TokenBatch
from rexplug.plugins.calls import choose_tokens
from rexplug.tokens.store import TokenStore

SAMPLED_TOKENS = 65_536
"""Tokens of a source on which mask rates are measured for a plan."""


@dataclass(frozen=True, slots=True)
class MaskRates:
    """Tokens of a source that can be masked, and how many of them are."""

    num_salient: int
    """Salient tokens."""
    num_plain: int
    """Other tokens."""
    masked_salient: int
    """Masked salient tokens."""
    masked_plain: int
    """Other masked tokens."""

    def __add__(self, other: MaskRates) -> MaskRates:
        return MaskRates(
            self.num_salient + other.num_salient, self.num_plain + other.num_plain,
            self.masked_salient + other.masked_salient, self.masked_plain + other.masked_plain,
        )  # fmt: skip

    @property
    def share_salient(self) -> float:
        """Share of the tokens that is salient."""
        return self.num_salient / max(1, self.num_salient + self.num_plain)

    @property
    def salient(self) -> float | None:
        """Share of the salient tokens that is masked; None without any."""
        return self.masked_salient / self.num_salient if self.num_salient else None

    @property
    def plain(self) -> float | None:
        """Share of the plain tokens that is masked; None without any."""
        return self.masked_plain / self.num_plain if self.num_plain else None


NO_TOKENS = MaskRates(0, 0, 0, 0)


def rates_by_source(
    batch: TokenBatch, masked: NDArray[np.bool_], sources: Sequence[int] | NDArray[np.int64]
) -> Iterator[tuple[int, MaskRates]]:
    """The source of each sample of a row, and the sample's rates.

    Args:
        batch: the row, with the channel `salience`.
        masked: the masked tokens, `[num_tokens]`.
        sources: the source of each sample, `[num_samples]`.
    """
    salient = (batch.channels["salience"] != 0) & batch.maskable
    plain = batch.maskable & ~salient
    parts = (salient, plain, salient & masked, plain & masked)
    ends = [np.concatenate([[0], np.cumsum(part)])[batch.cu_seqlens] for part in parts]
    for number, source in enumerate(sources):
        yield int(source), MaskRates(*(int(end[number + 1] - end[number]) for end in ends))


class MaskRateCounter:
    """Sums the mask rates of a stream's rows until `SAMPLED_TOKENS` tokens are counted.

    If the masks are not guided by salience, no row is counted.
    """

    def __init__(self, stream: BatchStream) -> None:
        self._stream = stream
        self._guided = "salience" in stream.masking.row_channels
        self._tokens = 0
        self._rates = [NO_TOKENS] * len(stream.sources)

    @property
    def complete(self) -> bool:
        """Whether further rows are ignored: enough tokens were counted, or the masks are not guided by salience."""
        return not self._guided or self._tokens >= SAMPLED_TOKENS

    def add(self, row: PackedRow) -> None:
        """Count the tokens of a row."""
        if self.complete:
            return
        self._tokens += row.num_tokens
        masked = row.labels[: row.num_tokens] != IGNORED
        for source, rates in rates_by_source(self._stream.unmasked(row.samples), masked, row.sources):
            self._rates[source] += rates

    def by_source(self) -> tuple[tuple[str, MaskRates], ...]:
        """The sources that have tokens in the rows, with their rates."""
        pairs = zip(self._stream.sources, self._rates, strict=True)
        return tuple((name, rates) for name, rates in pairs if rates != NO_TOKENS)


def rates_in_store(
    policy: MaskingPolicy, store: TokenStore, context: int, progress: float, seed: int
) -> MaskRates | None:
    """What a policy masks of the first documents of a store, about `SAMPLED_TOKENS` tokens.

    None if the policy is not guided by salience, or the store lacks its scores.

    Args:
        policy: the masking policy.
        store: the token store.
        context: tokens of the longest sample.
        progress: progress of the phase, in [0, 1].
        seed: seed of the masks.

    Raises:
        PluginError: the policy raised, or returned another shape or type.
    """
    row = _first_row(policy, store, context)
    if row is None:
        return None
    chosen = choose_tokens(policy, row, progress, np.random.default_rng(seed))
    rates = rates_by_source(row, chosen, [0] * (len(row.cu_seqlens) - 1))
    return sum((each for _, each in rates), NO_TOKENS)


def _first_row(policy: MaskingPolicy, store: TokenStore, context: int) -> TokenBatch | None:
    """The first documents of a store as one row, each cut to one sample; None if it is empty or lacks a channel."""
    if "salience" not in policy.row_channels:
        return None
    channels = stored_channels(policy)
    if not set(channels.values()) <= set(store.channels):
        return None
    lengths = np.minimum(store.lengths[:SAMPLED_TOKENS], context - 2).astype(np.int64)
    lengths = lengths[: int(np.cumsum(lengths).searchsorted(SAMPLED_TOKENS)) + 1]
    if not lengths.sum():
        return None
    ends = np.cumsum(lengths + 2)
    maskable = np.ones(int(ends[-1]), np.bool_)
    maskable[ends - 1] = maskable[ends - lengths - 2] = False

    def joined(channel: str | None) -> NDArray[Any]:
        parts = [
            store.document(number, 0, length) if channel is None else store.channel(channel, number, 0, length)
            for number, length in enumerate(lengths.tolist())
        ]
        values = np.zeros(len(maskable), np.int64 if channel is None else np.uint8)
        values[maskable] = np.concatenate(parts)
        return values

    row_channels = {name: joined(channel) for name, channel in channels.items()}
    return TokenBatch(joined(None), np.concatenate([[0], ends]), maskable, row_channels)
