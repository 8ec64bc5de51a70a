"""Draws the tokens to mask in a row, as many of each sample as its shares say."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rexplug_guided_mlm.sampling import KEY_RANGE, smallest_in_groups, sorted_in_groups, weighted_keys, whole_numbers

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    import rexplug
    from rexplug_guided_mlm.shares import Shares

_NEVER = 2**16 - 1
"""The key of a token that must not be drawn: larger than every random key."""


@dataclass(frozen=True, slots=True, eq=False)
class Draw:
    """A row of which tokens are drawn, and how many of each sample.

    Args:
        batch: the row.
        salient: its salient tokens that can be masked, `[num_tokens]`.
        places: the same tokens, ascending, `[num_salient]`.
        weights: how many times as likely as a plain token each is masked, `[num_salient]`.
        shares: how many tokens of each sample are masked.
        keys: a random key for each token, `[num_tokens]`.
        generator: the random generator.
    """

    batch: rexplug.TokenBatch
    salient: NDArray[np.bool_]
    places: NDArray[np.int64]
    weights: NDArray[np.float32]
    shares: Shares
    keys: NDArray[np.uint16]
    generator: np.random.Generator

    def tokens(self) -> NDArray[np.bool_]:
        """Salient tokens by their weights and plain ones evenly, `[num_tokens]`."""
        import numpy as np

        shares = self.shares
        counts = whole_numbers(np.cumsum(shares.wanted), self.generator)
        counts = np.clip(counts, shares.counts - shares.plain, np.minimum(shares.counts, shares.salient))
        keys = weighted_keys(self.keys.take(self.places), self._chances(counts))
        # The slope of the number of keys in the middle, where all tokens have the same chance.
        densities = 4 * counts * (1 - counts / np.maximum(shares.salient, 1))
        return self._draw(counts, keys, np.full(len(counts), 0.5), densities)

    def spans(self, starts: NDArray[np.int64], share: float) -> NDArray[np.bool_]:
        """Salient spans by their weights, whole, then plain tokens evenly, `[num_tokens]`.

        The spans of a sample are taken in random order until the wanted number of salient tokens is reached. The span that
        exceeds it is taken or not, with such a probability that the number is right on average; not if it exceeds the cap,
        unless it is the first. Only a span that is longer than what is left of the sample's count is cut.

        Args:
            starts: where the spans begin, as indices of the row's salient tokens, `[num_spans]`.
            share: the share of samples that is masked by spans; in the others every salient token is a span of its own.
        """
        import numpy as np

        shares = self.shares
        if share < 1:
            begins = (self.generator.random(len(shares.counts)) >= share).repeat(shares.salient)
            begins[starts] = True
            starts = np.flatnonzero(begins)
        edges = starts.searchsorted(shares.edges)
        num_spans = np.diff(edges)
        keys = weighted_keys(self.keys[self.places[starts]], self._chances(shares.wanted)[starts])
        order = sorted_in_groups(keys, num_spans, self.generator)
        lengths = np.diff(starts, append=len(self.places))[order]
        total = np.zeros(len(starts) + 1, np.int64)
        np.cumsum(lengths, out=total[1:])
        before = total[:-1] - total[edges[:-1]].repeat(num_spans)
        wanted = shares.wanted.repeat(num_spans)
        fitting = np.minimum(lengths, shares.counts.repeat(num_spans) - before)
        last = (before < wanted) & (before + lengths > wanted)
        last &= (before == 0) | (before + fitting <= shares.most.repeat(num_spans))
        last &= self.generator.random(len(num_spans)).repeat(num_spans) * fitting < wanted - before
        taken = np.where(before + lengths <= wanted, lengths, np.where(last, fitting, 0))
        ends = np.cumsum(taken)
        inside = (starts[order] - ends + taken).repeat(taken) + np.arange(ends[-1])
        chosen = np.zeros(len(self.salient), np.bool_)
        chosen[self.places[inside]] = True
        total[1:] = ends
        counts = np.diff(total[edges])
        # Where the plain tokens are too few, single salient ones are drawn for the rest.
        rest = np.maximum(0, shares.counts - counts - shares.plain)
        keys = self.keys[self.places]
        keys[inside] = _NEVER
        free = shares.salient - counts
        chosen |= self._draw(rest, keys, rest / np.maximum(free, 1), free, counts)
        return chosen

    def _chances(self, counts: NDArray[np.float64] | NDArray[np.int64]) -> NDArray[np.float32]:
        """The inclusion probability of each salient token if so many of its sample are drawn, `[num_salient]`."""
        import numpy as np

        shares = self.shares
        factors = (counts / np.maximum(shares.weights, 1)).astype(np.float32)
        chances: NDArray[np.float32] = np.clip(self.weights * factors.repeat(shares.salient), 1e-3, 1 - 1e-3)
        return chances

    def _draw(
        self,
        num_salient: NDArray[np.int64],
        keys: NDArray[np.uint16],
        guesses: NDArray[np.float64],
        densities: NDArray[np.float64] | NDArray[np.int64],
        done: NDArray[np.int64] | int = 0,
    ) -> NDArray[np.bool_]:
        """Salient tokens with the smallest keys, and plain tokens up to the count of each sample, `[num_tokens]`.

        Args:
            num_salient: salient tokens to draw of each sample, `[num_samples]`.
            keys: the keys of the salient tokens, `[len(places)]`.
            guesses: share of the key range below which that many salient keys are expected, `[num_samples]`.
            densities: salient keys expected per key range there, `[num_samples]`.
            done: tokens of each sample that are chosen already, `[num_samples]`.
        """
        import numpy as np

        shares, size = self.shares, len(self.keys)
        num_plain = shares.counts - num_salient - done
        some = shares.salient > 0  # groups are not empty
        both = np.concatenate([self.keys, keys])
        # 1 - 1 on plain tokens, and 0 - 1 = _NEVER on others.
        both[:size] |= (self.batch.maskable > self.salient).astype(np.uint16) - np.uint16(1)
        chosen = smallest_in_groups(
            both,
            np.concatenate([self.batch.cu_seqlens, size + shares.edges[1:][some]]),
            np.concatenate([num_plain, num_salient[some]]),
            np.concatenate([num_plain / np.maximum(shares.plain, 1), guesses[some]]) * KEY_RANGE,
            np.concatenate([shares.plain, densities[some]]) / KEY_RANGE,
            self.generator,
        )
        tokens = chosen[:size]
        tokens[self.places.take(np.flatnonzero(chosen[size:]))] = True
        return tokens
