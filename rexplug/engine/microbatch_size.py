"""How many tokens a device takes at a time: found by trying, remembered for the phase, and said when they were too many."""

from __future__ import annotations

import gc
import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from rexplug import distributed
from rexplug.batches import BatchStream
from rexplug.errors import DataError, RankLost
from rexplug.io.atomic import write_json
from rexplug.model.attention import use_packed_attention
from rexplug.model.build import load_model
from rexplug.phase_stream import ROWS, remembered_rows
from rexplug.progress import Progress
from rexplug.recipe.schema import Phase
from rexplug.run_directory import RunDirectory

CPU_TOKENS = 8192
"""Tokens that a CPU takes at a time at least, where the batch has as many; more gain nothing."""
GPU_TOKENS = 65_536
"""Tokens that a GPU takes at a time at least, where the batch has as many and memory does not forbid."""
_BASE_SIZE = 22 * 768
"""Layers times width of the base model."""
_SHARE = 0.9
"""Share of a GPU's memory that a microbatch may fill when it is tried, and share of the tokens tried on a CPU that are then taken:
later ones are cut into pieces of other sizes."""

Fits = Callable[[float, bool], int | None]
"""Tokens of the largest microbatch that the plan has room for on a device with so many bytes, a GPU or not; None if unknown."""

_SAYINGS = (
    "out of memory", "can't allocate memory", "annot allocate memory", "bad_alloc", "_STATUS_ALLOC_FAILED",
    "could not create a primitive", "could not create a memory",
)  # fmt: skip
"""torch, the system, C++, cuBLAS and cuDNN, oneDNN."""


def ran_out_of_memory(error: BaseException) -> bool:
    """Whether an allocation failed: torch and the libraries below it have a word each for that."""
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or (
        isinstance(error, RuntimeError) and any(each in str(error) for each in _SAYINGS)
    )


@contextmanager
def enough_memory(
    phase: Phase, tokens: int, at_a_time: int, device: torch.device, memory: float, fits: Fits | None
) -> Iterator[None]:
    """Say what would fit where memory runs out in a phase.

    Args:
        phase: the phase.
        tokens: those of a row.
        at_a_time: rows that are taken at a time.
        device: where it trains.
        memory: bytes of the device.
        fits: what the plan has room for.

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
    most = fits(memory, device.type == "cuda") if fits is not None else None
    key = f"phases.{phase.name}.microbatch_tokens"
    if tokens <= phase.context and at_a_time == 1:
        cure = "no row holds less than `context` tokens; take a shorter context, a smaller model or another device"
    elif most is not None and most < phase.context:
        cure = (
            f"by the plan a device of that size has room for {most:,} tokens, which is less than `context` "
            f"({phase.context:,}); take a shorter context, a smaller model or another device"
        )
    elif phase.microbatch_tokens == "auto":
        cure = f"do the phase again with what fits now (--from train.{phase.name})"
    elif most is None or most >= tokens:  # something else is on the device, or the plan is off
        cure = f"set {key} to {max(phase.context, tokens // 2):,}, or to auto, which finds what fits"
    else:
        cure = f"by the plan {most:,} fit: set {key} to that or less, or to auto, which finds what fits"
    if at_a_time > 1 or (device.type == "cpu" and phase.microbatch_tokens != "auto" and tokens <= CPU_TOKENS):
        cure = f"set {key} to auto, which finds what fits: a CPU takes several rows at a time otherwise"
    raise DataError(
        f"phase '{phase.name}' ran out of memory on the {_name(device)} ({memory / 2**30:.1f} GiB) with microbatch_tokens of "
        f"{tokens:,} ({reason}); {cure}"
    )


def _name(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU"


def choose_rows(
    phase: Phase,
    stream: BatchStream,
    *,
    start: Path,
    run: RunDirectory,
    progress: Progress,
    device: torch.device,
    precision: str,
    backend: str,
    too_large: Callable[[], Any],
    room: Callable[[], int | None] = lambda: None,
) -> BatchStream:
    """The stream with the rows that this phase trains on.

    Which tokens lie in a row decides masks and rounding, so a phase keeps its rows once they were chosen: what `auto` finds,
    and what a GPU takes where the recipe names no rows, lies beside the phase's checkpoints. Rank 0 looks for all.

    Args:
        phase: the phase.
        stream: its batches, in rows of any size if the phase leaves that to us.
        start: the checkpoint with the weights that the trial takes.
        run: the run's folder.
        progress: told what was found.
        device: where it trains.
        precision: `fp32` or `bf16`.
        backend: of attention.
        too_large: makes the context in which an attempt with the least possible row is made.
        room: tokens that fit by the plan; None if unknown.

    Raises:
        DataError: not even a row of one sample fits.
    """
    if isinstance(phase.microbatch_tokens, int) or (phase.microbatch_tokens is None and device.type != "cuda"):
        return stream
    found: int | None = None
    if distributed.rank() == 0:
        found = remembered_rows(phase, run)
        if found is None and phase.microbatch_tokens is None:
            # A phase that began elsewhere without rows of its own goes on with those it has.
            begun = any((run.checkpoints / phase.name).glob("step-*"))
            shape = json.loads((start / "config.json").read_text(encoding="utf-8"))
            size = int(shape["num_hidden_layers"]) * int(shape["hidden_size"])
            found = stream.row_tokens if begun else rows_of_gpu(phase, size, distributed.world(), room())
            write_json(run.checkpoints / phase.name / ROWS, {"microbatch_tokens": found})
            progress.note(f"  {phase.name}: rows of {found:,} tokens on the {_name(device)} (microbatch_tokens)")
        elif found is None:
            found = _largest(phase, stream, start, device, precision, backend, too_large)
            write_json(run.checkpoints / phase.name / ROWS, {"microbatch_tokens": found})
            progress.note(f"  {phase.name}: microbatch_tokens of {found:,} fit on the {_name(device)}")
    found = distributed.broadcast(found)
    if found is None:
        raise RankLost(f"rank {distributed.rank()} ends, since rank 0 did before the phase began")
    return replace(stream, row_tokens=found)


def rows_of_gpu(phase: Phase, size: int, world: int, room: int | None) -> int:
    """Tokens of a row on a GPU where the recipe leaves it to us.

    Python takes some 2 ms a layer and row to ask for its kernels, so short rows leave a GPU waiting: rows of 65,536 tokens are
    enough for a base model, a model of a tenth its work a token wants four times as many (docs/benchmarks/gpu.md).

    Args:
        phase: the phase; a row holds at least a sample of it and at most a rank's part of a batch.
        size: layers times width of the model.
        world: ranks.
        room: tokens that fit by the plan; None if unknown.
    """
    wanted = GPU_TOKENS * min(4, max(1, _BASE_SIZE // size))
    while room is not None and wanted > room:
        wanted //= 2
    return max(phase.context, min(wanted, phase.batch_tokens // world))


def _largest(
    phase: Phase,
    stream: BatchStream,
    start: Path,
    device: torch.device,
    precision: str,
    backend: str,
    too_large: Callable[[], Any],
) -> int:
    from rexplug.engine.composer_model import PackedMaskedLM

    model = load_model(start)
    use_packed_attention(model)
    model.to(device).train()
    # The two moments, and the gradients on their way to other ranks, if there are any.
    beside = [torch.zeros_like(each) for each in model.parameters() for _ in range(2 + (distributed.world() > 1))]
    wrapped = PackedMaskedLM(model, len(stream.sources), backend)
    tokens = phase.batch_tokens // distributed.world()
    if device.type == "cpu":
        tokens = min(tokens, CPU_TOKENS)
    tokens = max(tokens, phase.context)
    try:
        while tokens > phase.context and not _takes(wrapped, stream, tokens, device, precision):
            tokens = max(tokens // 2, phase.context)
        if tokens == phase.context:
            with too_large():
                _attempt(wrapped, stream, tokens, device, precision)
    finally:
        del beside, model, wrapped
        _release(device)
    return tokens


def _takes(wrapped: Any, stream: BatchStream, tokens: int, device: torch.device, precision: str) -> bool:
    try:
        _attempt(wrapped, stream, tokens, device, precision)
    except (RuntimeError, MemoryError) as error:
        if not ran_out_of_memory(error):
            raise
        return False
    finally:
        wrapped.zero_grad(set_to_none=True)
        wrapped.reset()
        _release(device)
    return True


def _attempt(wrapped: Any, stream: BatchStream, tokens: int, device: torch.device, precision: str) -> None:
    if device.type == "cuda":
        _two_passes(wrapped, stream, tokens, device, precision)
        return
    # oneDNN keeps its workspace by thread, and after an allocation that failed there is no use in that any more.
    with ThreadPoolExecutor(1) as pool:
        pool.submit(_two_passes, wrapped, stream, int(tokens / _SHARE), device, precision).result()


def _two_passes(wrapped: Any, stream: BatchStream, tokens: int, device: torch.device, precision: str) -> None:
    """Two passes forward and backward on a row of so many tokens; gradients stay from the first, as they do in training."""
    from rexplug.engine.loader import to_tensors

    of_one_row = replace(stream, row_tokens=tokens, batch_tokens=lambda _: tokens, total_tokens=2 * tokens)
    microbatch = {"rows": to_tensors(*of_one_row.next(of_one_row.start))["rows"][:1]}
    if device.type == "cuda":
        torch.cuda.set_per_process_memory_fraction(_SHARE, device)
    try:
        for _ in range(2):
            with torch.autocast(device.type, torch.bfloat16) if precision == "bf16" else nullcontext():
                loss = wrapped.loss(wrapped(microbatch), microbatch)
            loss.backward()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
    finally:
        if device.type == "cuda":
            torch.cuda.set_per_process_memory_fraction(1.0, device)


def _release(device: torch.device) -> None:
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()
