"""ModernBERT's layers for packed rows: the same weights under the same names, fewer passes over memory.

The class of a live layer is exchanged, so that checkpoints, hooks and sharding see the module they know. Numbers equal
transformers' own layer within float error; the tests hold both side by side.

Between two attentions lies one function of tensors (`finish`, then the next layer's `project`), which is what is compiled on
a GPU: the residual is read and written once, and all layers share the code. T tokens, h heads, d size of a head.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor
from transformers.models.modernbert.modeling_modernbert import ModernBertEncoderLayer

from rexplug.model.attention import Packing, attend_packed, rotate
from rexplug.model.cpu.onednn import geglu, linear

QKV = Tensor | tuple[Tensor, Tensor, Tensor]
_MULTIPLE = 64
"""Tokens chosen from a row are padded to a multiple of this, so that products see few shapes."""


class Norm(NamedTuple):
    """A layer norm's weight and bias; a weight of None stands for no norm."""

    weight: Tensor | None
    bias: Tensor | None

    @classmethod
    def of(cls, module: Any) -> Norm:
        """The weights of a `LayerNorm`, or of the `Identity` before the first attention."""
        return cls(getattr(module, "weight", None), getattr(module, "bias", None))


class Projection(NamedTuple):
    """What lies before a layer's attention."""

    norm: Norm
    weight: Tensor
    bias: Tensor | None


class Finish(NamedTuple):
    """What lies behind a layer's attention."""

    out: Tensor
    out_bias: Tensor | None
    norm: Norm
    wide: Tensor
    wide_bias: Tensor | None
    narrow: Tensor
    narrow_bias: Tensor | None


def project(
    hidden: Tensor, weights: Projection, rotation: tuple[Tensor, Tensor] | None, size: int, eps: float, stacked: bool
) -> QKV:
    """Queries, keys and values of a layer: `[T, 3, h, d]` if `stacked`, else three of `[T, h, d]`.

    `size` is d; with `rotation`, cosines and sines `[T, d / 2]`, queries and keys are already rotated.
    """
    made = linear(_norm(hidden, weights.norm, eps), weights.weight, weights.bias)
    if stacked:
        qkv = made.view(len(made), 3, -1, size)
        return qkv if rotation is None else torch.cat([rotate(qkv[:, :2], *rotation), qkv[:, 2:]], 1)
    assert rotation is not None
    # Split and not indexed: the gradient of a split is one tensor in one pass.
    query, key, value = (part.unflatten(-1, (-1, size)) for part in made.chunk(3, -1))
    return rotate(query, *rotation), rotate(key, *rotation), value.contiguous()


def finish(hidden: Tensor, attended: Tensor, weights: Finish, eps: float) -> Tensor:
    """The row `[T, hidden]` after a layer, from the row before it and its attention `[T, h d]`."""
    hidden = linear(attended, weights.out, weights.out_bias, residual=hidden)
    gated = _gated(_norm(hidden, weights.norm, eps), weights.wide, weights.wide_bias)
    return linear(gated, weights.narrow, weights.narrow_bias, residual=hidden)


def cross(
    hidden: Tensor, attended: Tensor, behind: Finish, before: Projection, rotation: tuple[Tensor, Tensor] | None,
    size: int, eps: float, stacked: bool,
) -> tuple[Tensor, QKV]:  # fmt: skip
    """From one attention to the next: the row between them, and the next layer's queries, keys and values."""
    hidden = finish(hidden, attended, behind, eps)
    return hidden, project(hidden, before, rotation, size, eps, stacked)


def end(hidden: Tensor, attended: Tensor, behind: Finish, norm: Norm, eps: float) -> Tensor:
    """From the last attention to the final hidden states."""
    return _norm(finish(hidden, attended, behind, eps), norm, eps)


def _gated(hidden: Tensor, wide: Tensor, bias: Tensor | None) -> Tensor:
    """`gelu(a) * b` of the two halves of a product, `[T, I]`."""
    if not torch.compiler.is_compiling():
        return geglu(linear(hidden, wide, bias))
    # Two products: the gradient of one, joined from two halves, would take the compiler's slowest kernel.
    biases = (None, None) if bias is None else bias.chunk(2)
    gate, value = (F.linear(hidden, *each) for each in zip(wide.chunk(2), biases, strict=True))
    return F.gelu(gate) * value


def _norm(hidden: Tensor, norm: Norm, eps: float) -> Tensor:
    return hidden if norm.weight is None else F.layer_norm(hidden, hidden.shape[-1:], norm.weight, norm.bias, eps)


@dataclass(frozen=True)
class Functions:
    """The functions of a row, as they are or compiled."""

    project: Callable[..., QKV] = project
    cross: Callable[..., tuple[Tensor, QKV]] = cross
    end: Callable[..., Tensor] = end
    finish: Callable[..., Tensor] = finish


PLAIN = Functions()


class PackedLayer(ModernBertEncoderLayer):
    """A layer that takes one packed row `[1, T, hidden]`."""

    functions: Functions = PLAIN
    residual_dtype: torch.dtype | None = None
    """Number format of the residual stream; that of the embedding if None."""

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
        # transformers repeats the angles for both halves of a head; one half is enough.
        cosines, sines = (each[0, :, : self.attn.head_dim // 2] for each in position_embeddings)
        rotation, late = (None, (cosines, sines)) if packing.backend == "blocks" else ((cosines, sines), None)
        hidden, eps = self.residual(hidden_states[0]), self.config.norm_eps
        qkv = self.functions.project(hidden, self.projection(), rotation, self.attn.head_dim, eps, packing.stacked)
        return self.functions.finish(hidden, self.attend(qkv, late, packing), self.behind(), eps)[None]

    def residual(self, hidden: Tensor) -> Tensor:
        """A row in the number format of the residual stream."""
        return hidden if self.residual_dtype is None else hidden.to(self.residual_dtype)

    def attend(self, qkv: QKV, rotation: tuple[Tensor, Tensor] | None, packing: Packing) -> Tensor:
        """Attention of the row, `[T, h d]`."""
        half = None if self.attn.sliding_window is None else self.attn.sliding_window - 1
        return attend_packed(qkv, rotation, packing, self.attn.head_dim**-0.5, half).flatten(1)

    def projection(self) -> Projection:
        """The weights before attention."""
        return Projection(Norm.of(self.attn_norm), self.attn.Wqkv.weight, self.attn.Wqkv.bias)

    def behind(self) -> Finish:
        """The weights behind attention."""
        out, mlp = self.attn.Wo, self.mlp
        return Finish(
            out.weight, out.bias, Norm.of(self.mlp_norm), mlp.Wi.weight, mlp.Wi.bias, mlp.Wo.weight, mlp.Wo.bias
        )


def angles_of(rotary: Any, positions: Tensor, kind: str) -> tuple[Tensor, Tensor]:
    """Cosines and sines `[positions, d / 2]` of a layer type.

    Element by element: as a matrix product, which some versions of transformers use, angles beyond position 2,048 would be
    rounded to whole units where TF32 is on.
    """
    if rotary.rope_type[kind] != "default":
        cosines, sines = rotary(positions[None].float(), positions[None], kind)
        half = cosines.shape[-1] // 2
        return cosines[0, :, :half], sines[0, :, :half]
    angles = positions.float()[:, None] * getattr(rotary, f"{kind}_inv_freq").float()
    return angles.cos(), angles.sin()


def run_layers(encoder: Any, token_ids: Tensor, packing: Packing, places: Tensor | None = None) -> Tensor:
    """Final hidden states of a row `[T, hidden]`, or of the tokens at `places` `[m, hidden]`; see `forward_packed`."""
    functions: Functions = getattr(encoder, "functions", PLAIN)
    layers: list[PackedLayer] = list(encoder.layers)
    eps, size = encoder.config.norm_eps, layers[0].attn.head_dim
    hidden = layers[0].residual(encoder.embeddings(input_ids=token_ids[None])[0])
    rotary, positions = encoder.rotary_emb, packing.rotary_positions
    angles = {kind: angles_of(rotary, positions, kind) for kind in rotary.layer_types}
    late = packing.backend == "blocks"
    rotations = [(None, angles[kind]) if late else (angles[kind], None) for kind in encoder.config.layer_types]
    qkv = functions.project(hidden, layers[0].projection(), rotations[0][0], size, eps, packing.stacked)
    for number, layer in enumerate(layers[:-1]):
        attended = layer.attend(qkv, rotations[number][1], packing)
        following = layers[number + 1].projection()
        hidden, qkv = functions.cross(
            hidden, attended, layer.behind(), following, rotations[number + 1][0], size, eps, packing.stacked
        )
    attended = layers[-1].attend(qkv, rotations[-1][1], packing)
    count = len(token_ids)
    if places is not None:
        count = len(places)
        padded = F.pad(places, (0, -count % _MULTIPLE))
        hidden, attended = hidden.index_select(0, padded), attended.index_select(0, padded)
    return functions.end(hidden, attended, layers[-1].behind(), Norm.of(encoder.final_norm), eps)[:count]


def pack_layers(model: Any, residual: torch.dtype | None = None) -> None:
    """Exchange the class of every layer of a ModernBERT, with a head or without; `residual` as in `PackedLayer`."""
    for layer in model.base_model.layers:
        layer.__class__ = PackedLayer
        layer.residual_dtype = residual


def unpack_layers(model: Any) -> None:
    """Give every layer its own class back."""
    for layer in model.base_model.layers:
        layer.__class__ = ModernBertEncoderLayer
