"""Floating-point operations of a training step, and the peak of the device that it runs on. No torch."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from rexplug.model.family import shape_and_rows

PEAKS = {
    "B200": 2250e12, "GH200": 989e12, "H200": 989e12, "H100 PCIe": 756e12, "H100 NVL": 835e12, "H100": 989e12,
    "A100": 312e12, "L40S": 362e12, "L40": 181e12, "L4": 121e12, "A10": 125e12, "V100": 125e12,
    "RTX 5090": 210e12, "RTX 4090": 165e12, "RTX 3090": 71e12,
}  # fmt: skip
"""Dense half-precision operations per second by part of the device's name, from the makers' data sheets (V100: fp16)."""

FP32_PEAKS = {
    "B200": 75e12, "GH200": 67e12, "H200": 67e12, "H100 PCIe": 51e12, "H100 NVL": 60e12, "H100": 67e12,
    "A100": 19.5e12, "L40S": 91.6e12, "L40": 90.5e12, "L4": 30.3e12, "A10": 31.2e12, "V100": 15.7e12,
    "RTX 5090": 105e12, "RTX 4090": 82.6e12, "RTX 3090": 35.6e12,
}  # fmt: skip
"""Operations per second in fp32 without tensor cores (no TF32) by part of the device's name, from the same data sheets."""


def peak_of(device_name: str) -> float | None:
    """Operations per second of a device in bf16; None if it is not in the table."""
    return next((peak for name, peak in PEAKS.items() if name in device_name), None)


def attention_pairs(lengths: Iterable[int], half_window: int | None) -> int:
    """Pairs of a query and a key in documents of these lengths, for a window of `half_window` to either side (None: all)."""
    if half_window is None:
        return sum(length * length for length in lengths)
    inner, outside = 2 * half_window + 1, half_window * (half_window + 1)
    return sum(n * n if n <= half_window + 1 else n * inner - outside for n in lengths)


def training_flops(config: Any, *, num_tokens: int, global_pairs: int, local_pairs: int, num_masked: int) -> float:
    """`EncoderShape.training_flops` of a model with this config of transformers."""
    shape, rows = shape_and_rows(config)
    return float(
        shape.training_flops(
            rows, tokens=num_tokens, global_pairs=global_pairs, local_pairs=local_pairs, masked=num_masked
        )
    )
