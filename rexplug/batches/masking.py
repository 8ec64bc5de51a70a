"""What the engine guards about masks: the policy chooses, the engine checks and replaces."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rexplug.batches.order import key_of
from rexplug.components import MaskingPolicy, TokenBatch
from rexplug.errors import PluginError
from rexplug.tokens import SpecialTokens

IGNORED = -100
"""Label of a token that is not predicted."""


def row_generator(seed: int, phase: str, batch: int, row: int) -> np.random.Generator:
    """The generator of one row: counter-based and keyed by what names the row, so no draw depends on another row."""
    return np.random.Generator(np.random.Philox(key=[key_of("mask", seed, phase), key_of(batch, row)]))


@dataclass(frozen=True)
class Masker:
    """Applies a masking policy to packed rows."""

    policy: MaskingPolicy
    special: SpecialTokens

    def __post_init__(self) -> None:
        ordinary = np.setdiff1d(np.arange(self.special.vocabulary_size), np.array(sorted(self.special.all)))
        object.__setattr__(self, "_ordinary", ordinary)

    def mask(
        self, batch: TokenBatch, progress: float, generator: np.random.Generator
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Token ids after replacement and labels (`IGNORED` where nothing was masked), both `[num_tokens]`.

        Raises:
            PluginError: the policy chose a special token, or not exactly its budget.
        """
        chosen = self.policy.choose(batch, progress, generator)
        self._check(chosen, batch, progress)
        labels = np.where(chosen, batch.token_ids, IGNORED)
        masked = batch.token_ids.copy()
        places = np.flatnonzero(chosen)
        if self.policy.replacement == "mask":
            masked[places] = self.special.mask
            return masked, labels
        draw = generator.random(len(places))
        ordinary: NDArray[np.int64] = self._ordinary  # type: ignore[attr-defined]
        random_ids = ordinary[generator.integers(len(ordinary), size=len(places))]
        masked[places] = np.where(
            draw < 0.8, self.special.mask, np.where(draw < 0.9, random_ids, batch.token_ids[places])
        )
        return masked, labels

    def _check(self, chosen: NDArray[np.bool_], batch: TokenBatch, progress: float) -> None:
        name = self.policy.name
        if chosen.dtype != np.bool_ or chosen.shape != batch.token_ids.shape:
            raise PluginError(
                f"{name}.choose() returned {chosen.dtype} {list(chosen.shape)}; expected bool {list(batch.token_ids.shape)}"
            )
        if (chosen & ~batch.maskable).any():
            raise PluginError(f"{name}.choose() chose a special or padding token, which is never masked")
        count, budget = int(chosen.sum()), self.policy.budget(batch, progress)
        if count != budget:
            raise PluginError(f"{name}.choose() chose {count} tokens, but its rate asks for {budget}")
