"""How much memory a training process takes, part by part. docs/plan.md derives the formulas from what training holds.

T tokens of a microbatch, H width, I width of the GLU's half, V rows of the embedding, P parameters, m masked share.
"""

from __future__ import annotations

from dataclasses import dataclass

from rexplug.model.layout import EncoderShape
from rexplug.optimizers import FP32_BYTES, OPTIMIZERS
from rexplug.planning.phases import PlannedPhase, make_plan
from rexplug.recipe import Recipe
from rexplug.run_directory import RunDirectory
from rexplug.training_defaults import CPU_TOKENS, LOGITS_CPU, LOGITS_FUSED

GIB = 2**30
_CONTEXT_GPU = 0.6 * GIB
"""CUDA's own share of a GPU, and libraries' workspaces."""
_PROCESS_CPU = 0.85 * GIB
"""Python with torch, transformers and Composer loaded."""
_SPARE = 1.1
"""What an allocator takes beyond what is asked of it."""


@dataclass(frozen=True)
class Memory:
    """Peak bytes of one process, or of one GPU, while it trains a phase; `tokens` are those of a microbatch."""

    device: str
    tokens: int
    weights: float
    gradients: float
    moments: float
    copies: float
    """Half-precision copies of weights, buckets of gradients on their way to other ranks, temporaries of the optimizer."""
    activations: float
    logits: float
    process: float

    @property
    def total(self) -> float:
        """All of it."""
        model = self.weights + self.gradients + self.moments + self.copies
        return (model + self.activations + self.logits) * _SPARE + self.process

    @property
    def per_token(self) -> float:
        """Bytes that one more token of a microbatch takes."""
        return self.activations * _SPARE / self.tokens

    def tokens_that_fit(self, room: float) -> int:
        """Tokens of the largest microbatch that a device with `room` bytes takes; 0 if not even the model fits."""
        left = room - (self.total - self.activations * _SPARE)
        return max(0, int(left / self.per_token))


def tokens_that_fit(
    recipe: Recipe, phase: str, run: RunDirectory, room: float, *, gpu: bool, processes: int = 1
) -> int | None:
    """Tokens of the largest microbatch of a phase that a device with `room` bytes takes; None if the model's shape is unknown."""
    plan = make_plan(recipe, run)
    if plan.shape is None or plan.rows is None:
        return None
    planned = next(each for each in plan.phases if each.name == phase)
    return training_memory(plan.shape, plan.rows, planned, gpu=gpu, processes=processes).tokens_that_fit(room)


def training_memory(shape: EncoderShape, rows: int, phase: PlannedPhase, *, gpu: bool, processes: int = 1) -> Memory:
    """Memory of a phase: fp32 weights, gradients and moments; activations in bf16 on a GPU, in fp32 on a CPU.

    A layer keeps, per token, for its backward pass: on a GPU 17 H + 7 I bytes (as measured where layers are compiled, which
    computes some of it again: docs/plan.md), on a CPU 44 H + 16 I (residual stream, inputs of products, queries, keys
    and values, once more gathered by document, the attention's output, both halves of the GLU and its activation).
    """
    parameters = shape.parameters(rows)
    width, inner = shape.hidden, shape.intermediate
    if gpu:
        tokens = phase.row_tokens
        layer = 17 * width + 7 * inner
        copies = 2 * parameters + (4 * parameters if processes > 1 else 0)
        # Half-precision logits, which a kernel turns into their gradient in place.
        held, each, process = LOGITS_FUSED, 2, _CONTEXT_GPU
    else:
        tokens = max(phase.row_tokens, min(CPU_TOKENS, phase.batch_tokens[-1]))
        layer = 44 * width + 16 * inner
        copies = 2 * 4 * parameters
        held, each, process = LOGITS_CPU, 12, _PROCESS_CPU
    masked = max(1.0, phase.masked * tokens)
    chunk = min(held, masked * rows)
    return Memory(
        "gpu" if gpu else "cpu", tokens, float(FP32_BYTES * parameters), float(FP32_BYTES * parameters),
        float(OPTIMIZERS[phase.optimizer].moment_bytes * parameters), float(copies),
        float(tokens * (shape.layers * layer + 12 * width) + masked * 16 * width), float(chunk * each + 4 * rows * width),
        process,
    )  # fmt: skip
