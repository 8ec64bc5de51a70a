"""The optimizers that a recipe may name, without torch: recipe, plan and engine all ask this table.

A new optimizer is a line here and a file below `rexplug/engine/optimizers` that holds its `Implementation`.
"""

from __future__ import annotations

from dataclasses import dataclass

FP32_BYTES = 4
"""Bytes of a number in fp32: weights, gradients and moments."""


@dataclass(frozen=True, slots=True)
class OptimizerSpec:
    """What is known of an optimizer before torch is imported."""

    description: str
    """For the documentation of the recipe's key `use`."""
    implementation: str
    """`module:name` of its `rexplug.engine.optimizers.base.Implementation`, imported when a phase begins to train."""
    moments: tuple[str, ...]
    """Names of the fp32 tensors of a parameter's shape that it keeps per parameter."""

    @property
    def moment_bytes(self) -> int:
        """Bytes of optimizer state per parameter."""
        return FP32_BYTES * len(self.moments)

    @property
    def training_bytes(self) -> int:
        """Bytes per parameter that training holds: weight, gradient and optimizer state."""
        return 2 * FP32_BYTES + self.moment_bytes


OPTIMIZERS: dict[str, OptimizerSpec] = {
    "stable_adamw": OptimizerSpec(
        "StableAdamW (update clipping instead of gradient clipping)",
        "rexplug.engine.optimizers.adamw:STABLE_ADAMW",
        ("exp_avg", "exp_avg_sq"),
    ),
    "adamw": OptimizerSpec("AdamW", "rexplug.engine.optimizers.adamw:ADAMW", ("exp_avg", "exp_avg_sq")),
}
"""Name in a recipe -> what is known of the optimizer."""
