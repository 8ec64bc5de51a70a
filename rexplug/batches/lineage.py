"""From a step to the documents in its batch, and from a document to the steps that saw it or will."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from rexplug.batches.history import PositionHistory
from rexplug.batches.position import BatchPlan, Position
from rexplug.batches.samples import Sample
from rexplug.errors import DataError

_POINTS = 1024
"""Points at which the schedule is looked at to tell when a document will come."""


class Visit(NamedTuple):
    """A sample of a document in a phase: part `part` of `num_parts`, in epoch `epoch` (0, 1, ...) of its source.

    `step` is exact for steps that were done (`seen`), and an estimate from the schedule for those to come.
    """

    part: int
    num_parts: int
    epoch: int
    step: int
    row: int | None
    seen: bool


@dataclass(frozen=True, eq=False)
class Lineage:
    """The lineage of one phase."""

    history: PositionHistory

    def batch(self, step: int) -> BatchPlan:
        """What was in the batch of a step (1, 2, ...).

        Raises:
            DataError: the step was not recorded, or the recipe has changed since.
        """
        self.history.require(step)
        plan, after = self.history.stream.plan(self.history.before(step))
        if after != self.history.before(step + 1):
            raise DataError(
                f"step {step} of phase '{self.history.stream.phase}' comes out otherwise now than it was trained; "
                "the recipe or rexplug has changed since"
            )
        return plan

    def visits(self, source: int, document: int) -> Iterator[Visit]:
        """Where a document of a source was seen, in order of parts and epochs, and where it will be."""
        samples = self.history.stream.samples[source]
        numbers = samples.numbers_of(document)
        last = self.history.last
        drawn, steps = self._course(source, last)
        for part, number in enumerate(numbers):
            epoch = 0
            while True:
                draw = samples.draw_of(number, epoch)
                visit = self._seen(source, draw) if draw < last.draws[source] else None
                if visit is not None:
                    yield Visit(part, len(numbers), epoch, *visit, seen=True)
                else:
                    missing = max(0, draw - last.draws[source])
                    if missing >= drawn[-1]:
                        break
                    step = last.batch + 1 + int(np.interp(missing, drawn, steps))
                    yield Visit(part, len(numbers), epoch, step, None, seen=False)
                epoch += 1

    def _seen(self, source: int, draw: int) -> tuple[int, int] | None:
        """Step and row of a draw. It was taken in the first step after which it no longer waits; None if it still does."""
        step = self.history.step_of(source, draw)
        while 0 < step <= self.history.num_steps:
            if (source, draw) not in self.history.before(step + 1).waiting:
                plan = self.batch(step)
                for row, contents in enumerate(plan.rows):
                    if any(sample[1] == source and sample[2] == draw for sample in contents):
                        return step, row
            step += 1
        return None

    def _course(self, source: int, last: Position) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Draws of a source and steps from `last` to points up to the end of the phase, as the schedule has it."""
        stream = self.history.stream
        samples = stream.samples[source]
        if stream.done(last) or not samples.size:
            return np.zeros(1), np.zeros(1)
        at = np.linspace(last.tokens, stream.total_tokens, _POINTS)
        shares = []
        for tokens in at[:-1]:
            weights = stream.mixing.weights(float(tokens) / stream.total_tokens)
            shares.append(weights.get(stream.sources[source], 0.0) / sum(weights.values()))
        width = np.diff(at)
        drawn = np.cumsum(np.array(shares) * width) / (samples.num_tokens / samples.size)
        steps = np.cumsum(width / np.array([max(1, stream.batch_tokens(int(tokens))) for tokens in at[:-1]]))
        return np.concatenate([[0], drawn]), np.concatenate([[0], steps])

    def samples(self, plan: BatchPlan) -> Iterator[tuple[int, Sample]]:
        """Every sample of a batch with the number of its row."""
        for row, contents in enumerate(plan.rows):
            for item in contents:
                yield row, Sample(*item)
