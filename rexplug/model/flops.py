"""What a training step costs in floating-point operations, and what a device could do in that time."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

PEAKS = {
    "B200": 2250e12, "GH200": 989e12, "H200": 989e12, "H100 PCIe": 756e12, "H100 NVL": 835e12, "H100": 989e12,
    "A100": 312e12, "L40S": 362e12, "L40": 181e12, "L4": 121e12, "A10": 125e12, "V100": 125e12,
    "RTX 5090": 210e12, "RTX 4090": 165e12, "RTX 3090": 71e12,
}  # fmt: skip
"""Dense half-precision operations per second by part of the device's name, from the makers' data sheets (V100: fp16)."""


def peak_of(device_name: str) -> float | None:
    """Operations per second of a device in bf16; None if it is not in the table."""
    return next((peak for name, peak in PEAKS.items() if name in device_name), None)


def pairs(lengths: Iterable[int], half: int | None) -> int:
    """Pairs of a query and a key in documents of these lengths, `half` tokens to either side (None: all)."""
    return sum(n * n if half is None or n <= half + 1 else n * (2 * half + 1) - half * (half + 1) for n in lengths)


def training_flops(config: Any, *, num_tokens: int, global_pairs: int, local_pairs: int, num_masked: int) -> float:
    """Operations of the forward and backward pass (three times the forward one), recomputation not counted.

    A multiplication and an addition are two; embeddings, norms and activations are left out, as usual for MFU. The head
    counts for masked tokens only, since it sees no others.
    """
    width, inner = config.hidden_size, config.intermediate_size
    num_global = sum(kind == "full_attention" for kind in config.layer_types)
    num_local = config.num_hidden_layers - num_global
    layers = config.num_hidden_layers * num_tokens * 2 * (4 * width**2 + 3 * width * inner)
    attention = 4 * width * (num_global * global_pairs + num_local * local_pairs)
    head = 2 * num_masked * (width**2 + width * config.vocab_size)
    return float(3 * (layers + attention + head))
