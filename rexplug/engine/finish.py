"""The end of a phase: its final checkpoint, and what run.json keeps of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from rexplug import distributed
from rexplug.batches import BatchStream, Position
from rexplug.engine.build import Trainee
from rexplug.engine.checkpointer import Checkpointer
from rexplug.engine.checkpoints import FINAL
from rexplug.engine.job import PhaseJob, PhaseState
from rexplug.errors import DataError, RunInterrupted
from rexplug.model.rope import thetas


def finish(
    job: PhaseJob,
    trainee: Trainee,
    state: PhaseState,
    checkpointer: Checkpointer,
    *,
    new_steps: bool,
    warnings: Sequence[str],
) -> dict[str, Any]:
    """Write the final checkpoint if steps were taken since the last one, and return what run.json keeps.

    Args:
        job: the phase.
        trainee: its model and optimizer.
        state: where it ended.
        checkpointer: saves it.
        new_steps: whether `state` differs from that of the final checkpoint, or there is none yet.
        warnings: what was warned of.

    Raises:
        RunInterrupted: a signal came during the last step; everything is saved.
        DataError: every batch was skipped, or the checkpoint cannot be written.
        RankLost: another rank is gone.
    """
    if "loss" not in state.smoothed.values:
        raise DataError(
            f"phase '{job.phase.name}' ended without a single step: every batch was skipped; the warnings above say why"
        )
    with distributed.communication_explained():
        if new_steps:
            checkpointer.finish(state)
        distributed.barrier()  # no rank may read the final checkpoint before it is written
    if state.stopped:
        raise RunInterrupted(
            f"stopped at the end of phase '{job.phase.name}'; saved; the same command resumes from here"
        )
    return _summary(job, trainee, state, warnings)


def _summary(job: PhaseJob, trainee: Trainee, state: PhaseState, warnings: Sequence[str]) -> dict[str, Any]:
    hardware = job.hardware
    return {
        "tokens": state.tokens, "steps": state.step, "seconds": round(state.seconds, 2),
        "tokens_per_second": round(state.tokens / max(1e-9, state.seconds), 1),
        "loss": state.smoothed.values["loss"], "accuracy": state.smoothed.values["accuracy"],
        "epochs": _epochs(job.stream, state.position), "context": job.phase.context,
        "microbatch_tokens": job.stream.row_tokens, "backend": hardware.backend, "why": hardware.backend_reason,
        "device": hardware.device.type, "device_name": hardware.device_name if hardware.on_gpu else "",
        "precision": hardware.precision, "instructions": hardware.instructions, "compiled": hardware.compiled,
        "deterministic": hardware.deterministic, "threads": torch.get_num_threads(),
        "processes": distributed.world_size(), "parallel": trainee.parallel, "rope_theta": thetas(trainee.model),
        "checkpoint": str(job.folder / FINAL), "warnings": list(warnings),
    }  # fmt: skip


def _epochs(stream: BatchStream, position: Position) -> dict[str, float]:
    """Epochs of each source that were trained on; samples that the packer still holds back do not count."""
    return {
        name: round((next_index - sum(source == i for source, _ in position.deferred)) / max(1, size), 3)
        for i, (name, next_index, size) in enumerate(
            zip(stream.sources, position.next_indices, stream.epoch_samples(), strict=True)
        )
    }
