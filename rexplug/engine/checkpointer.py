"""Saves a phase that runs on several ranks: all ranks gather its state, rank 0 writes it."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass

from rexplug import distributed
from rexplug.engine.checkpoint_folder import CheckpointFolder
from rexplug.engine.checkpoints import CheckpointState
from rexplug.engine.determinism import deterministic_algorithms
from rexplug.engine.job import Evaluate, PhaseJob, PhaseState
from rexplug.engine.resume_changes import shares_at
from rexplug.engine.sharding import FullState


@dataclass(frozen=True)
class Checkpointer:
    """Every rank calls its methods at the same step."""

    job: PhaseJob
    full_state: FullState
    folder: CheckpointFolder

    def save(self, state: PhaseState, on_token_grid: bool) -> None:
        """Write a checkpoint of this step; `on_token_grid` if `checkpoints.every_tokens` asks for it."""
        model, optimizer = self.full_state.gather_model(), self.full_state.gather_optimizer()
        if self.job.writes:
            self.folder.save(self._saved(state, on_token_grid), model, optimizer)

    def finish(self, state: PhaseState) -> None:
        """Write the final checkpoint.

        Raises:
            DataError: it cannot be written.
        """
        model, optimizer = self.full_state.gather_model(), self.full_state.gather_optimizer()
        if self.job.writes:
            self.folder.finish(self._saved(state, False), model, optimizer)

    def evaluate(self, state: PhaseState, evaluate: Evaluate | None) -> None:
        """Run the evaluators on rank 0 on the weights of this step; the other ranks wait, however long it takes.

        Raises:
            DataError: the weights cannot be written to the folder that the evaluators read.
        """
        model = self.full_state.gather_model()
        if self.job.writes and evaluate is not None:
            # Evaluators may use operations that cannot be deterministic.
            asked = self.job.recipe.model.deterministic
            with (
                self.folder.temporary_copy(model) as copied,
                deterministic_algorithms(False) if asked else nullcontext(),
            ):
                evaluate(copied, state.tokens)
            phase, progress = self.job.phase, self.job.progress
            progress.start(phase.name, phase.tokens, "tokens")
            progress.update(min(state.tokens, phase.tokens))
        distributed.barrier()

    def _saved(self, state: PhaseState, on_token_grid: bool) -> CheckpointState:
        phase, tokens = self.job.phase, state.tokens
        return CheckpointState(
            phase.name, state.step, tokens, state.tokens_before + tokens, state.seconds, state.position.to_json(),
            phase.optimizer.use, decayed=phase.learning_rate.decays and tokens >= phase.tokens,
            smoothed=dict(state.smoothed.values), on_token_grid=on_token_grid, evaluation_due=state.evaluation_due,
            learning_rate=phase.learning_rate_at(tokens), shares=shares_at(self.job.stream, tokens),
        )  # fmt: skip
