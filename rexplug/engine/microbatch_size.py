"""How many tokens a device takes at a time: chosen or tried once per phase, kept with it, and explained if memory runs out."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from rexplug import distributed
from rexplug.batches import BatchStream
from rexplug.engine.hardware import Hardware
from rexplug.errors import DataError, RankLost
from rexplug.io.atomic import write_json
from rexplug.model.build import load_model
from rexplug.model.config_file import ConfigFile
from rexplug.model.family import SIZES
from rexplug.model.packed import use_packed_attention
from rexplug.optimizers import OPTIMIZERS
from rexplug.phase_stream import ROWS, chosen_row_tokens
from rexplug.progress import Progress
from rexplug.recipe.schema import Phase
from rexplug.run_directory import RunDirectory
from rexplug.training_defaults import CPU_TOKENS, GPU_TOKENS

_BASE_SIZE = SIZES["base"].layers * SIZES["base"].hidden
"""Layers times width of the base model."""
_TRIAL_SHARE = 0.9
"""Share of a GPU's memory that a microbatch may fill when it is tried, and share of the tokens tried on a CPU that are then taken:
later microbatches consist of samples of other lengths."""

TokensThatFit = Callable[[float, bool], int | None]
"""Tokens of the largest microbatch that the plan has room for on a device with so many bytes, a GPU or not; None if unknown."""

_ALLOCATION_ERRORS = (
    "out of memory", "can't allocate memory", "annot allocate memory", "bad_alloc", "_STATUS_ALLOC_FAILED",
    "could not create a primitive", "could not create a memory",
)  # fmt: skip
"""Messages of torch, the operating system, C++, cuBLAS and cuDNN, oneDNN."""


def ran_out_of_memory(error: BaseException) -> bool:
    """Whether an error means that an allocation failed, in torch or in a library below it."""
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or (
        isinstance(error, RuntimeError) and any(message in str(error) for message in _ALLOCATION_ERRORS)
    )


@contextmanager
def explain_out_of_memory(
    phase: Phase, hardware: Hardware, tokens_that_fit: TokensThatFit | None, row_tokens: int
) -> Iterator[None]:
    """Say what would fit if memory runs out inside the context.

    Args:
        phase: the phase that trains.
        hardware: what it trains on.
        tokens_that_fit: the plan's estimate of the largest microbatch.
        row_tokens: tokens of a row.

    Raises:
        DataError: memory ran out.
    """
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not ran_out_of_memory(error):
            raise
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
    else:
        return
    raise DataError(
        f"phase '{phase.name}' ran out of memory on the {hardware.device_name} ({hardware.memory / 2**30:.1f} GiB) with "
        f"microbatch_tokens of {row_tokens:,} ({reason}); {_cure(phase, hardware, tokens_that_fit, row_tokens)}"
    )


def _cure(phase: Phase, hardware: Hardware, tokens_that_fit: TokensThatFit | None, row_tokens: int) -> str:
    """What to change so that the phase fits into memory."""
    planned = _planned(hardware, tokens_that_fit)
    several_rows = hardware.rows_per_microbatch(phase, row_tokens) > 1
    by_default = not hardware.on_gpu and phase.microbatch_tokens != "auto" and row_tokens <= CPU_TOKENS
    key = f"phases.{phase.name}.microbatch_tokens"
    if several_rows or by_default:
        return f"set {key} to auto, which finds what fits: a CPU takes several rows at a time otherwise"
    if row_tokens <= phase.context:
        return "no row holds less than `context` tokens; take a shorter context, a smaller model or another device"
    if planned is not None and planned < phase.context:
        return (
            f"by the plan a device of that size has room for {planned:,} tokens, which is less than `context` "
            f"({phase.context:,}); take a shorter context, a smaller model or another device"
        )
    if phase.microbatch_tokens == "auto":
        return f"do the phase again with what fits now (--from train.{phase.name})"
    if planned is None or planned >= row_tokens:  # something else is on the device, or the plan is off
        return f"set {key} to {max(phase.context, row_tokens // 2):,}, or to auto, which finds what fits"
    return f"by the plan {planned:,} fit: set {key} to that or less, or to auto, which finds what fits"


def _planned(hardware: Hardware, tokens_that_fit: TokensThatFit | None) -> int | None:
    return None if tokens_that_fit is None else tokens_that_fit(hardware.memory, hardware.on_gpu)


def choose_row_tokens(
    phase: Phase,
    stream: BatchStream,
    hardware: Hardware,
    *,
    start: Path,
    run: RunDirectory,
    progress: Progress,
    tokens_that_fit: TokensThatFit | None,
) -> BatchStream:
    """The stream with rows of the size that this phase trains on.

    Which tokens share a row decides masks and rounding, so a phase keeps its row size: what `auto` finds, and what a GPU takes
    where the recipe names no size, is written beside the phase's checkpoints. Rank 0 decides for all.

    Args:
        phase: the phase.
        stream: its batches, in rows of any size if the recipe names none.
        hardware: what it trains on.
        start: the checkpoint whose weights a trial takes.
        run: the run directory.
        progress: receives what was chosen.
        tokens_that_fit: the plan's estimate of the largest microbatch.

    Raises:
        DataError: not even a row of one sample fits.
        RankLost: rank 0 ended before it decided.
    """
    if isinstance(phase.microbatch_tokens, int) or (phase.microbatch_tokens is None and not hardware.on_gpu):
        return stream
    row_tokens: int | None = None
    if distributed.rank() == 0:
        row_tokens = chosen_row_tokens(phase, run)
        if row_tokens is None:
            tried = phase.microbatch_tokens == "auto"
            if tried:
                row_tokens = _largest_that_fits(phase, stream, start, hardware, tokens_that_fit)
            elif any((run.checkpoints / phase.name).glob("step-*")):
                row_tokens = stream.row_tokens  # the phase began on a CPU, and keeps its rows
            else:
                row_tokens = gpu_row_tokens(
                    phase, _model_size(start), distributed.world_size(), _planned(hardware, tokens_that_fit)
                )
            write_json(run.checkpoints / phase.name / ROWS, {"microbatch_tokens": row_tokens})
            progress.note(
                f"  {phase.name}: microbatch_tokens of {row_tokens:,}{' fit' if tried else ''} on the {hardware.device_name}"
            )
    row_tokens = distributed.broadcast(row_tokens)
    if row_tokens is None:
        raise RankLost(f"rank {distributed.rank()} ends, since rank 0 did before the phase began")
    return replace(stream, row_tokens=row_tokens)


def _model_size(checkpoint: Path) -> int:
    """Layers times width of a checkpoint's model."""
    shape = ConfigFile.read(checkpoint / "config.json").shape
    return shape.layers * shape.hidden


def gpu_row_tokens(phase: Phase, model_size: int, world_size: int, planned: int | None) -> int:
    """Tokens of a row on a GPU where the recipe names none.

    Python takes some 2 ms per layer and row to launch its kernels, so short rows leave a GPU idle: rows of 65,536 tokens are
    enough for a base model, a model of a tenth its work per token needs four times as many (see the GPU benchmarks in docs).

    Args:
        phase: the phase; a row holds at least a sample of it and at most a rank's part of a batch.
        model_size: layers times width of the model.
        world_size: number of ranks.
        planned: tokens that fit by the plan; None if unknown.
    """
    row_tokens = GPU_TOKENS * min(4, max(1, _BASE_SIZE // model_size))
    while planned is not None and row_tokens > planned:
        row_tokens //= 2
    return max(phase.context, min(row_tokens, phase.batch_tokens // world_size))


def _largest_that_fits(
    phase: Phase, stream: BatchStream, start: Path, hardware: Hardware, tokens_that_fit: TokensThatFit | None
) -> int:
    """Try rows of half the size each time, from a rank's part of the batch on, until one trains."""
    from rexplug.engine.composer_model import PackedMaskedLM

    device, world_size = hardware.device, distributed.world_size()
    model = load_model(start)
    use_packed_attention(model)
    model.to(device).train()
    # As large as the optimizer state; gradients take no more with DDP, whose buckets hold the gradients themselves.
    copies = len(OPTIMIZERS[phase.optimizer.use].moments)
    reserved = [torch.zeros_like(parameter) for parameter in model.parameters() for _ in range(copies)]
    wrapped = PackedMaskedLM(model, len(stream.sources), hardware.backend, precision=hardware.precision)
    tokens = phase.batch_tokens // world_size
    if not hardware.on_gpu:
        tokens = min(tokens, CPU_TOKENS)
    tokens = max(tokens, phase.context)
    try:
        while tokens > phase.context and not _fits(wrapped, stream, tokens, hardware):
            tokens = max(tokens // 2, phase.context)
        if tokens == phase.context:
            with explain_out_of_memory(phase, hardware, tokens_that_fit, phase.context):
                _try_row(wrapped, stream, tokens, hardware)
    finally:
        del reserved, model, wrapped
        _free_memory(device)
    return tokens


def _fits(wrapped: Any, stream: BatchStream, tokens: int, hardware: Hardware) -> bool:
    """Whether a row of so many tokens trains without running out of memory."""
    try:
        _try_row(wrapped, stream, tokens, hardware)
    except (RuntimeError, MemoryError) as error:
        if not ran_out_of_memory(error):
            raise
        return False
    finally:
        wrapped.zero_grad(set_to_none=True)
        wrapped.reset()
        _free_memory(hardware.device)
    return True


def _try_row(wrapped: Any, stream: BatchStream, tokens: int, hardware: Hardware) -> None:
    if hardware.on_gpu:
        _two_passes(wrapped, stream, tokens, hardware)
        return
    # oneDNN keeps its workspace per thread, and after an allocation that failed it cannot be used any more.
    with ThreadPoolExecutor(1) as pool:
        pool.submit(_two_passes, wrapped, stream, int(tokens / _TRIAL_SHARE), hardware).result()


def _two_passes(wrapped: Any, stream: BatchStream, tokens: int, hardware: Hardware) -> None:
    """Two forward and backward passes on a row of so many tokens; gradients of the first are kept, as they are in training."""
    from rexplug.engine.loader import to_tensors

    device = hardware.device
    one_row = replace(stream, row_tokens=tokens, batch_tokens=lambda _: tokens, total_tokens=2 * tokens)
    microbatch = {"rows": to_tensors(*one_row.next(one_row.start))["rows"][:1]}
    if hardware.on_gpu:
        torch.cuda.set_per_process_memory_fraction(_TRIAL_SHARE, device)
    try:
        for _ in range(2):
            wrapped.loss(wrapped(microbatch), microbatch).backward()
        if hardware.on_gpu:
            torch.cuda.synchronize(device)
    finally:
        if hardware.on_gpu:
            torch.cuda.set_per_process_memory_fraction(1.0, device)


def _free_memory(device: torch.device) -> None:
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()
