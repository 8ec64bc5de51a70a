"""One phase of training, as a story: where it starts, what it changes, how it goes, what it leaves."""

from __future__ import annotations

import logging
import signal
import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from rexplug import distributed
from rexplug.batches import BatchStream, Position, PositionLog
from rexplug.batches.history import FILE as POSITIONS
from rexplug.checksums import record_checksums, require_intact
from rexplug.engine import checkpoints
from rexplug.engine.checkpoint_policy import DISK_ERRORS, Saver, why_not_written
from rexplug.engine.checkpoints import FINAL, State
from rexplug.engine.metrics import MetricsFile, Smoothed, Speed
from rexplug.engine.microbatch_size import CPU_TOKENS, Fits, choose_rows, enough_memory
from rexplug.engine.resume_changes import jumps, learning_rate_at, shares_at
from rexplug.errors import DataError, RankLost, RunInterrupted
from rexplug.io.atomic import replacing
from rexplug.model.attention import choose_backend, use_packed_attention
from rexplug.model.build import load_model, save_model, set_rope, start_model, theta_warnings, thetas
from rexplug.model.checkpoint import SpecialIds
from rexplug.model.compile import choose_compile, compile_layers
from rexplug.progress import Progress
from rexplug.recipe import Recipe
from rexplug.recipe.schema import Phase
from rexplug.run_directory import RunDirectory

if TYPE_CHECKING:
    from rexplug.engine.callbacks import Steps

Evaluate = Callable[[Path, int], None]
"""Runs the evaluators on a checkpoint folder after so many tokens of the phase."""


def initial_checkpoint(recipe: Recipe, special: SpecialIds, run: RunDirectory) -> dict[str, Any]:
    """Write `checkpoints/initial`: the model that the first phase starts from.

    Returns its size and thetas, and the weights that the checkpoint of `model.from` lacked, which were drawn at random.

    Raises:
        DataError: the model cannot be loaded, does not suit a phase, or cannot be written.
    """
    longest = max(phase.context for phase in recipe.phases)
    start = start_model(recipe.model, special, context=longest, seed=recipe.seed_of_training)
    model = start.model
    for phase in recipe.phases:
        _check_rope(model, phase)
    checkpoints.clear_leftovers(run.checkpoints)
    folder = run.checkpoints / "initial"
    try:
        with replacing(folder) as temporary:
            save_model(model, temporary)
            record_checksums(temporary)
    except DISK_ERRORS as error:
        raise DataError(
            f"the initial model could not be written to {folder} ({why_not_written(error, folder)}); make room, and the same "
            "command goes on from there"
        ) from None
    total = sum(each.numel() for each in model.parameters())
    embedding = model.model.embeddings.tok_embeddings.weight.numel()
    return {
        "parameters": total, "without_embedding": total - embedding, "rope_theta": thetas(model),
        "new_weights": list(start.new_weights),
    }  # fmt: skip


def _check_rope(model: Any, phase: Phase) -> None:
    """Refuse a theta for a kind of layer that the model does not have."""
    for kind, layers, theta in (
        ("global", "full", phase.rope.global_theta),
        ("local", "sliding", phase.rope.local_theta),
    ):
        if theta is not None and f"{layers}_attention" not in model.config.layer_types:
            raise DataError(
                f"phases.{phase.name}.rope.{kind}_theta: the model has no {kind} layers, so there is nothing to change; leave "
                "it out"
            )


@dataclass(frozen=True)
class Machine:
    """What a rank trains on."""

    device: torch.device
    precision: str
    backend: str
    why: str
    compiled: bool
    why_compiled: str

    @classmethod
    def find(cls, recipe: Recipe) -> Machine:
        """This rank's device, and what fits it.

        Raises:
            DataError: the recipe asks for what this machine does not have.
        """
        local = distributed.local_rank()
        device = torch.device("cuda", local) if torch.cuda.is_available() else torch.device("cpu")
        precision = recipe.model.precision
        if precision == "auto":
            precision = "bf16" if device.type == "cuda" else "fp32"
        if precision != "fp32" and device.type != "cuda":
            raise DataError(f"model.precision: {precision} needs a GPU; 'auto' takes what this machine has")
        backend = choose_backend(recipe.model.attention, device, precision)
        return cls(device, precision, *backend, *choose_compile(recipe.model.compile, device))

    def residual(self, recipe: Recipe) -> torch.dtype | None:
        """Number format of the residual stream: bf16 where the recipe asks and products are in bf16, else the embedding's."""
        return torch.bfloat16 if recipe.model.residual == self.precision == "bf16" else None

    def rows_at_a_time(self, phase: Phase, row_tokens: int) -> int:
        """Rows of a microbatch: one on a GPU, where `microbatch_tokens` says what fits; on a CPU short rows go together,
        because each pass adds up the gradient of the whole embedding."""
        found = self.device.type == "cuda" or phase.microbatch_tokens == "auto"
        return 1 if found else max(1, CPU_TOKENS // row_tokens)

    @property
    def loader_workers(self) -> int:
        """Processes that make batches: one beside a GPU, which would wait for them; none on a CPU, where making a row takes
        less than a thousandth of training on it."""
        return 1 if self.device.type == "cuda" else 0


def train_phase(
    *,
    recipe: Recipe,
    phase: Phase,
    stream: BatchStream,
    start: Path,
    run: RunDirectory,
    progress: Progress,
    evaluate: Evaluate | None = None,
    fits: Fits | None = None,
) -> dict[str, Any]:
    """Train one phase and write `checkpoints/<phase>/final`; a phase that was stopped continues.

    Every rank calls it with the same arguments; rank 0 writes.

    Args:
        recipe: the recipe.
        phase: the phase of it.
        stream: its batches.
        start: the checkpoint that it starts from (the phase before, or the initial model).
        run: the run's folder.
        progress: told of every step.
        evaluate: what `evaluate_every` runs.
        fits: what the plan has room for, said where memory runs out.

    Returns:
        What run.json keeps: tokens, steps, seconds, tokens per second, smoothed loss and accuracy at the end, epochs per
        source, backend and why, device, precision, thetas, warnings.

    Raises:
        RunInterrupted: SIGTERM, SIGINT or SIGHUP came; a checkpoint was written.
        DataError: the loss is not a number, memory ran out, or a checkpoint does not fit or cannot be written.
        RankLost: another rank is gone.
    """
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    progress.start(phase.name, phase.tokens, "tokens")
    trainer_class = _import_composer()
    for number, handler in handlers.items():
        signal.signal(number, handler)  # importing Composer puts its own in place, which exit without saving

    from rexplug.engine.callbacks import Steps, StopRequest
    from rexplug.engine.composer_model import PackedMaskedLM
    from rexplug.engine.loader import data_spec
    from rexplug.engine.loggers import make_loggers
    from rexplug.engine.optimizers.factory import make_optimizer, take_over
    from rexplug.engine.sharding import Whole, choose_parallel, memory_of, shard

    leads = distributed.rank() == 0
    distributed.connect()
    machine = Machine.find(recipe)
    folder = run.checkpoints / phase.name
    metrics = MetricsFile(run.metrics, progress)
    if leads:
        checkpoints.clear_leftovers(folder)
    newest: Path | None = distributed.broadcast(checkpoints.newest(folder, progress.note) if leads else None)
    if newest is None:
        require_intact(
            start, f"it is what phase '{phase.name}' starts from; --from the stage that made it makes it again"
        )

    def memory(row_tokens: int) -> AbstractContextManager[None]:
        at_a_time, room = machine.rows_at_a_time(phase, row_tokens), memory_of(machine.device)
        return enough_memory(phase, row_tokens, at_a_time, machine.device, room, fits)

    stream = choose_rows(
        phase, stream, start=newest or start, run=run, progress=progress, device=machine.device,
        precision=machine.precision, backend=machine.backend, too_large=lambda: memory(phase.context),
        room=lambda: fits(memory_of(machine.device), machine.device.type == "cuda") if fits is not None else None,
    )  # fmt: skip
    model = load_model(newest or start)
    previous = checkpoints.read_state(start) if (start / "state.json").exists() else None
    notes = []
    if newest is None and (recipe.model.from_ is not None or previous is not None):
        notes += theta_warnings(thetas(model), context=phase.context, phase=phase.name, **phase.rope.model_dump())
    _check_rope(model, phase)
    set_rope(model, global_theta=phase.rope.global_theta, local_theta=phase.rope.local_theta)
    use_packed_attention(model, machine.residual(recipe))
    model.to(machine.device)
    parallel, reason = distributed.broadcast(
        choose_parallel(recipe.model.parallel, model.num_parameters(), machine.device, distributed.world())
    )
    wrapped = PackedMaskedLM(model, len(stream.sources), machine.backend)
    shell = None
    if parallel == "fsdp":
        shell = Whole.shell_of(model)
        shard(wrapped, machine.device)
    if machine.compiled:
        compile_layers(model)
    optimizer = make_optimizer(model, phase)
    whole = Whole(model, optimizer, shell)
    position, step, seconds, figures, due = stream.start, 0, 0.0, {}, False
    if newest is not None:
        state = checkpoints.read_state(newest)
        position, step, seconds, figures = Position.from_json(state.position), state.step, state.seconds, state.figures
        due = state.due
        _restore(optimizer, newest, take_over)
        notes += jumps(phase, stream, state)
        progress.note(f"  {phase.name} goes on after step {step} ({position.tokens:,} of {phase.tokens:,} tokens)")
    elif previous is not None:
        notes += _carry(phase, previous, optimizer, start, take_over)
    for note in notes:
        progress.note(f"  warning: {note}")
    if leads:
        metrics.cut(phase.name, step)
    processes = "" if distributed.world() == 1 else f", {distributed.world()} processes with {parallel} ({reason})"
    # On a CPU nobody expects compiled layers.
    said = machine.compiled or machine.device.type == "cuda"
    compiled = f", {'' if machine.compiled else 'not '}compiled ({machine.why_compiled})" if said else ""
    progress.note(
        f"  {phase.name}: {phase.tokens:,} tokens at {phase.context:,}, attention '{machine.backend}' ({machine.why}), "
        f"{machine.device.type}, {machine.precision}{compiled}{processes}"
    )
    progress.start(phase.name, phase.tokens, "tokens")
    if position.tokens:
        progress.update(position.tokens)

    total_before = previous.total_tokens if previous else 0
    saver = Saver(phase, folder, progress)

    def state_of(steps: Steps, on_grid: bool) -> State:
        return State(
            phase.name, steps.step, steps.tokens, total_before + steps.tokens, steps.seconds, steps.last_position,
            phase.optimizer.use, decayed=phase.learning_rate.decays and steps.tokens >= phase.tokens,
            figures=dict(steps.smoothed.values), grid=on_grid, due=steps.due,
            learning_rate=learning_rate_at(phase, steps.tokens), shares=shares_at(stream, steps.tokens),
        )  # fmt: skip

    def save(steps: Steps, on_grid: bool) -> None:
        weights, moments = whole.weights(), whole.moments()  # of all ranks
        if leads:
            saver.save(state_of(steps, on_grid), weights, moments)

    def evaluate_now(steps: Steps) -> None:
        weights = whole.weights()
        if leads and evaluate is not None:
            with saver.copy(weights) as copied:
                evaluate(copied, steps.tokens)
            progress.start(phase.name, phase.tokens, "tokens")
            progress.update(min(steps.tokens, phase.tokens))
        distributed.broadcast(None)  # the others wait, however long it takes

    steps = Steps(
        phase=phase,
        sources=stream.sources,
        rate_at=lambda tokens: learning_rate_at(phase, tokens),
        metrics=metrics if leads else None,
        progress=progress,
        save=save,
        late=saver.late,
        evaluate=evaluate_now,
        stop=StopRequest(),
        names=lambda pairs: [stream.stores[stream.sources[source]].ids([document])[0] for source, document in pairs],
        speed=Speed(model.config, machine.device, machine.precision, distributed.world()),
        total_before=total_before,
        step=step,
        tokens=position.tokens,
        seconds=seconds,
        smoothed=Smoothed(dict(figures)),
        last_position=position.to_json(),
        compiles=machine.compiled,
    )
    if due and evaluate is not None:
        evaluate_now(steps)
    model.train()
    if not stream.done(position):
        folder.mkdir(parents=True, exist_ok=True)
        log = PositionLog(folder / POSITIONS, stream, step) if leads else nullcontext()
        with (
            steps.stop.listening(),
            _other_ranks(),
            memory(stream.row_tokens),
            matrix_products(machine.precision),
            log as positions,
        ):
            steps.positions = positions
            trainer = trainer_class(
                model=wrapped,
                train_dataloader=data_spec(
                    stream, position, distributed.rank(), distributed.world(), machine.loader_workers
                ),
                optimizers=optimizer,
                max_duration=f"{phase.tokens - position.tokens}tok",
                device=composer_device(machine.device, tf32=machine.precision == "tf32"),
                precision="amp_bf16" if machine.precision == "bf16" else "fp32",
                callbacks=[steps],
                loggers=make_loggers(recipe, phase.name, run) if leads else [],
                progress_bar=False,
                log_to_console=False,
                device_train_microbatch_size=machine.rows_at_a_time(phase, stream.row_tokens),
                accumulate_train_batch_on_tokens=True,
                seed=recipe.seed_of_training,
                run_name=f"{recipe.name}-{phase.name}",
            )
            trainer.fit()
            trainer.close()
            if steps.stopped and not stream.done(Position.from_json(steps.last_position)):
                raise RunInterrupted(
                    f"stopped in phase '{phase.name}' after step {steps.step} ({steps.tokens:,} of {phase.tokens:,} tokens); "
                    "saved; the same command goes on from here"
                )
    if "loss" not in steps.smoothed.values:
        raise DataError(
            f"phase '{phase.name}' ended without a single step: every batch was passed over; the warnings above say why"
        )
    final = folder / FINAL
    # A phase that was lengthened goes on from its final checkpoint and leaves a new one.
    if newest != final or steps.step > step:
        weights, moments = whole.weights(), whole.moments()
        if leads:
            saver.finish(state_of(steps, False), weights, moments)
    distributed.broadcast(None)  # nobody reads the final checkpoint before it is there
    if steps.stopped:
        raise RunInterrupted(f"stopped at the end of phase '{phase.name}'; saved; the same command goes on from here")
    drawn = Position.from_json(steps.last_position)
    epochs = {
        # Samples that were passed over for now have not been seen.
        name: round((draws - sum(source == i for source, _ in drawn.waiting)) / max(1, size), 3)
        for i, (name, draws, size) in enumerate(zip(stream.sources, drawn.draws, stream.epoch_samples(), strict=True))
    }
    return {
        "tokens": steps.tokens, "steps": steps.step, "seconds": round(steps.seconds, 2),
        "tokens_per_second": round(steps.tokens / max(1e-9, steps.seconds), 1),
        "loss": steps.smoothed.values["loss"], "accuracy": steps.smoothed.values["accuracy"], "epochs": epochs,
        "context": phase.context, "microbatch_tokens": stream.row_tokens, "backend": machine.backend, "why": machine.why,
        "device": machine.device.type,
        "device_name": torch.cuda.get_device_name(machine.device) if machine.device.type == "cuda" else "",
        "precision": machine.precision, "compiled": machine.compiled, "threads": torch.get_num_threads(),
        "processes": distributed.world(), "parallel": parallel, "rope_theta": thetas(model),
        "checkpoint": str(final), "warnings": notes,
    }  # fmt: skip


@contextmanager
def _other_ranks() -> Iterator[None]:
    """Say in one sentence that another rank is gone, which the communication library says in many."""
    try:
        yield
    except RuntimeError as error:
        lost = any(word in str(error) for word in ("gloo", "Connection", "NCCL", "nccl", "ProcessGroup"))
        if distributed.world() == 1 or not lost:
            raise
        raise RankLost(
            f"rank {distributed.rank()} lost another rank and ends; the same command goes on from the last checkpoint"
        ) from None


def _restore(optimizer: torch.optim.Optimizer, checkpoint: Path, take_over: Callable[..., None]) -> None:
    """Take the moments of a checkpoint over.

    Raises:
        DataError: they are those of another model or optimizer.
    """
    moments = checkpoints.read_optimizer(checkpoint)
    try:
        take_over(optimizer, moments)
    except (ValueError, LookupError, TypeError, AttributeError, RuntimeError) as error:
        raise DataError(
            f"{checkpoint / 'optimizer.pt'} does not fit this model and optimizer ({type(error).__name__}: {error}); remove "
            f"{checkpoint} to go on from what is before it"
        ) from None


def _carry(
    phase: Phase, previous: State, optimizer: torch.optim.Optimizer, start: Path, take_over: Callable[..., None]
) -> list[str]:
    """Take the moments of the phase before over, if they are asked for and fit; returns warnings."""
    notes = []
    if previous.decayed and phase.learning_rate.decays:
        notes.append(
            f"phase '{phase.name}' lowers the learning rate again although '{previous.phase}' before it ended decayed; "
            "a decay works best from a checkpoint at full rate"
        )
    if phase.carry == "optimizer" and previous.optimizer == phase.optimizer.use:
        _restore(optimizer, start, take_over)
    elif phase.carry == "optimizer":
        notes.append(
            f"phase '{phase.name}' uses {phase.optimizer.use}, '{previous.phase}' used {previous.optimizer}: "
            "the optimizer starts anew"
        )
    return notes


@contextmanager
def matrix_products(precision: str) -> Iterator[None]:
    """Let fp32 products on a GPU round to TF32 where the recipe asks for it, and nowhere else.

    The switch is the process's, so it is set back: evaluations in fp32 before and after a phase must agree.
    """
    flags: tuple[Any, ...] = (torch.backends.cuda.matmul, torch.backends.cudnn)
    before = [flag.allow_tf32 for flag in flags]
    for flag in flags:
        flag.allow_tf32 = precision == "tf32"
    try:
        yield
    finally:
        for flag, value in zip(flags, before, strict=True):
            flag.allow_tf32 = value


def composer_device(device: torch.device, *, tf32: bool) -> Any:
    """Composer's device; made from a name it would let fp32 products round to TF32."""
    from composer.devices import DeviceCPU, DeviceGPU

    return DeviceGPU(device.index, allow_tf32=tf32) if device.type == "cuda" else DeviceCPU()


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
