"""Token stores to global batches: what happens next is a pure function of the position."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

from rexplug.batches import mixing as shares_of
from rexplug.batches.masking import Masker
from rexplug.batches.packing import Packer, Window
from rexplug.batches.position import BatchPlan, GlobalBatch, Position, rank_rows
from rexplug.batches.rows import RowMaker
from rexplug.batches.samples import Item, Samples
from rexplug.components import MaskingPolicy, MixingSchedule
from rexplug.errors import DataError
from rexplug.tokens.special import SpecialTokens
from rexplug.tokens.store import TokenStore


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
        DataError: a source with a share has no document that is long enough, or lacks the channel of the scorer, or the
            stores were made with different tokenizers.
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
        stores = list(self.stores.values())
        for store in stores[1:]:
            if store.description["tokenizer"] != stores[0].description["tokenizer"]:
                raise DataError(
                    f"{stores[0].folder} and {store.folder} were made with different tokenizers; run again --from tokenize"
                )
        for name, samples in zip(self.sources, self.samples, strict=True):
            if any(self.mixing.weights(at).get(name, 0) > 0 for at in (0.0, 0.5, 1.0)) and not samples.size:
                raise self._no_document(name, samples)
            for channel in reversed(self._channels.values()):
                if channel not in samples.store.channels:
                    raise DataError(f"{samples.store.folder} has no channel '{channel}'; run again --from tokenize")

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
    def samples(self) -> tuple[Samples, ...]:
        """The samples of each source."""
        return tuple(
            Samples(store, self.context, self.min_tokens, self.seed, f"{self.phase}/{name}", number)
            for number, (name, store) in enumerate(self.stores.items())
        )

    @cached_property
    def _channels(self) -> dict[str, str]:
        """Channel as the policy knows it -> channel of the store."""
        return {
            channel: self.masking.scorers[0].channel if channel == "salience" else channel
            for channel in self.masking.channels
        }

    @cached_property
    def _maker(self) -> RowMaker:
        return RowMaker(
            tuple(self.stores.values()), Masker(self.masking, self.special), self._channels, self.row_tokens,
            self.context, self.seed, self.phase,
        )  # fmt: skip

    def epoch_tokens(self) -> dict[str, int]:
        """Tokens of one epoch of each source."""
        return {name: samples.num_tokens for name, samples in zip(self.sources, self.samples, strict=True)}

    def epoch_samples(self) -> tuple[int, ...]:
        """Samples of one epoch of each source, in order."""
        return tuple(samples.size for samples in self.samples)

    @property
    def start(self) -> Position:
        """Where the phase begins."""
        zeros = (0,) * len(self.stores)
        return Position(0, 0, zeros, zeros)

    def done(self, position: Position) -> bool:
        """Whether the phase is over at `position`."""
        return position.tokens >= self.total_tokens

    def batches(
        self, position: Position | None = None, *, rank: int = 0, world: int = 1, worker: int = 0, workers: int = 1
    ) -> Iterator[tuple[GlobalBatch, Position]]:
        """The batches from a position to the end of the phase, each with the position after it.

        Args:
            position: where to go on; the start of the phase if left out.
            rank: with `world`, the part of each batch that is made: the rows that `rank_rows` gives this rank.
            world: the number of ranks.
            worker: with `workers`, the batches that are made: from the position on, each `workers`-th. Taken in turn
                from all workers the batches are those of one; planning those between costs a few percent of making them.
            workers: the number of loader workers.
        """
        position = position or self.start
        turn = 0
        while not self.done(position):
            plan, after = self.plan(position)
            if turn % workers == worker:
                yield self.make(plan, rank=rank, world=world), after
            position, turn = after, turn + 1

    def next(self, position: Position) -> tuple[GlobalBatch, Position]:
        """The batch at a position and the position after it; a pure function."""
        plan, after = self.plan(position)
        return self.make(plan), after

    def plan(self, position: Position) -> tuple[BatchPlan, Position]:
        """Which samples are in the batch at a position, and the position after it; no token is read."""
        progress = min(1.0, position.tokens / self.total_tokens)
        weights = shares_of.shares(self.mixing, progress, self.sources)
        for name, weight, samples in zip(self.sources, weights, self.samples, strict=True):
            if weight and not samples.size:  # a share between the points at which the constructor looks
                raise self._no_document(name, samples)
        budget = min(self.batch_tokens(position.tokens), self.total_tokens - position.tokens)
        num_rows = max(1, round(budget / self.row_tokens))
        windows = [
            Window(samples, draws, [draw for source, draw in position.waiting if source == samples.source])
            for samples, draws in zip(self.samples, position.draws, strict=True)
        ]
        packer = Packer(windows, list(position.credits), weights, self.context)
        rows: list[list[Item]] = []
        for _ in range(num_rows):
            # A batch is never empty: with one or two tokens to go the phase would not end otherwise.
            row = packer.row(min(self.row_tokens, budget), never_empty=not rows)
            if row:
                rows.append(row)
        tokens_of = [0] * len(windows)
        for row in rows:
            for sample in row:
                tokens_of[sample[1]] += sample[0]
        used, total = sum(tokens_of), sum(weights)
        plan = BatchPlan(
            position.batch, progress, tuple(rows), used, dict(zip(self.sources, tokens_of, strict=True)),
            {name: weight / total for name, weight in zip(self.sources, weights, strict=True)},
        )  # fmt: skip
        after = Position(
            position.batch + 1, position.tokens + used, tuple(packer.credits), tuple(each.draws for each in windows),
            tuple((number, draw) for number, each in enumerate(windows) for draw in each.waiting),
        )  # fmt: skip
        return plan, after

    def make(self, plan: BatchPlan, *, rank: int = 0, world: int = 1) -> GlobalBatch:
        """The rows of a planned batch, or those of one rank."""
        sizes = [sum(sample[0] for sample in row) for row in plan.rows]
        rows = tuple(
            self._maker.make(plan.rows[number], plan.progress, plan.number, number)
            for number in (rank_rows(sizes, rank, world) if world > 1 else range(len(sizes)))
        )
        return GlobalBatch(
            plan.number, plan.progress, rows, plan.num_tokens, sum(row.num_masked for row in rows),
            sum(max(self.row_tokens, size) for size in sizes), plan.rows, plan.tokens_of, plan.planned,
        )  # fmt: skip
