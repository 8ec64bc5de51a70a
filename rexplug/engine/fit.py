"""Trains a phase with Composer from its present step to its end, or until it is asked to stop."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

from rexplug import distributed
from rexplug.batches import PositionLog
from rexplug.batches.history import FILE as POSITIONS
from rexplug.engine.build import Trainee
from rexplug.engine.callbacks import TrainingCallback
from rexplug.engine.checkpointer import Checkpointer
from rexplug.engine.hardware import composer_device, matmul_precision
from rexplug.engine.job import Evaluate, PhaseJob, PhaseState
from rexplug.engine.loader import data_spec
from rexplug.engine.loggers import make_loggers
from rexplug.engine.metrics import MetricsFile, Throughput
from rexplug.engine.stop_request import StopRequest
from rexplug.engine.trainer import PhaseTrainer
from rexplug.errors import RunInterrupted


def fit(
    job: PhaseJob,
    trainee: Trainee,
    state: PhaseState,
    checkpointer: Checkpointer,
    *,
    metrics: MetricsFile | None,
    evaluate: Evaluate | None,
    memory: Callable[[], AbstractContextManager[None]],
) -> None:
    """Train a phase; `state` is updated with every step.

    Args:
        job: the phase.
        trainee: its model and optimizer.
        state: how far it has come.
        checkpointer: saves it.
        metrics: where rank 0 writes the metrics of each step; None on the other ranks.
        evaluate: what `evaluate_every` runs.
        memory: makes the context that explains an out-of-memory error.

    Raises:
        RunInterrupted: a signal asked it to stop before its end; a checkpoint was written.
        DataError: the loss is not a number, memory ran out, or weights to evaluate could not be written.
        RankLost: another rank is gone.
    """
    phase, stream, hardware = job.phase, job.stream, job.hardware
    missed, state.evaluation_due = state.evaluation_due, False
    if missed and evaluate is not None:  # the run ended between the last step's checkpoint and its evaluation
        checkpointer.evaluate(state, evaluate)
    trainee.model.train()
    if stream.done(state.position):
        return
    job.folder.mkdir(parents=True, exist_ok=True)
    stop = StopRequest()
    log = PositionLog(job.folder / POSITIONS, stream, state.step) if job.writes else nullcontext()
    with (
        stop.listening(),
        distributed.communication_explained(),
        memory(),
        matmul_precision(hardware.precision),
        log as positions,
    ):
        callback = TrainingCallback(
            job, state, stop, checkpointer, evaluate, metrics, positions,
            Throughput(trainee.model.config, hardware.device, hardware.precision, distributed.world_size()),
        )  # fmt: skip
        trainer = PhaseTrainer(
            count=callback.count,
            model=trainee.composer_model,
            train_dataloader=data_spec(
                stream, state.position, distributed.rank(), distributed.world_size(), hardware.loader_workers
            ),
            optimizers=trainee.optimizer,
            max_duration=f"{phase.tokens - state.tokens}tok",
            device=composer_device(hardware.device, tf32=hardware.precision == "tf32"),
            precision="amp_bf16" if hardware.precision == "bf16" and hardware.on_gpu else "fp32",
            callbacks=[callback],
            loggers=make_loggers(job.recipe, phase.name, job.run) if job.writes else [],
            progress_bar=False,
            log_to_console=False,
            device_train_microbatch_size=hardware.rows_per_microbatch(phase, stream.row_tokens),
            accumulate_train_batch_on_tokens=True,
            seed=job.recipe.seed_of_training,
            run_name=f"{job.recipe.name}-{phase.name}",
        )
        trainer.fit()
        trainer.close()
        if state.stopped and not stream.done(state.position):
            distributed.barrier()  # a rank that ends before rank 0 has written the checkpoint would be taken for lost
            raise RunInterrupted(
                f"stopped in phase '{phase.name}' after step {state.step} ({state.tokens:,} of {phase.tokens:,} tokens); "
                "saved; the same command resumes from here"
            )
