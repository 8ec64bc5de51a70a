"""Masking policies: choose the tokens to mask."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from rexplug.components.base import Component
from rexplug.components.salience_scorer import SalienceScorer
from rexplug.schedules import Ramp

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


ROW_CHANNELS = ("word_start", "salience")
"""The channels that a row may have; see `TokenBatch.channels`."""


@dataclass(frozen=True, slots=True)
class TokenBatch:
    """One packed row, as masking policies see it; arrays are read-only.

    The batch stream makes one for every row, in the processes that load batches for training, and `rexplug peek` and plans for
    previews. It holds one or more samples (documents or parts of documents), each between the special tokens of the tokenizer.
    """

    token_ids: NDArray[np.int64]
    """`[num_tokens]`, the ids of the row's tokens, without padding."""
    cu_seqlens: NDArray[np.int64]
    """`[num_samples + 1]`, cumulative ends of the samples, from 0: sample `i` is `token_ids[cu_seqlens[i]:cu_seqlens[i + 1]]`,
    its special tokens included."""
    maskable: NDArray[np.bool_]
    """`[num_tokens]`, false on special tokens."""
    channels: Mapping[str, NDArray[np.uint8]]
    """The channels that the policy reads, `[num_tokens]` each, 0 on special tokens: `word_start` is 1 where a word begins,
    `salience` holds the scores of the policy's scorer."""


class MaskingPolicy(Component):
    """Chooses the tokens to mask; the stream replaces them, and checks that the choice meets the rate and no special token.

    The stream calls it once for every row of every batch, in the processes that load batches: it works on whole arrays, and
    remembers nothing from one row to the next.
    """

    kind: ClassVar[str] = "masking policy"
    channels: ClassVar[tuple[str, ...]] = ()
    """The channels that `choose` reads: `word_start`, `salience` or both. A policy with a salience scorer among its options reads
    `salience` without naming it here."""
    retired: ClassVar[bool] = False
    """Whether the policy only describes masks of earlier runs and can no longer choose any; reports do not show its masks."""

    rate: Ramp = Ramp(start=0.3, end=0.3)
    """Share of the tokens that is masked: a number, or `{start: 0.3, end: 0.15}` to change linearly over the phase."""
    replacement: Literal["bert", "mask"] = "bert"
    """What replaces a chosen token: `bert` is [MASK] for 80 %, a random token for 10 % and the token itself for 10 %;
    `mask` is always [MASK]."""

    @abstractmethod
    def choose(self, batch: TokenBatch, progress: float, generator: np.random.Generator) -> NDArray[np.bool_]:
        """The tokens to mask, `[num_tokens]`: exactly `self.budget(batch, progress)` of the maskable ones.

        A pure function of its arguments: all randomness comes from `generator`.

        Args:
            batch: the packed row.
            progress: progress of the phase, in [0, 1].
            generator: the row's random generator.
        """

    def salient_subset(self, batch: TokenBatch, progress: float, generator: np.random.Generator) -> NDArray[np.bool_]:
        """The part of `choose`'s mask that was selected by salience rather than at random, for the same generator state.

        `[num_tokens]`. Only previews call it; the default is none.
        """
        import numpy as np

        return np.zeros(len(batch.token_ids), np.bool_)

    def budget(self, batch: TokenBatch, progress: float) -> int:
        """The number of tokens to mask at `progress`: the rate times the maskable tokens, rounded, but at least one."""
        import numpy as np

        maskable = int(np.count_nonzero(batch.maskable))
        return min(maskable, max(1, round(self.rate.at(progress) * maskable)))

    @property
    def row_channels(self) -> tuple[str, ...]:
        """The channels of the rows that `choose` gets."""
        implied = ("salience",) if self.scorers and "salience" not in self.channels else ()
        return (*self.channels, *implied)

    @property
    def scorers(self) -> tuple[SalienceScorer, ...]:
        """The salience scorers among the options."""
        # mypy takes no abstract class for `type[ComponentT]`, since one could call it; it is only compared with here.
        return tuple(self.subcomponents(SalienceScorer))  # type: ignore[type-abstract]


def random_tokens(free: NDArray[np.bool_], count: int, generator: np.random.Generator) -> NDArray[np.bool_]:
    """`count` of the `free` tokens, `[num_tokens]`, every such set equally likely; all of them if there are no more.

    Args:
        free: the tokens that may be chosen, `[num_tokens]`.
        count: how many to choose.
        generator: the random generator.
    """
    import numpy as np

    num_free = int(np.count_nonzero(free))
    if count >= num_free:
        return free.copy()
    chosen: NDArray[np.bool_]
    if 2 * count > num_free or 4 * num_free < len(free):
        chosen = np.zeros(len(free), np.bool_)
        chosen[generator.choice(np.flatnonzero(free), count, replace=False, shuffle=False)] = True
        return chosen
    # Draw places until `count` different free ones were drawn. No round draws more places than are missing, so none has to
    # be given up; places are drawn uniformly, and so are sets of them. Half the cost of drawing a key for every token.
    chosen = ~free
    missing, enough = count, len(free) - num_free + count
    while missing > 0:
        chosen[generator.integers(0, len(free), missing)] = True
        missing = enough - int(np.count_nonzero(chosen))
    chosen &= free
    return chosen
