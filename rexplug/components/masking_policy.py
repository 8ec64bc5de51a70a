"""Which tokens are masked."""

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


@dataclass(frozen=True, slots=True)
class TokenBatch:
    """One packed row, as masking policies see it. All arrays are `[num_tokens]` but `cu_seqlens`.

    `maskable` is false on special and padding tokens. `cu_seqlens` are the cumulative ends of the samples, starting
    with 0: sample `i` is `token_ids[cu_seqlens[i]:cu_seqlens[i + 1]]`, its special tokens included. `channels` holds
    `word_start` and, if the policy has a scorer, `salience` (uint8; 0 on special and padding tokens).
    """

    token_ids: NDArray[np.int64]
    cu_seqlens: NDArray[np.int64]
    maskable: NDArray[np.bool_]
    channels: Mapping[str, NDArray[np.uint8]]


class MaskingPolicy(Component):
    """Chooses tokens; the engine replaces them, and checks that the choice meets the rate and spares special tokens."""

    kind: ClassVar[str] = "masking policy"
    channels: ClassVar[tuple[str, ...]] = ()
    """The channels that `choose` reads, out of `word_start` and `salience`."""

    rate: Ramp = Ramp(start=0.3, end=0.3)
    """Share of the tokens that is masked: a number, or `{start: 0.3, end: 0.15}` to move over the phase."""
    replacement: Literal["bert", "mask"] = "bert"
    """What stands in place of a chosen token: `bert` is [MASK] for 80 %, a random token for 10 % and the token itself
    for 10 %; `mask` is always [MASK]."""

    @abstractmethod
    def choose(self, batch: TokenBatch, progress: float, generator: np.random.Generator) -> NDArray[np.bool_]:
        """The tokens to mask, `[num_tokens]`, exactly `self.budget(batch, progress)` of them, none unmaskable.

        A pure function of its arguments: all randomness comes from `generator`.
        """

    def salient_subset(self, batch: TokenBatch, progress: float, generator: np.random.Generator) -> NDArray[np.bool_]:
        """Which of the tokens that `choose` chooses with a generator in the same state are chosen for what they are and
        not by chance, `[num_tokens]`. Only previews ask; the default says none.
        """
        import numpy as np

        return np.zeros(len(batch.token_ids), np.bool_)

    def budget(self, batch: TokenBatch, progress: float) -> int:
        """How many tokens to mask at `progress`: the rate times the maskable tokens, rounded, but at least one."""
        import numpy as np

        maskable = int(np.count_nonzero(batch.maskable))
        return min(maskable, max(1, round(self.rate.at(progress) * maskable)))

    @property
    def scorers(self) -> tuple[SalienceScorer, ...]:
        """The salience scorers among the options."""
        return tuple(self.subcomponents(SalienceScorer))  # type: ignore[type-abstract]


def random_tokens(free: NDArray[np.bool_], count: int, generator: np.random.Generator) -> NDArray[np.bool_]:
    """`count` of the `free` tokens, each set of that many equally likely, `[num_tokens]`; all, if there are no more."""
    import numpy as np

    num_free = int(np.count_nonzero(free))
    if count >= num_free:
        return free.copy()
    chosen: NDArray[np.bool_]
    if 2 * count > num_free or 4 * num_free < len(free):
        chosen = np.zeros(len(free), np.bool_)
        chosen[generator.choice(np.flatnonzero(free), count, replace=False, shuffle=False)] = True
        return chosen
    # Draw places until `count` different free ones are found. Never more are drawn than are missing, so none is given
    # back, and since places are drawn alike, so are sets of them. Half the cost of drawing a key for every token.
    chosen = ~free
    missing, enough = count, len(free) - num_free + count
    while missing > 0:
        chosen[generator.integers(0, len(free), missing)] = True
        missing = enough - int(np.count_nonzero(chosen))
    chosen &= free
    return chosen
