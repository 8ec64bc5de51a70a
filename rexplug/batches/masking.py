"""What the engine guards about masks: the policy chooses, the engine checks and replaces."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rexplug.batches.order import key_of
from rexplug.components import MaskingPolicy, TokenBatch
from rexplug.errors import PluginError
from rexplug.tokens.special import SpecialTokens

IGNORED = -100
"""Label of a token that is not predicted."""
_RANGES = 8
"""Special ids in at most so many runs are found by comparing; more are looked up in a table."""


def row_generator(seed: int, phase: str, batch: int, row: int) -> np.random.Generator:
    """The generator of one row: counter-based and keyed by what names the row, so no draw depends on another row."""
    return np.random.Generator(np.random.Philox(key=[key_of("mask", seed, phase), key_of(batch, row)]))


@dataclass(frozen=True)
class Masker:
    """Applies a masking policy to packed rows."""

    policy: MaskingPolicy
    special: SpecialTokens

    @cached_property
    def _ordinary(self) -> NDArray[np.int64]:
        return np.setdiff1d(np.arange(self.special.vocabulary_size), np.array(sorted(self.special.all)))

    @cached_property
    def _special_runs(self) -> list[tuple[int, int]]:
        runs: list[tuple[int, int]] = []
        for token in sorted(self.special.all):
            if runs and runs[-1][1] == token - 1:
                runs[-1] = (runs[-1][0], token)
            else:
                runs.append((token, token))
        return runs

    @cached_property
    def _special_table(self) -> NDArray[np.bool_]:
        table = np.zeros(max(self.special.vocabulary_size, max(self.special.all) + 1), np.bool_)
        table[sorted(self.special.all)] = True
        return table

    def is_special(self, tokens: NDArray[Any]) -> NDArray[np.bool_]:
        """Which of the unsigned token ids are special."""
        runs = self._special_runs
        if len(runs) > _RANGES:
            return self._special_table.take(tokens)
        found = np.zeros(len(tokens), np.bool_)
        for first, last in runs:
            # Unsigned: what lies below `first` wraps around and is large.
            found |= tokens == first if first == last else (tokens - tokens.dtype.type(first)) <= last - first
        return found

    def mask(
        self, batch: TokenBatch, progress: float, generator: np.random.Generator
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Token ids after replacement and labels (`IGNORED` where nothing was masked), both `[num_tokens]`.

        Raises:
            PluginError: the policy chose a special token, or not exactly its budget.
        """
        places = np.flatnonzero(self.choose(batch, progress, generator))
        labels = np.full(len(batch.token_ids), IGNORED, np.int64)
        labels[places] = batch.token_ids[places]
        masked = batch.token_ids.copy()
        masked[places] = self.replace(labels[places], generator)
        return masked, labels

    def choose(self, batch: TokenBatch, progress: float, generator: np.random.Generator) -> NDArray[np.bool_]:
        """What the policy chose, checked.

        Raises:
            PluginError: the policy chose a special token, or not exactly its budget.
        """
        chosen = self.policy.choose(batch, progress, generator)
        name = self.policy.name
        if chosen.dtype != np.bool_ or chosen.shape != batch.token_ids.shape:
            raise PluginError(
                f"{name}.choose() returned {chosen.dtype} {list(chosen.shape)}; expected bool {list(batch.token_ids.shape)}"
            )
        if (chosen > batch.maskable).any():
            raise PluginError(f"{name}.choose() chose a special or padding token, which is never masked")
        count, budget = int(np.count_nonzero(chosen)), self.policy.budget(batch, progress)
        if count != budget:
            raise PluginError(f"{name}.choose() chose {count} tokens, but its rate asks for {budget}")
        return chosen

    def replace(self, tokens: NDArray[np.int64], generator: np.random.Generator) -> NDArray[np.int64]:
        """What stands in place of chosen tokens, `[num_masked]`."""
        shown = np.full(len(tokens), self.special.mask, np.int64)
        if self.policy.replacement == "mask":
            return shown
        # A tenth of 2^16 is no whole number; of 2^32 it is close enough to call it one.
        draw = generator.integers(0, 2**32, len(tokens), dtype=np.uint32)
        kept = np.flatnonzero(draw < round(0.1 * 2**32))
        shown[kept] = tokens[kept]
        random = np.flatnonzero(draw >= round(0.9 * 2**32))
        shown[random] = self._ordinary[generator.integers(0, len(self._ordinary), len(random))]
        return shown
