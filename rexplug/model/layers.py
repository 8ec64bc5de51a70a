"""ModernBERT's layer for packed rows: the same weights under the same names, fewer passes over memory.

The class of a live layer is exchanged, so that checkpoints, hooks and sharding see the module they know. Numbers equal
transformers' own layer within float error; the tests hold both side by side.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor
from transformers.models.modernbert.modeling_modernbert import ModernBertEncoderLayer

from rexplug.model.attention import Packing, attend_packed, rotate
from rexplug.model.products import geglu, linear


class PackedLayer(ModernBertEncoderLayer):
    """A layer that takes one packed row `[1, T, hidden]`."""

    def forward(
        self,
        hidden_states: Tensor,
        attention_mask: Tensor | None = None,
        position_embeddings: tuple[Tensor, Tensor] | None = None,
        packing: Packing | None = None,
        **_: Any,
    ) -> Tensor:
        """The row after attention and MLP; `position_embeddings` are cosines and sines, `[1, rotary positions, d]`."""
        if packing is None or hidden_states.shape[0] != 1:
            raise ValueError("attention 'rexplug' needs one packed row and its packing")
        assert position_embeddings is not None
        attention = self.attn
        half = None if attention.sliding_window is None else attention.sliding_window - 1
        hidden = hidden_states[0]
        # transformers repeats the angles for both halves of a head; one half is enough.
        cosines, sines = (each[0, :, : attention.head_dim // 2] for each in position_embeddings)
        # The CPU's backend rotates what it has copied anyway; before a kernel the rotation is compiled with the product.
        early, late = ((cosines, sines), None) if packing.backend != "blocks" else (None, (cosines, sines))
        qkv = self.project(hidden, early)
        attended = attend_packed(qkv, late, packing, attention.head_dim**-0.5, half).flatten(1)
        return self.finish(hidden, attended)[None]

    def project(self, hidden: Tensor, rotation: tuple[Tensor, Tensor] | None = None) -> Tensor:
        """Queries, keys and values, `[T, 3, h, d]`; with `rotation`, cosines and sines `[T, d / 2]`, already rotated."""
        weights = self.attn.Wqkv
        made = linear(self.attn_norm(hidden), weights.weight, weights.bias)
        qkv = made.view(len(made), 3, -1, self.attn.head_dim)
        return qkv if rotation is None else rotate(qkv, *rotation)

    def finish(self, hidden: Tensor, attended: Tensor) -> Tensor:
        """Everything after attention, `[T, hidden]`."""
        out, mlp = self.attn.Wo, self.mlp
        hidden = linear(attended, out.weight, out.bias, residual=hidden)
        gated = geglu(linear(self.mlp_norm(hidden), mlp.Wi.weight, mlp.Wi.bias))
        return linear(gated, mlp.Wo.weight, mlp.Wo.bias, residual=hidden)


def pack_layers(model: Any) -> None:
    """Exchange the class of every layer of a `ModernBertForMaskedLM`."""
    for layer in model.model.layers:
        layer.__class__ = PackedLayer


def unpack_layers(model: Any) -> None:
    """Give every layer its own class back."""
    for layer in model.model.layers:
        layer.__class__ = ModernBertEncoderLayer
