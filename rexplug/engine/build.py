"""Builds what a phase trains: the model as Composer takes it, replicated or sharded over the ranks, and its optimizer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from rexplug import distributed
from rexplug.engine.composer_model import PackedMaskedLM
from rexplug.engine.initial import check_rope
from rexplug.engine.job import PhaseJob
from rexplug.engine.optimizers.factory import build_optimizer
from rexplug.engine.restore import Origin
from rexplug.engine.sharding import FullState, choose_parallel, meta_copy, shard
from rexplug.model.build import load_model
from rexplug.model.compile import compile_layers
from rexplug.model.packed import use_packed_attention
from rexplug.model.rope import set_rope, theta_warnings, thetas
from rexplug.optimizers import OPTIMIZERS


@dataclass(frozen=True)
class Trainee:
    """A model with its optimizer, ready to train."""

    model: Any
    """The masked language model, a `ModernBertForMaskedLM`."""
    composer_model: PackedMaskedLM
    """The same model as Composer trains it."""
    optimizer: torch.optim.Optimizer
    full_state: FullState
    """Gathers both from all ranks."""
    parallel: str
    """`none`, `ddp` or `fsdp`."""
    parallel_reason: str
    warnings: tuple[str, ...]


def build(job: PhaseJob, origin: Origin) -> Trainee:
    """Load the weights that a phase starts from, and prepare them for its options and this rank's hardware.

    Raises:
        DataError: the weights cannot be loaded, or do not suit the phase.
    """
    recipe, phase, hardware = job.recipe, job.phase, job.hardware
    model = load_model(origin.weights)
    warnings: list[str] = []
    if origin.resumed is None and (recipe.model.from_ is not None or origin.state_before is not None):
        warnings += theta_warnings(thetas(model), context=phase.context, phase=phase.name, **phase.rope.model_dump())
    check_rope(model, phase)
    set_rope(model, global_theta=phase.rope.global_theta, local_theta=phase.rope.local_theta)
    use_packed_attention(model, hardware.residual_dtype(recipe))
    model.to(hardware.device)
    needed = model.num_parameters() * OPTIMIZERS[phase.optimizer.use].training_bytes
    parallel, reason = distributed.broadcast(
        choose_parallel(recipe.model.parallel, needed, hardware.device, distributed.world_size())
    )
    composer_model = PackedMaskedLM(model, len(job.stream.sources), hardware.backend, precision=hardware.precision)
    meta_model = None
    if parallel == "fsdp":
        meta_model = meta_copy(model)
        # On a CPU the products round what they multiply.
        half = hardware.precision == "bf16" and hardware.on_gpu
        shard(composer_model, hardware.device, torch.bfloat16 if half else None)
    if hardware.compiled:
        compile_layers(model)
    optimizer = build_optimizer(model, phase)
    full_state = FullState(model, optimizer, meta_model)
    return Trainee(model, composer_model, optimizer, full_state, parallel, reason, tuple(warnings))
