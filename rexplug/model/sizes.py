"""Shapes of the encoders. Those from micro on are Ettin's (arXiv 2507.11412, `configs/standard`); nano is our demo."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Size:
    """Layers, width, width of the GLU's half, and heads. Every third layer is global, the first and last among them."""

    layers: int
    hidden: int
    intermediate: int
    heads: int


SIZES = {
    "nano": Size(4, 128, 192, 2),
    "micro": Size(7, 256, 384, 4),
    "mini": Size(19, 512, 768, 8),
    "base": Size(22, 768, 1152, 12),
    "large": Size(28, 1024, 2624, 16),
}
