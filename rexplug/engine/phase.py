"""One phase of training, as a story: where it starts, what it changes, how it goes, what it leaves."""

from __future__ import annotations

import logging
import shutil
import signal
import warnings
from pathlib import Path
from typing import Any

import torch

from rexplug.batches import BatchStream, Position
from rexplug.engine import checkpoints
from rexplug.engine.checkpoints import FINAL, State
from rexplug.errors import RunInterrupted
from rexplug.model.attention import choose_backend, use_packed_attention
from rexplug.model.build import SpecialIds, build_model, load_model, set_rope, theta_warnings, thetas
from rexplug.progress import Progress
from rexplug.recipe import Recipe
from rexplug.recipe.schema import Phase
from rexplug.run_directory import RunDirectory, replacing
from rexplug.schedules import learning_rate_factor

CPU_TOKENS = 8192
"""Tokens that a CPU takes at a time at least, where the batch has as many."""


def initial_checkpoint(recipe: Recipe, special: SpecialIds, run: RunDirectory) -> dict[str, Any]:
    """Write `checkpoints/initial`: the model that the first phase starts from. Returns its size and thetas."""
    longest = max(phase.context for phase in recipe.phases)
    model = build_model(recipe.model, special, context=longest, seed=recipe.seed)
    with replacing(run.checkpoints / "initial") as temporary:
        model.save_pretrained(temporary)
    total = sum(each.numel() for each in model.parameters())
    embedding = model.model.embeddings.tok_embeddings.weight.numel()
    return {"parameters": total, "without_embedding": total - embedding, "rope_theta": thetas(model)}


def train_phase(
    *, recipe: Recipe, phase: Phase, stream: BatchStream, start: Path, run: RunDirectory, progress: Progress
) -> dict[str, Any]:
    """Train one phase and write `checkpoints/<phase>/final`; a phase that was stopped continues.

    Args:
        recipe: the recipe.
        phase: the phase of it.
        stream: its batches.
        start: the checkpoint that it starts from (the phase before, or the initial model).
        run: the run's folder.
        progress: told of every step.

    Returns:
        What run.json keeps: tokens, steps, seconds, tokens per second, smoothed loss and accuracy at the end, epochs per
        source, backend and why, device, precision, thetas, warnings.

    Raises:
        RunInterrupted: SIGTERM or SIGINT came; a checkpoint was written.
        DataError: the loss is not a number, or a checkpoint does not fit.
    """
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    progress.start(phase.name, phase.tokens, "tokens")
    trainer_class = _import_composer()
    for number, handler in handlers.items():
        signal.signal(number, handler)  # importing Composer puts its own in place, which exit without saving

    from rexplug.engine.callbacks import Steps, StopRequest, cut_metrics
    from rexplug.engine.composer_model import PackedMaskedLM
    from rexplug.engine.loader import data_spec
    from rexplug.engine.optimizer import make_optimizer, take_over

    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    precision = (
        recipe.model.precision if recipe.model.precision != "auto" else ("bf16" if device.type == "cuda" else "fp32")
    )
    backend, why = choose_backend(recipe.model.attention, device, precision)
    folder = run.checkpoints / phase.name
    checkpoints.clear_leftovers(folder)
    newest = checkpoints.newest(folder)
    model = load_model(newest or start)
    notes = []
    if newest is None and (recipe.model.from_ is not None or (start / "state.json").exists()):
        notes += theta_warnings(thetas(model), context=phase.context, phase=phase.name, **phase.rope.model_dump())
    set_rope(model, global_theta=phase.rope.global_theta, local_theta=phase.rope.local_theta)
    use_packed_attention(model)
    model.to(device)
    optimizer = make_optimizer(model, phase)
    previous = checkpoints.read_state(start) if (start / "state.json").exists() else None
    position, step, seconds, figures = stream.start, 0, 0.0, {}
    if newest is not None:
        state = checkpoints.read_state(newest)
        position, step, seconds, figures = Position.from_json(state.position), state.step, state.seconds, state.figures
        take_over(optimizer, checkpoints.read_optimizer(newest))
        progress.note(f"  {phase.name} goes on after step {step} ({position.tokens:,} of {phase.tokens:,} tokens)")
    elif previous is not None:
        if previous.decayed and _falls(phase):
            notes.append(
                f"phase '{phase.name}' lowers the learning rate again although '{previous.phase}' before it ended decayed; "
                "a decay works best from a checkpoint at full rate"
            )
        if phase.carry == "optimizer" and previous.optimizer == phase.optimizer.use:
            take_over(optimizer, checkpoints.read_optimizer(start))
        elif phase.carry == "optimizer":
            notes.append(
                f"phase '{phase.name}' uses {phase.optimizer.use}, '{previous.phase}' used {previous.optimizer}: "
                "the optimizer starts anew"
            )
    for note in notes:
        progress.note(f"  warning: {note}")
    cut_metrics(run.metrics, phase.name, step)
    progress.note(
        f"  {phase.name}: {phase.tokens:,} tokens at {phase.context:,}, attention '{backend}' ({why}), {device.type}, {precision}"
    )
    progress.start(phase.name, phase.tokens, "tokens")
    if position.tokens:
        progress.update(position.tokens)

    total_before = previous.total_tokens if previous else 0
    rate = phase.learning_rate
    stop = StopRequest()

    def state_of(step: int, tokens: int, position: dict[str, Any], seconds: float, figures: dict[str, float]) -> State:
        return State(
            phase.name, step, tokens, total_before + tokens, seconds, position, phase.optimizer.use,
            decayed=_falls(phase) and tokens >= phase.tokens, figures=dict(figures),
        )  # fmt: skip

    def save(step: int, tokens: int, position: dict[str, Any], seconds: float, figures: dict[str, float]) -> None:
        target = checkpoints.step_folder(folder, step)
        checkpoints.write_checkpoint(target, model, optimizer, state_of(step, tokens, position, seconds, figures))
        checkpoints.prune(folder, phase.checkpoints.keep)

    steps = Steps(
        phase=phase,
        sources=stream.sources,
        rate_at=lambda tokens: (
            rate.peak
            * learning_rate_factor(
                tokens,
                total=phase.tokens,
                schedule=rate.schedule,
                warmup=rate.warmup,
                decay=rate.decay,
                final=rate.final,
            )
        ),
        metrics=run.metrics,
        progress=progress,
        save=save,
        stop=stop,
        names=lambda pairs: [stream.stores[stream.sources[source]].ids([document])[0] for source, document in pairs],
        total_before=total_before,
        step=step,
        tokens=position.tokens,
        seconds=seconds,
        figures=dict(figures),
        last_position=position.to_json(),
    )
    model.train()
    if not stream.done(position):
        with stop.listening():
            trainer = trainer_class(
                model=PackedMaskedLM(model, len(stream.sources), backend),
                train_dataloader=data_spec(stream, position),
                optimizers=optimizer,
                max_duration=f"{phase.tokens - position.tokens}tok",
                device="gpu" if device.type == "cuda" else "cpu",
                precision="amp_bf16" if precision == "bf16" else "fp32",
                callbacks=[steps],
                progress_bar=False,
                log_to_console=False,
                device_train_microbatch_size=_rows_at_a_time(phase, device),
                accumulate_train_batch_on_tokens=True,
                seed=recipe.seed,
                run_name=f"{recipe.name}-{phase.name}",
            )
            trainer.fit()
            trainer.close()
            if steps.stopped and not stream.done(Position.from_json(steps.last_position)):
                raise RunInterrupted(
                    f"stopped in phase '{phase.name}' after step {steps.step} ({steps.tokens:,} of {phase.tokens:,} tokens); "
                    "saved; the same command goes on from here"
                )
    state = state_of(steps.step, steps.tokens, steps.last_position, steps.seconds, steps.figures)
    final = folder / FINAL
    if newest != final:
        checkpoints.write_checkpoint(final, model, optimizer, state)
    for path in folder.glob("step-*"):
        shutil.rmtree(path)
    if steps.stopped:
        raise RunInterrupted(f"stopped at the end of phase '{phase.name}'; saved; the same command goes on from here")
    drawn = Position.from_json(steps.last_position)
    epochs = {
        name: round(draws / max(1, size), 3)
        for name, draws, size in zip(stream.sources, drawn.draws, stream.epoch_samples(), strict=True)
    }
    return {
        "tokens": steps.tokens, "steps": steps.step, "seconds": round(steps.seconds, 2),
        "tokens_per_second": round(steps.tokens / max(1e-9, steps.seconds), 1),
        "loss": steps.figures["loss"], "accuracy": steps.figures["accuracy"], "epochs": epochs,
        "context": phase.context, "backend": backend, "why": why, "device": device.type, "precision": precision,
        "threads": torch.get_num_threads(), "rope_theta": thetas(model), "checkpoint": str(final), "warnings": notes,
    }  # fmt: skip


def _rows_at_a_time(phase: Phase, device: torch.device) -> int:
    """Rows of a microbatch: one on a GPU, where `microbatch_tokens` says what fits; on a CPU short rows go together,
    because each pass adds up the gradient of the whole embedding."""
    return 1 if device.type == "cuda" else max(1, CPU_TOKENS // phase.row_tokens)


def _falls(phase: Phase) -> bool:
    rate = phase.learning_rate
    return rate.schedule != "constant" and rate.decay != 0 and rate.final < 0.5


def _import_composer() -> Any:
    """Composer's Trainer; its and its libraries' chatter at import and start is kept off the terminal."""
    warnings.filterwarnings(
        "ignore", module=r"composer\..*|torchmetrics\..*|transformers\..*|google\..*|pkg_resources.*"
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from composer import Trainer
    for name in ("composer", "transformers", "torch.distributed"):
        logging.getLogger(name).setLevel(logging.ERROR)
    return Trainer
