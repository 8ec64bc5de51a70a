"""Estimates the memory of a training process, part by part; docs/explanations/plan.md derives the formulas."""

from __future__ import annotations

from dataclasses import dataclass

from rexplug.model.layout import EncoderShape
from rexplug.optimizers import FP32_BYTES, OPTIMIZERS
from rexplug.planning.phases import PlannedPhase, make_plan
from rexplug.recipe import Recipe
from rexplug.run_directory import RunDirectory
from rexplug.training_defaults import CPU_TOKENS, FSDP_MEMORY_SHARE, LOGITS_CPU, LOGITS_FUSED, loss_chunk

GIB = 2**30
_CONTEXT_GPU = 0.6 * GIB
"""CUDA's context on a GPU, and libraries' workspaces."""
_PROCESS_CPU = 0.85 * GIB
"""Python with torch, transformers and Composer loaded."""
_ALLOCATOR_FACTOR = 1.1
"""What an allocator takes relative to what is requested of it."""


@dataclass(frozen=True)
class Memory:
    """Peak bytes of one process, or of one GPU, while it trains a phase; `tokens` are those of a microbatch."""

    device: str
    tokens: int
    weights: float
    gradients: float
    moments: float
    copies: float
    """Half-precision copies of weights, weights that FSDP gathers; on a CPU also temporaries of the optimizer as far as they
    are larger than activations and logits, which are freed before its step."""
    activations: float
    logits: float
    process: float

    @property
    def total(self) -> float:
        """Peak bytes of all parts."""
        model = self.weights + self.gradients + self.moments + self.copies
        return (model + self.activations + self.logits) * _ALLOCATOR_FACTOR + self.process

    @property
    def per_token(self) -> float:
        """Bytes that one more token of a microbatch takes."""
        return self.activations * _ALLOCATOR_FACTOR / self.tokens

    def tokens_that_fit(self, room: float) -> int:
        """Tokens of the largest microbatch that a device with `room` bytes takes; 0 if not even the model fits."""
        left = room - (self.total - self.activations * _ALLOCATOR_FACTOR)
        return max(0, int(left / self.per_token))


def tokens_that_fit(
    recipe: Recipe, phase: str, run: RunDirectory, room: float, *, gpu: bool, processes: int = 1
) -> int | None:
    """Tokens of the largest microbatch of a phase that a device with `room` bytes takes; None if the model's shape is unknown."""
    plan = make_plan(recipe, run)
    if plan.shape is None or plan.rows is None:
        return None
    planned = next(candidate for candidate in plan.phases if candidate.name == phase)
    return training_memory(
        plan.shape, plan.rows, planned, gpu=gpu, processes=processes, parallel=plan.parallel, room=room
    ).tokens_that_fit(room)


def is_sharded(parallel: str, needed: float, room: float | None, processes: int) -> bool:
    """Whether ranks hold shards of the model (FSDP) and not copies of it (DDP).

    Args:
        parallel: the recipe's `model.parallel`.
        needed: bytes of weights, gradients and moments of the whole model.
        room: bytes of a device; None if unknown.
        processes: number of ranks.
    """
    if processes == 1 or parallel != "auto":
        return processes > 1 and parallel == "fsdp"
    return room is not None and needed > FSDP_MEMORY_SHARE * room


def training_memory(
    shape: EncoderShape,
    rows: int,
    phase: PlannedPhase,
    *,
    gpu: bool,
    processes: int = 1,
    parallel: str = "auto",
    room: float | None = None,
) -> Memory:
    """Memory of a phase: fp32 weights, gradients and moments; activations in bf16 on a GPU, in fp32 on a CPU.

    Args:
        shape: of the model.
        rows: of its embedding.
        phase: what is trained.
        gpu: whether on GPUs.
        processes: number of ranks.
        parallel: how they hold the model, as in a recipe.
        room: bytes of a device, by which `auto` chooses; None if unknown, which means a copy for each rank.
    """
    parameters, hidden = shape.parameters(rows), shape.hidden
    optimizer = OPTIMIZERS[phase.optimizer]
    sharded = is_sharded(parallel, optimizer.training_bytes * parameters, room, processes)
    held = parameters / processes if sharded else float(parameters)
    device = "gpu" if gpu else "cpu"
    if gpu:
        tokens = phase.row_tokens
        copies = 2 * held
        # Half-precision logits, which a kernel turns into their gradient in place.
        max_logits, bytes_per_logit, process = LOGITS_FUSED, 2, _CONTEXT_GPU
    else:
        tokens = max(phase.row_tokens, min(CPU_TOKENS, phase.batch_tokens[-1]))
        copies = 2 * 4 * held
        max_logits, bytes_per_logit, process = LOGITS_CPU, 12, _PROCESS_CPU
    if sharded:
        # Embedding and head, gathered in fp32 with their gradient; two layers in the format of products, with the gradients of
        # one, which are summed in fp32.
        layer, size = shape.without_embedding / shape.layers, 2 if gpu else FP32_BYTES
        copies = 2 * FP32_BYTES * (parameters - shape.without_embedding) + (3 * size + FP32_BYTES) * layer
    masked = max(1.0, phase.masked * tokens)
    chunk = min(loss_chunk(max_logits, rows), masked) * rows
    # The gradient of the decoder's weights: beside a chunk in the forward pass, and twice at the start of the backward pass.
    decoder = FP32_BYTES * rows * hidden
    activations = float(tokens * (shape.activation_bytes(device) + 12 * hidden) + masked * 16 * hidden)
    logits = float(max(chunk * bytes_per_logit + decoder, 2 * decoder))
    if not gpu and not sharded:
        copies = max(0.0, copies - activations - logits)
    return Memory(
        device, tokens, FP32_BYTES * held, FP32_BYTES * held, optimizer.moment_bytes * held, float(copies), activations,
        logits, process,
    )  # fmt: skip
