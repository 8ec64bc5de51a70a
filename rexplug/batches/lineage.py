"""Lineage of steps: from a step to the documents in its batch, and from a document to the steps that train on it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from rexplug.batches.history import PositionHistory
from rexplug.batches.position import BatchPlan, Position
from rexplug.batches.samples import SampleRecord
from rexplug.errors import DataError
from rexplug.plugins.calls import mixing_weights

_SCHEDULE_POINTS = 1024
"""The rest of the schedule is evaluated at so many points to estimate when a document will come."""


class Visit(NamedTuple):
    """One step of a phase that trained on a sample of a document, or is expected to."""

    part: int
    """Which sample of the document it is, from 0."""
    num_parts: int
    """Samples of the document."""
    epoch: int
    """The epoch of the source, from 0."""
    step: int
    """The step (1, 2, ...): exact where it was done, otherwise an estimate from the schedule."""
    row: int | None
    """The row of the global batch; None for a step to come."""
    seen: bool
    """Whether the step was done."""


@dataclass(frozen=True, eq=False)
class Lineage:
    """The lineage of one phase: which samples its steps trained on, recomputed from the recorded positions."""

    history: PositionHistory

    def batch(self, step: int) -> BatchPlan:
        """The samples in the batch of a step (1, 2, ...).

        Raises:
            DataError: the step was not recorded, or the recipe has changed since.
        """
        self.history.require(step)
        plan, after = self.history.stream.plan(self.history.before(step))
        if after != self.history.before(step + 1):
            raise DataError(
                f"step {step} of phase '{self.history.stream.phase}' is planned differently now than when it was trained; "
                "the recipe or rexplug has changed since"
            )
        return plan

    def visits(self, source: int, document: int) -> Iterator[Visit]:
        """The steps that trained on a document and those that are expected to, in order of parts and epochs.

        Args:
            source: the index of the source in the stream.
            document: the number of the document in the source's token store.

        Raises:
            DataError: the recipe has changed since the steps were done, or records are lost.
        """
        samples = self.history.stream.samples[source]
        numbers = samples.numbers_of(document)
        last = self.history.last
        taken, steps = self._forecast(source, last)
        for part, number in enumerate(numbers):
            epoch = 0
            while True:
                sample_index = samples.index_of(number, epoch)
                was_taken = sample_index < last.next_indices[source]
                place = self._step_and_row(source, sample_index) if was_taken else None
                if place is not None:
                    yield Visit(part, len(numbers), epoch, *place, seen=True)
                else:
                    missing = max(0, sample_index - last.next_indices[source])
                    if missing >= taken[-1]:
                        break
                    step = last.batch + 1 + int(np.interp(missing, taken, steps))
                    yield Visit(part, len(numbers), epoch, step, None, seen=False)
                epoch += 1

    def _step_and_row(self, source: int, sample_index: int) -> tuple[int, int] | None:
        """Step and row of a sample: the first step after which it is no longer deferred; None if it still is."""
        step = self.history.step_of(source, sample_index)
        while 0 < step <= self.history.num_steps:
            if (source, sample_index) not in self.history.before(step + 1).deferred:
                plan = self.batch(step)
                for row, samples in enumerate(plan.rows):
                    if any(sample.source == source and sample.sample_index == sample_index for sample in samples):
                        return step, row
            step += 1
        return None

    def _forecast(self, source: int, last: Position) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Samples of a source taken, and steps done, from `last` to points up to the end of the phase.

        Both `[num_points]`, ascending from 0; estimated from the schedule and the mean length of a sample.
        """
        stream = self.history.stream
        samples = stream.samples[source]
        if stream.done(last) or not samples.size:
            return np.zeros(1), np.zeros(1)
        points = np.linspace(last.tokens, stream.total_tokens, _SCHEDULE_POINTS)
        shares = []
        for tokens in points[:-1]:
            weights = mixing_weights(stream.mixing, float(tokens) / stream.total_tokens)
            shares.append(weights.get(stream.sources[source], 0.0) / sum(weights.values()))
        width = np.diff(points)
        taken = np.cumsum(np.array(shares) * width) / (samples.num_tokens / samples.size)
        steps = np.cumsum(width / np.array([max(1, stream.batch_tokens(int(tokens))) for tokens in points[:-1]]))
        return np.concatenate([[0], taken]), np.concatenate([[0], steps])

    def samples(self, plan: BatchPlan) -> Iterator[tuple[int, SampleRecord]]:
        """(number of the row, sample) for every sample of a batch."""
        for row, samples in enumerate(plan.rows):
            for sample in samples:
                yield row, sample
