"""The phase to train and its progress: what the modules that train it share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from rexplug import distributed
from rexplug.batches import BatchStream, Position
from rexplug.engine.hardware import Hardware
from rexplug.engine.metrics import Smoothed
from rexplug.progress import Progress
from rexplug.recipe import Recipe
from rexplug.recipe.schema import Phase
from rexplug.run_directory import RunDirectory

Evaluate = Callable[[Path, int], None]
"""Runs the evaluators on a checkpoint folder after so many tokens of the phase."""


@dataclass(frozen=True)
class PhaseJob:
    """A phase to train: the same on every rank, and unchanged while it trains."""

    recipe: Recipe
    phase: Phase
    stream: BatchStream
    """Its batches, in rows of the size that was chosen."""
    run: RunDirectory
    progress: Progress
    hardware: Hardware

    @property
    def folder(self) -> Path:
        """Where the checkpoints of the phase are."""
        return self.run.checkpoints / self.phase.name

    @property
    def writes(self) -> bool:
        """Whether this process writes files: rank 0 does."""
        return distributed.rank() == 0


@dataclass
class PhaseState:
    """How far a phase has come; restored from a checkpoint, then updated after every step."""

    position: Position
    """Of the stream, after the last step."""
    step: int = 0
    tokens_before: int = 0
    """Tokens of the phases before this one."""
    seconds: float = 0.0
    """Of training alone: without evaluation and checkpoints."""
    smoothed: Smoothed = field(default_factory=Smoothed)
    evaluation_due: bool = False
    """Whether the evaluators are to run at this step; saved, in case the run ends before they did."""
    stopped: bool = False
    """Whether a signal ended training at the last step."""

    @property
    def tokens(self) -> int:
        """Tokens of the phase that were trained on."""
        return self.position.tokens
