"""Estimates how much disk a run takes."""

from __future__ import annotations

from dataclasses import dataclass

from rexplug.optimizers import FP32_BYTES, OPTIMIZERS
from rexplug.planning.phases import Plan
from rexplug.recipe import Recipe
from rexplug.recipe.schema import Phase

_COMPRESSED = 0.3
"""Bytes of compressed Parquet per byte of text that was read; dropped documents are kept with their reason."""
_PER_DOCUMENT = 110
"""Bytes of a token store per document: its end, id, address, hash and position."""
_PER_STEP = 750
"""Bytes of metrics.jsonl per step."""
_PER_EVALUATION = 3e6
"""Bytes of an evaluator's results on one model, with the score of every item."""
_SMALL_VOCABULARY = 2**16


@dataclass(frozen=True)
class Disk:
    """Bytes on disk; `checkpoints` and `model` are None if the model's shape is not known.

    `checkpoints` is their peak, when the last phase writes its final one beside those that it keeps.
    """

    corpus: float
    tokens: float
    checkpoints: float | None
    model: float | None
    metrics: float
    """Metrics of every step, and evaluators' results."""

    @property
    def total(self) -> float:
        """All parts whose size is known."""
        return self.corpus + self.tokens + (self.checkpoints or 0.0) + (self.model or 0.0) + self.metrics


def disk_of(recipe: Recipe, plan: Plan, *, read_bytes: float, tokens: float, documents: float, seconds: float) -> Disk:
    """Estimate the disk that a run takes.

    Args:
        recipe: the recipe.
        plan: its plan.
        read_bytes: bytes of text of all sources before filters.
        tokens: tokens of all sources.
        documents: kept documents of all sources.
        seconds: how long the last phase trains.
    """
    token_bytes = 2 if plan.rows is not None and plan.rows <= _SMALL_VOCABULARY else 4
    stored = tokens * (token_bytes + 1 + len(recipe.scorers)) + documents * _PER_DOCUMENT
    positions = sum(phase.steps * (16 + 208 * len(phase.sources)) for phase in plan.phases)
    checkpoints = model = None
    if plan.parameters is not None:
        model = float(FP32_BYTES * plan.parameters)
        # Of every phase the final checkpoint stays; the tied decoder is stored once.
        kept = [*recipe.phases, *[recipe.phases[-1]] * _kept(recipe.phases[-1], seconds)]
        numbers = sum(FP32_BYTES + OPTIMIZERS[phase.optimizer.use].moment_bytes for phase in kept)
        checkpoints = model + float(numbers * plan.parameters) + positions
    evaluations = len(recipe.evaluators) * (1 + len(recipe.phases) + len(recipe.baselines))
    metrics = plan.steps * _PER_STEP + evaluations * _PER_EVALUATION
    return Disk(read_bytes * _COMPRESSED, stored, checkpoints, model, float(metrics))


def _kept(phase: Phase, seconds: float) -> int:
    """Checkpoints that are kept beside a phase's final one at its end."""
    options = phase.checkpoints
    written = int(seconds // (60 * options.every_minutes))
    written += (phase.tokens - 1) // options.every_tokens if options.every_tokens else 0
    return min(written, options.keep + options.keep_best + (phase.average if phase.average > 1 else 0))
