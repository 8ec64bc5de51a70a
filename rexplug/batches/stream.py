"""The global batches of a phase, from token stores. The next batch is a pure function of the position."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from rexplug.batches.masking import Masker, stored_channels
from rexplug.batches.mixing import integer_weights
from rexplug.batches.packing import LOOK_AHEAD, Packer, Window
from rexplug.batches.position import BatchPlan, GlobalBatch, Position, rank_rows, row_cost
from rexplug.batches.rows import RowMaker
from rexplug.batches.samples import SampleRecord, Samples
from rexplug.components import MaskingPolicy, MixingSchedule, TokenBatch
from rexplug.errors import DataError
from rexplug.plugins.calls import mixing_weights
from rexplug.tokens.special import SpecialTokens
from rexplug.tokens.store import TokenStore


@dataclass(frozen=True, eq=False)
class BatchStream:
    """The global batches of a phase.

    Args:
        stores: source name -> store; sources without a share in `mixing` may be left out.
        special: the tokenizer's special tokens.
        context: tokens of the longest sample, [CLS] and [SEP] included.
        row_tokens: tokens of a row (T).
        batch_tokens: tokens of a global batch as a function of the tokens consumed in the phase.
        total_tokens: tokens of the phase.
        min_tokens: documents with fewer tokens are left out.
        mixing: the schedule of the sources' shares.
        masking: the policy that chooses masked tokens.
        seed: the recipe's seed.
        phase: the phase's name; with the seed it keys the masks and the order.

    Raises:
        DataError: a source with a share has no document that is long enough, or a store lacks a channel that the masking
            policy reads, or the stores were made with different tokenizers.
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
            has_share = any(mixing_weights(self.mixing, progress).get(name, 0) > 0 for progress in (0.0, 0.5, 1.0))
            if has_share and not samples.size:
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
        """The names of the sources; a source's index is its place here."""
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
        return stored_channels(self.masking)

    def identity(self) -> dict[str, Any]:
        """The inputs that decide the order of the samples, as JSON: positions of streams with another identity are not comparable.

        Logs of positions begin with it, so keys and their order stay as they are; a new option goes to the end.
        """
        return {
            "phase": self.phase, "sources": list(self.sources),
            "stores": [store.identity for store in self.stores.values()],
            "context": self.context, "row_tokens": self.row_tokens, "min_tokens": self.min_tokens,
            "look_ahead": LOOK_AHEAD, "seed": self.seed,
        }  # fmt: skip

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
        """Samples of one epoch of each source, in the order of `sources`."""
        return tuple(samples.size for samples in self.samples)

    @property
    def start(self) -> Position:
        """The position at which the phase begins."""
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
            position: where to resume; the start of the phase if left out.
            rank: with `world`, selects the rows of each batch: those that `rank_rows` gives this rank.
            world: the number of ranks.
            worker: with `workers`, selects the batches: every `workers`-th, beginning with number `worker` from the
                position on. The workers' batches taken in turn are those of a single worker; planning the batches
                between costs a few percent of making them.
            workers: the number of loader workers.

        Raises:
            DataError: a source has a share but no document that is long enough.
            PluginError: the mixing schedule or the masking policy broke its contract.
        """
        position = position or self.start
        batches_planned = 0
        while not self.done(position):
            plan, after = self.plan(position)
            if batches_planned % workers == worker:
                yield self.make(plan, rank=rank, world=world), after
            position, batches_planned = after, batches_planned + 1

    def next(self, position: Position) -> tuple[GlobalBatch, Position]:
        """The batch at a position and the position after it; a pure function."""
        plan, after = self.plan(position)
        return self.make(plan), after

    def plan(self, position: Position) -> tuple[BatchPlan, Position]:
        """Which samples are in the batch at a position, and the position after it; no token is read.

        Raises:
            DataError: a source has a share but no document that is long enough.
            PluginError: the mixing schedule broke its contract.
        """
        progress = min(1.0, position.tokens / self.total_tokens)
        weights = integer_weights(self.mixing, progress, self.sources)
        for name, weight, samples in zip(self.sources, weights, self.samples, strict=True):
            if weight and not samples.size:  # it has a share only between the points that the constructor checks
                raise self._no_document(name, samples)
        budget = min(self.batch_tokens(position.tokens), self.total_tokens - position.tokens)
        num_rows = max(1, round(budget / self.row_tokens))
        windows = [
            Window(samples, next_index, [index for source, index in position.deferred if source == samples.source])
            for samples, next_index in zip(self.samples, position.next_indices, strict=True)
        ]
        packer = Packer(windows, list(position.credits), weights, self.context)
        rows: list[list[SampleRecord]] = []
        for _ in range(num_rows):
            # A batch is never empty: with one or two tokens to go the phase would not end otherwise.
            row = packer.fill_row(min(self.row_tokens, budget), never_empty=not rows)
            if row:
                rows.append(row)
        num_tokens, total_weight = sum(packer.tokens_of), sum(weights)
        plan = BatchPlan(
            position.batch, progress, tuple(rows), num_tokens, dict(zip(self.sources, packer.tokens_of, strict=True)),
            {name: weight / total_weight for name, weight in zip(self.sources, weights, strict=True)},
        )  # fmt: skip
        after = Position(
            position.batch + 1, position.tokens + num_tokens, tuple(packer.credits),
            tuple(window.next_index for window in windows),
            tuple((source, index) for source, window in enumerate(windows) for index in window.deferred),
        )  # fmt: skip
        return plan, after

    def unmasked(self, samples: Sequence[SampleRecord]) -> TokenBatch:
        """A row of these samples as the masking policy sees it: without masks and padding."""
        return self._maker.unmasked(samples)[1]

    def make(self, plan: BatchPlan, *, rank: int = 0, world: int = 1) -> GlobalBatch:
        """Make the rows of a planned batch, or those of one rank of `world`.

        Raises:
            PluginError: the masking policy chose a special token, or not exactly its budget.
        """
        lengths = [[sample.length for sample in row] for row in plan.rows]
        numbers = range(len(lengths)) if world == 1 else rank_rows([row_cost(row) for row in lengths], rank, world)
        rows = tuple(self._maker.make(plan.rows[number], plan.progress, plan.number, number) for number in numbers)
        return GlobalBatch(
            plan.number, plan.progress, rows, plan.num_tokens, sum(row.num_masked for row in rows),
            sum(max(self.row_tokens, sum(row)) for row in lengths), plan.rows, plan.tokens_of, plan.planned,
        )  # fmt: skip
