"""Shapes of the encoders, what they weigh and what a token costs. No torch: plans are made without it.

The shapes from micro on are Ettin's (arXiv 2507.11412, `configs/standard`); nano is our demo.
"""

from __future__ import annotations

from dataclasses import dataclass

ROWS_MULTIPLE = 64
"""The embedding has a multiple of this many rows, which matrix products like."""
GLOBAL_EVERY = 3
"""Every third layer is global, the first and last among them."""
WINDOW = 129
"""Tokens that a token of a local layer sees: 64 to either side and itself."""


@dataclass(frozen=True, slots=True)
class Size:
    """Layers, width, width of the GLU's half, and heads. Every third layer is global, the first and last among them."""

    layers: int
    hidden: int
    intermediate: int
    heads: int

    @property
    def global_layers(self) -> int:
        """Layers whose tokens see the whole sample."""
        return -(-self.layers // GLOBAL_EVERY)

    @property
    def _products(self) -> int:
        """Weights of the matrices of all layers: attention 4 H^2, GeGLU 3 H I."""
        return self.layers * (4 * self.hidden**2 + 3 * self.hidden * self.intermediate)

    @property
    def without_embedding(self) -> int:
        """Parameters of the encoder but for the token matrix and its norm.

        Two norms a layer, but none before the first attention, and the last norm; no biases.
        """
        return self._products + 2 * self.layers * self.hidden

    def encoder(self, rows: int) -> int:
        """Parameters of the encoder with an embedding of `rows` tokens."""
        return self.without_embedding + rows * self.hidden + self.hidden

    def parameters(self, rows: int) -> int:
        """Parameters with the masked-LM head: a matrix, a norm and a bias; the decoder is tied to the embedding."""
        return self.encoder(rows) + self.hidden**2 + self.hidden + rows

    def flops_per_token(self, rows: int, *, attended: float, masked: float) -> float:
        """Floating-point operations of forward and backward pass, per token.

        Matrix products only, a multiply-add as two, the backward pass as twice the forward one; the head on masked tokens
        alone (sparse prediction).

        Args:
            rows: rows of the embedding.
            attended: how many tokens a token of a global layer sees: its sample's length, on average over tokens.
            masked: share of the tokens that is masked.
        """
        local_layers = self.layers - self.global_layers
        seen = self.global_layers * attended + local_layers * min(attended, WINDOW)
        head = masked * (self.hidden**2 + self.hidden * rows)
        return 6 * (self._products + head) + 12 * self.hidden * seen


SIZES = {
    "nano": Size(4, 128, 192, 2),
    "micro": Size(7, 256, 384, 4),
    "mini": Size(19, 512, 768, 8),
    "base": Size(22, 768, 1152, 12),
    "large": Size(28, 1024, 2624, 16),
}


_32M, _1B = Size(10, 384, 576, 6), Size(28, 1792, 3840, 28)
PUBLISHED = {
    **{
        f"jhu-clsp/ettin-encoder-{name}": shape
        for name, shape in {
            "17m": SIZES["micro"], "32m": _32M, "68m": SIZES["mini"], "150m": SIZES["base"], "400m": SIZES["large"],
            "1b": _1B,
        }.items()
    },
    "answerdotai/ModernBERT-base": SIZES["base"],
    "answerdotai/ModernBERT-large": SIZES["large"],
    **{f"thebajajra/RexBERT-{name}": SIZES[name] for name in ("micro", "mini", "base", "large")},
}  # fmt: skip
"""Releases whose shape is published, so that a plan needs no file of theirs. All of them ended with a falling rate."""
PUBLISHED_ROWS = 50_368
"""Vocabulary of every release of `PUBLISHED`; they share a tokenizer."""


def embedding_rows(vocabulary: int) -> int:
    """Rows of the embedding for a vocabulary (the highest id plus one)."""
    return -(-vocabulary // ROWS_MULTIPLE) * ROWS_MULTIPLE
