"""Where a phase starts in this process: the checkpoint it loads, and what it takes over from it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch

from rexplug import distributed
from rexplug.batches import Position
from rexplug.checksums import require_intact
from rexplug.engine import checkpoints
from rexplug.engine.checkpoints import CheckpointState
from rexplug.engine.job import PhaseJob, PhaseState
from rexplug.engine.metrics import Smoothed
from rexplug.engine.optimizers.factory import load_optimizer_state
from rexplug.engine.resume_changes import jumps
from rexplug.errors import DataError
from rexplug.progress import Progress
from rexplug.recipe.schema import Phase


@dataclass(frozen=True)
class Origin:
    """The checkpoints that a phase starts from."""

    before: Path
    """The last checkpoint before the phase: that of the phase before, or the initial model."""
    state_before: CheckpointState | None
    """Its state; None for the initial model, which was not trained."""
    resumed: Path | None
    """The newest checkpoint of the phase itself; None if it starts from the beginning."""

    @property
    def weights(self) -> Path:
        """The checkpoint whose weights are loaded."""
        return self.resumed or self.before


def find_origin(phase: Phase, before: Path, folder: Path, progress: Progress) -> Origin:
    """The checkpoints that a phase starts from: rank 0 looks, and removes what a killed process left half-written.

    Args:
        phase: the phase.
        before: the last checkpoint before it.
        folder: where its own checkpoints are.
        progress: receives a note on damaged checkpoints, which are skipped.

    Raises:
        DataError: the checkpoint before the phase is needed and damaged.
    """
    rank_zero = distributed.rank() == 0
    if rank_zero:
        checkpoints.remove_unfinished(folder)
    resumed: Path | None = distributed.broadcast(checkpoints.newest(folder, progress.note) if rank_zero else None)
    if resumed is None:
        require_intact(before, f"phase '{phase.name}' starts from it; --from the stage that wrote it writes it again")
    state_before = checkpoints.read_state(before) if (before / "state.json").exists() else None
    return Origin(before, state_before, resumed)


def restore(job: PhaseJob, origin: Origin, optimizer: torch.optim.Optimizer) -> tuple[PhaseState, list[str]]:
    """Load the optimizer's state if the phase takes it over; return how far the phase has come, and warnings.

    Raises:
        DataError: a checkpoint is damaged, or is that of another model or optimizer.
    """
    phase, state_before = job.phase, origin.state_before
    state = PhaseState(job.stream.start, tokens_before=state_before.total_tokens if state_before else 0)
    if origin.resumed is not None:
        saved = checkpoints.read_state(origin.resumed)
        state.position, state.step, state.seconds = Position.from_json(saved.position), saved.step, saved.seconds
        state.smoothed, state.evaluation_due = Smoothed(dict(saved.smoothed)), saved.evaluation_due
        _load_optimizer(optimizer, origin.resumed, phase)
        job.progress.note(
            f"  {phase.name} resumes after step {state.step} ({state.tokens:,} of {phase.tokens:,} tokens)"
        )
        return state, jumps(phase, job.stream, saved)
    return state, [] if state_before is None else _carry_over(phase, origin.before, state_before, optimizer)


def _load_optimizer(optimizer: torch.optim.Optimizer, checkpoint: Path, phase: Phase) -> None:
    saved = checkpoints.read_optimizer(checkpoint)
    try:
        load_optimizer_state(optimizer, saved, phase.optimizer.use)
    except (ValueError, LookupError, TypeError, AttributeError, RuntimeError) as error:
        raise DataError(
            f"{checkpoint / 'optimizer.pt'} does not fit this model and optimizer ({type(error).__name__}: {error}); remove "
            f"{checkpoint} to resume from the checkpoint before it"
        ) from None


def _carry_over(
    phase: Phase, before: Path, state_before: CheckpointState, optimizer: torch.optim.Optimizer
) -> list[str]:
    """Load the optimizer state of the phase before, if this phase asks for it and it fits; returns warnings."""
    warnings = []
    if state_before.decayed and phase.learning_rate.decays:
        warnings.append(
            f"phase '{phase.name}' lowers the learning rate again although '{state_before.phase}' before it ended decayed; "
            "a decay works best from a checkpoint at full learning rate"
        )
    if phase.carry == "optimizer" and state_before.optimizer == phase.optimizer.use:
        _load_optimizer(optimizer, before, phase)
    elif phase.carry == "optimizer":
        warnings.append(
            f"phase '{phase.name}' uses {phase.optimizer.use}, '{state_before.phase}' used {state_before.optimizer}: "
            "the optimizer starts with empty state"
        )
    return warnings
