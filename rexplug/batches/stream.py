"""Token stores to global batches: what happens next is a pure function of the position."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rexplug.batches import mixing as shares_of
from rexplug.batches.masking import IGNORED, Masker, row_generator
from rexplug.batches.samples import Sample, Samples
from rexplug.components import MaskingPolicy, MixingSchedule, TokenBatch
from rexplug.errors import DataError
from rexplug.tokens import SpecialTokens, TokenStore

LOOK_AHEAD = 96
"""Samples that may wait for a row in which they fit."""
_SMALLEST = 3
"""Tokens of the shortest sample: [CLS], one token, [SEP]."""


@dataclass(frozen=True, slots=True)
class Position:
    """The whole state of the stream: a few integers per source, at any number of tokens.

    `credits` and `draws` are per source; `waiting` are (source, draw) of samples drawn but not yet packed.
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
class Row:
    """A microbatch: whole samples in one flat row of T tokens, padded at the end.

    `token_ids`, `labels`, `position_ids` are `[T]` int64, already masked; `borders` `[n + 1]` int32 are the cumulative
    ends of the n samples and end before the padding; `sources` `[n]` and `samples` say where each came from.
    """

    token_ids: NDArray[np.int64]
    labels: NDArray[np.int64]
    position_ids: NDArray[np.int64]
    borders: NDArray[np.int32]
    max_length: int
    num_tokens: int
    num_masked: int
    sources: NDArray[np.int64]
    samples: tuple[Sample, ...]


@dataclass(frozen=True, slots=True, eq=False)
class GlobalBatch:
    """One step of the optimizer, over all ranks: the same whatever their number.

    `tokens_of` are the tokens of each source in it; `planned` the schedule's shares at its start.
    """

    number: int
    progress: float
    rows: tuple[Row, ...]
    num_tokens: int
    num_masked: int
    tokens_of: Mapping[str, int]
    planned: Mapping[str, float]


@dataclass(frozen=True, eq=False)
class BatchStream:
    """The global batches of a phase.

    Args:
        stores: source name -> store; those without a share in `mixing` may be left out.
        special: the tokenizer's special tokens.
        context: longest sample, special tokens included.
        row_tokens: tokens of a row (T).
        batch_tokens: tokens of a global batch as a function of the tokens consumed in the phase.
        total_tokens: length of the phase.
        min_tokens: documents shorter than this are left out.
        mixing: the shares.
        masking: the masks.
        seed: the recipe's seed.
        phase: the phase's name; with the seed it keys the masks and the order.

    Raises:
        DataError: a source with a share has no document that is long enough, or lacks the channel of the scorer.
    """

    stores: Mapping[str, TokenStore]
    special: SpecialTokens
    context: int
    row_tokens: int
    batch_tokens: Callable[[int], int]
    total_tokens: int
    min_tokens: int
    mixing: MixingSchedule
    masking: MaskingPolicy
    seed: int
    phase: str

    def __post_init__(self) -> None:
        for name, samples in zip(self.sources, self._samples, strict=True):
            if not len(samples) and any(self.mixing.weights(at).get(name, 0) > 0 for at in (0.0, 0.5, 1.0)):
                raise self._no_document(name, samples)
            for scorer in self.masking.scorers:
                if scorer.channel not in samples.store.channels:
                    raise DataError(
                        f"{samples.store.folder} has no channel '{scorer.channel}'; run again --from tokenize"
                    )

    def _no_document(self, name: str, samples: Samples) -> DataError:
        longest = int(samples.store.lengths.max(initial=0))
        return DataError(
            f"phase '{self.phase}': source '{name}' has no document of at least {self.min_tokens} tokens "
            f"(min_tokens); its longest has {longest}, of {samples.store.num_documents}"
        )

    @property
    def sources(self) -> tuple[str, ...]:
        """The names of the sources; indices refer to it."""
        return tuple(self.stores)

    @cached_property
    def _samples(self) -> tuple[Samples, ...]:
        return tuple(
            Samples(store, self.context, self.min_tokens, self.seed, f"{self.phase}/{name}")
            for name, store in self.stores.items()
        )

    @cached_property
    def _masker(self) -> Masker:
        return Masker(self.masking, self.special)

    def epoch_tokens(self) -> dict[str, int]:
        """Tokens of one epoch of each source."""
        return {name: samples.num_tokens for name, samples in zip(self.sources, self._samples, strict=True)}

    def epoch_samples(self) -> tuple[int, ...]:
        """Samples of one epoch of each source, in order."""
        return tuple(len(samples) for samples in self._samples)

    @property
    def start(self) -> Position:
        """Where the phase begins."""
        zeros = (0,) * len(self.stores)
        return Position(0, 0, zeros, zeros)

    def done(self, position: Position) -> bool:
        """Whether the phase is over at `position`."""
        return position.tokens >= self.total_tokens

    def batches(self, position: Position | None = None) -> Iterator[tuple[GlobalBatch, Position]]:
        """The batches from a position to the end of the phase, each with the position after it."""
        position = position or self.start
        while not self.done(position):
            batch, position = self.next(position)
            yield batch, position

    def next(self, position: Position) -> tuple[GlobalBatch, Position]:
        """The batch at a position and the position after it; a pure function."""
        progress = min(1.0, position.tokens / self.total_tokens)
        weights = shares_of.shares(self.mixing, progress, self.sources)
        for name, weight, samples in zip(self.sources, weights, self._samples, strict=True):
            if weight and not len(samples):  # a share between the points at which the constructor looks
                raise self._no_document(name, samples)
        budget = min(self.batch_tokens(position.tokens), self.total_tokens - position.tokens)
        num_rows = max(1, round(budget / self.row_tokens))
        packed, position_after = self._pack(position, weights, num_rows, min(self.row_tokens, budget))
        rows = tuple(
            self._row(contents, progress, position.batch, number) for number, contents in enumerate(packed) if contents
        )
        tokens_of = dict.fromkeys(self.sources, 0)
        for contents in packed:
            for source, _, sample in contents:
                tokens_of[self.sources[source]] += sample.length
        total = sum(weights)
        batch = GlobalBatch(
            position.batch, progress, rows, sum(row.num_tokens for row in rows), sum(row.num_masked for row in rows),
            tokens_of, {name: weight / total for name, weight in zip(self.sources, weights, strict=True)},
        )  # fmt: skip
        return batch, position_after

    def _pack(
        self, position: Position, weights: Sequence[int], num_rows: int, capacity: int
    ) -> tuple[list[list[tuple[int, int, Sample]]], Position]:
        """Fill rows best-fit: a sample goes where it leaves least room; those that fit nowhere wait for the next batch."""
        credits, draws = list(position.credits), list(position.draws)
        rows: list[list[tuple[int, int, Sample]]] = [[] for _ in range(num_rows)]
        room = [capacity] * num_rows
        waiting: list[tuple[int, int]] = []

        def place(source: int, draw: int) -> None:
            sample = self._samples[source].drawn(draw)
            fits = [i for i in range(num_rows) if room[i] >= sample.length]
            if not fits and not any(rows):
                fits = [0]  # a capacity below the sample: the end of a phase; it overruns by less than one sample
            if not fits:
                waiting.append((source, draw))
                return
            best = min(fits, key=lambda i: (room[i], i))
            rows[best].append((source, draw, sample))
            room[best] -= sample.length

        for source, draw in position.waiting:
            place(source, draw)
        # A batch is never empty: with one or two tokens to go the phase would not end otherwise.
        while (max(room) >= _SMALLEST or not any(rows)) and len(waiting) < LOOK_AHEAD:
            source = shares_of.choose(credits, weights)
            draw = draws[source]
            draws[source] += 1
            shares_of.settle(credits, weights, source, self._samples[source].drawn(draw).length)
            place(source, draw)
        used = sum(sample.length for row in rows for _, _, sample in row)
        return rows, Position(position.batch + 1, position.tokens + used, tuple(credits), tuple(draws), tuple(waiting))

    def _row(self, contents: Sequence[tuple[int, int, Sample]], progress: float, batch: int, number: int) -> Row:
        lengths = np.array([sample.length for _, _, sample in contents], np.int64)
        borders = np.concatenate([[0], np.cumsum(lengths)])
        size = int(borders[-1])
        tokens = np.empty(size, np.int64)
        maskable = np.ones(size, np.bool_)
        tokens[borders[:-1]], tokens[borders[1:] - 1] = self.special.cls, self.special.sep
        maskable[borders[:-1]] = maskable[borders[1:] - 1] = False
        stored = self._channels
        channels = {name: np.zeros(size, np.uint8) for name in stored}
        for (source, _, sample), first in zip(contents, borders[:-1], strict=True):
            store = self._samples[source].store
            inside = slice(int(first) + 1, int(first) + 1 + sample.end - sample.start)
            tokens[inside] = store.document(sample.document, sample.start, sample.end)
            for name, channel in stored.items():
                channels[name][inside] = store.channel(channel, sample.document, sample.start, sample.end)
        # Special tokens that stand in the text itself are not masked either.
        maskable &= ~np.isin(tokens, self._special_ids)
        view = TokenBatch(tokens, borders, maskable, channels)
        masked, labels = self._masker.mask(view, progress, row_generator(self.seed, self.phase, batch, number))
        width = max(self.row_tokens, size)
        return Row(
            _padded(masked, width, self.special.pad),
            _padded(labels, width, IGNORED),
            _padded(np.arange(size) - np.repeat(borders[:-1], lengths), width, 0),
            borders.astype(np.int32),
            int(lengths.max()),
            size,
            int((labels != IGNORED).sum()),
            np.array([source for source, _, _ in contents], np.int64),
            tuple(sample for _, _, sample in contents),
        )

    @cached_property
    def _special_ids(self) -> NDArray[np.int64]:
        return np.array(sorted(self.special.all), np.int64)

    @cached_property
    def _channels(self) -> dict[str, str]:
        """Channel as the policy knows it -> channel of the store."""
        names = {}
        for channel in self.masking.channels:
            names[channel] = self.masking.scorers[0].channel if channel == "salience" else channel
        return names


def _padded(values: NDArray[np.int64], width: int, fill: int) -> NDArray[np.int64]:
    row = np.full(width, fill, np.int64)
    row[: len(values)] = values
    return row
