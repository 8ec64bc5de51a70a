"""Trains one phase: finds where it starts, builds the model, restores its state, fits, and finishes."""

from __future__ import annotations

from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rexplug import distributed
from rexplug.batches import BatchStream
from rexplug.engine.checkpoint_folder import CheckpointFolder
from rexplug.engine.checkpoints import FINAL
from rexplug.engine.composer_import import import_composer
from rexplug.engine.determinism import deterministic_algorithms
from rexplug.engine.hardware import Hardware
from rexplug.engine.job import Evaluate, PhaseJob
from rexplug.engine.metrics import MetricsFile
from rexplug.engine.microbatch_size import TokensThatFit, choose_row_tokens, explain_out_of_memory
from rexplug.engine.restore import find_origin, restore
from rexplug.engine.terminal import TerminalMayClose
from rexplug.progress import Progress
from rexplug.recipe import Recipe
from rexplug.recipe.schema import Phase
from rexplug.run_directory import RunDirectory, truncate_metrics

if TYPE_CHECKING:
    from rexplug.engine.build import Trainee


def train_phase(
    *,
    recipe: Recipe,
    phase: Phase,
    stream: BatchStream,
    start: Path,
    run: RunDirectory,
    progress: Progress,
    evaluate: Evaluate | None = None,
    tokens_that_fit: TokensThatFit | None = None,
) -> dict[str, Any]:
    """Train a phase and write `checkpoints/<phase>/final`; a phase that was stopped resumes.

    Every rank calls it with the same arguments; rank 0 writes.

    Args:
        recipe: the recipe.
        phase: a phase of it.
        stream: the batches of the phase.
        start: the last checkpoint before the phase: that of the phase before, or the initial model.
        run: the run directory.
        progress: receives every step.
        evaluate: what `evaluate_every` runs.
        tokens_that_fit: the plan's estimate of the largest microbatch, for messages about memory.

    Returns:
        What run.json keeps: tokens, steps, seconds, tokens per second, smoothed loss and accuracy at the end, epochs per
        source, backend and why, device, precision and the CPU's instructions for it, whether deterministic, thetas, warnings.

    Raises:
        RunInterrupted: SIGTERM, SIGINT or SIGHUP came; a checkpoint was written.
        DataError: the loss is not a number, memory ran out, or a checkpoint does not fit or cannot be written.
        RankLost: another rank is gone.
    """
    progress = TerminalMayClose(progress)
    progress.start(f"prepare {phase.name}")
    import_composer()
    # These import Composer at their top, so they are imported after it was.
    from rexplug.engine.build import build
    from rexplug.engine.checkpointer import Checkpointer
    from rexplug.engine.finish import finish
    from rexplug.engine.fit import fit

    distributed.connect()
    hardware = Hardware.detect(recipe)
    asked = recipe.model.deterministic
    with deterministic_algorithms(True, hardware.device) if asked else nullcontext():
        origin = find_origin(phase, start, run.checkpoints / phase.name, progress)
        memory = partial(explain_out_of_memory, phase, hardware, tokens_that_fit)
        stream = choose_row_tokens(
            phase, stream, hardware, start=origin.weights, run=run, progress=progress, tokens_that_fit=tokens_that_fit
        )
        job = PhaseJob(recipe, phase, stream, run, progress, hardware)
        trainee = build(job, origin)
        state, warnings = restore(job, origin, trainee.optimizer)
        warnings = [*trainee.warnings, *warnings]
        for warning in warnings:
            progress.note(f"  warning: {warning}")
        metrics = MetricsFile(run.metrics, progress) if job.writes else None
        if metrics is not None:
            truncate_metrics(run.metrics, phase.name, state.step)
        _announce(job, trainee)
        progress.start(phase.name, phase.tokens, "tokens")
        if state.tokens:
            progress.update(state.tokens)
        checkpointer = Checkpointer(job, trainee.full_state, CheckpointFolder(phase, job.folder, progress))
        first_step = state.step
        fit(
            job,
            trainee,
            state,
            checkpointer,
            metrics=metrics,
            evaluate=evaluate,
            memory=partial(memory, stream.row_tokens),
        )
        # A phase that was lengthened resumes from its final checkpoint and replaces it.
        new_steps = origin.resumed != job.folder / FINAL or state.step > first_step
        return finish(job, trainee, state, checkpointer, new_steps=new_steps, warnings=warnings)


def _announce(job: PhaseJob, trainee: Trainee) -> None:
    """Say what is trained, and on what."""
    phase, hardware = job.phase, job.hardware
    processes = ""
    if distributed.world_size() > 1:
        processes = f", {distributed.world_size()} processes with {trainee.parallel} ({trainee.parallel_reason})"
    precision = f"{hardware.precision} ({hardware.instructions})" if hardware.instructions else hardware.precision
    compiled = deterministic = ""
    if hardware.compiled or hardware.on_gpu:  # nobody expects compiled layers on a CPU
        compiled = f", {'' if hardware.compiled else 'not '}compiled ({hardware.compile_reason})"
    if job.recipe.model.deterministic:
        deterministic = ", deterministic"
    job.progress.note(
        f"  {phase.name}: {phase.tokens:,} tokens at {phase.context:,}, attention '{hardware.backend}' "
        f"({hardware.backend_reason}), {hardware.device.type}, {precision}{compiled}{deterministic}{processes}"
    )
