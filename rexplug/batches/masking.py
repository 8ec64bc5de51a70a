"""Applies a masking policy: the policy chooses tokens, this module checks the choice and replaces them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rexplug.batches.order import key_of
from rexplug.components import MaskingPolicy, TokenBatch
from rexplug.errors import PluginError
from rexplug.plugins.calls import choose_tokens, masking_budget, owner
from rexplug.tokens.special import SpecialTokens

IGNORED = -100
"""Label of a token that is not predicted."""
_MAX_RUNS = 8
"""Special ids are found by comparing if they form at most so many runs of consecutive ids; otherwise in a table."""


def stored_channels(policy: MaskingPolicy) -> dict[str, str]:
    """The channels that a policy reads: name in its rows -> name in the token stores."""
    return {name: policy.scorers[0].channel if name == "salience" else name for name in policy.row_channels}


def row_generator(seed: int, phase: str, batch: int, row: int) -> np.random.Generator:
    """The random generator of one row: counter-based and keyed by the row's names, so that rows are independent."""
    return np.random.Generator(np.random.Philox(key=[key_of("mask", seed, phase), key_of(batch, row)]))


@dataclass(frozen=True, slots=True, eq=False)
class MaskedTokens:
    """The tokens of a row after masking, T of them."""

    token_ids: NDArray[np.int64]
    """`[T]`; chosen tokens are replaced."""
    labels: NDArray[np.int64]
    """`[T]`; the true id of each masked token, and `IGNORED` elsewhere."""
    num_masked: int
    """Number of masked tokens."""


@dataclass(frozen=True)
class Masker:
    """Applies a masking policy to rows of packed samples.

    Args:
        policy: chooses the tokens.
        special: the tokenizer's special tokens, which are never masked and never replace a masked token.
    """

    policy: MaskingPolicy
    special: SpecialTokens

    @cached_property
    def _ordinary(self) -> NDArray[np.int64]:
        """The ids that are not special, ascending."""
        return np.setdiff1d(np.arange(self.special.vocabulary_size), np.array(sorted(self.special.all)))

    @cached_property
    def _special_runs(self) -> list[tuple[int, int]]:
        """First and last id of each run of consecutive special ids."""
        runs: list[tuple[int, int]] = []
        for token in sorted(self.special.all):
            if runs and runs[-1][1] == token - 1:
                runs[-1] = (runs[-1][0], token)
            else:
                runs.append((token, token))
        return runs

    @cached_property
    def _special_table(self) -> NDArray[np.bool_]:
        """Which ids are special, `[vocabulary_size]` or more."""
        table = np.zeros(max(self.special.vocabulary_size, max(self.special.all) + 1), np.bool_)
        table[sorted(self.special.all)] = True
        return table

    def is_special(self, tokens: NDArray[Any]) -> NDArray[np.bool_]:
        """Which token ids are special; `tokens` is `[num_tokens]` of an unsigned type, the result `[num_tokens]`."""
        runs = self._special_runs
        if len(runs) > _MAX_RUNS:
            return self._special_table.take(tokens)
        special = np.zeros(len(tokens), np.bool_)
        for first, last in runs:
            # Unsigned: ids below `first` wrap around and become large.
            special |= tokens == first if first == last else (tokens - tokens.dtype.type(first)) <= last - first
        return special

    def mask(
        self,
        batch: TokenBatch,
        progress: float,
        generator: np.random.Generator,
        *,
        out: NDArray[np.int64] | None = None,
    ) -> MaskedTokens:
        """Mask the tokens that the policy chooses in a row.

        Args:
            batch: the row, without padding.
            progress: progress of the phase, in [0, 1].
            generator: the row's generator (`row_generator`).
            out: `[T]`, the ids of `batch` followed by padding, masked in place (`batch.token_ids` may be a view of it);
                a copy of `batch.token_ids` is masked if left out.

        Raises:
            PluginError: the policy chose a special token, or not exactly its budget.
        """
        chosen = np.flatnonzero(self.choose(batch, progress, generator))
        token_ids = batch.token_ids.copy() if out is None else out
        labels = np.full(len(token_ids), IGNORED, np.int64)
        originals = labels[chosen] = token_ids[chosen]
        token_ids[chosen] = self.replacements(originals, generator)
        return MaskedTokens(token_ids, labels, len(chosen))

    def choose(self, batch: TokenBatch, progress: float, generator: np.random.Generator) -> NDArray[np.bool_]:
        """The tokens that the policy chose, `[num_tokens]`, checked.

        Raises:
            PluginError: the policy raised, chose a special token, or not exactly its budget.
        """
        chosen = choose_tokens(self.policy, batch, progress, generator)
        name = f"{owner(self.policy)}{self.policy.name}"
        if (chosen > batch.maskable).any():
            raise PluginError(f"{name}.choose() chose a special or padding token, which is never masked")
        count, budget = int(np.count_nonzero(chosen)), masking_budget(self.policy, batch, progress)
        if count != budget:
            raise PluginError(f"{name}.choose() chose {count} tokens, but its rate asks for {budget}")
        return chosen

    def replacements(self, tokens: NDArray[np.int64], generator: np.random.Generator) -> NDArray[np.int64]:
        """The ids that replace chosen tokens, `[num_masked]`, as the policy's `replacement` says."""
        replacements = np.full(len(tokens), self.special.mask, np.int64)
        if self.policy.replacement == "mask":
            return replacements
        # A tenth of 2^16 is not a whole number; a tenth of 2^32 is one but for a rounding error of 10^-10.
        draw = generator.integers(0, 2**32, len(tokens), dtype=np.uint32)
        unchanged = np.flatnonzero(draw < round(0.1 * 2**32))
        replacements[unchanged] = tokens[unchanged]
        random = np.flatnonzero(draw >= round(0.9 * 2**32))
        replacements[random] = self._ordinary[generator.integers(0, len(self._ordinary), len(random))]
        return replacements
