"""Guided masks as they were before the factor `boost`: a share of the row's budget goes to whole salient spans."""

from __future__ import annotations

from typing import Annotated, ClassVar

import numpy as np
from numpy.typing import NDArray

import rexplug
from rexplug_ecommerce.attributes import AttributeSalience


class SpanGuidance(rexplug.MaskingPolicy):
    """Salient spans in random order for a share of the budget that rises from 0.3 to 0.6, then random tokens."""

    name: ClassVar[str] = "benchmarks.span_guidance"
    channels: ClassVar[tuple[str, ...]] = ("salience",)

    scorer: Annotated[rexplug.SalienceScorer, rexplug.Use()] = AttributeSalience()
    guidance: rexplug.Ramp = rexplug.Ramp(start=0.3, end=0.6)

    def choose(self, batch: rexplug.TokenBatch, progress: float, generator: np.random.Generator) -> NDArray[np.bool_]:
        """Whole spans while they fit into their share, the last one cut."""
        salience = np.where(batch.maskable, batch.channels["salience"], 0)
        budget = self.budget(batch, progress)
        left = round(self.guidance.at(progress) * budget)
        chosen = np.zeros(len(salience), np.bool_)
        starts = np.flatnonzero(np.diff(salience, prepend=0) != 0)
        ends = np.append(starts[1:], len(salience))
        for number in generator.permutation(np.flatnonzero(salience[starts])).tolist():
            if left <= 0:
                break
            stop = min(int(ends[number]), int(starts[number]) + left)
            chosen[starts[number] : stop] = True
            left -= stop - int(starts[number])
        return chosen | rexplug.random_tokens(batch.maskable & ~chosen, budget - int(chosen.sum()), generator)
