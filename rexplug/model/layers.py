"""ModernBERT's layers for packed rows: the same weights under the same names, fewer passes over memory.

The class of an existing layer is replaced, so that checkpoints, hooks and sharding still see the same module. Results equal
those of transformers' own layer within float error, which the tests check.

All operations between two attentions are one function of tensors (`output_and_mlp`, then the next layer's `project_qkv`),
which is compiled on a GPU: the residual is read and written once, and all layers share the code.

Shapes: T tokens of the row, h heads, d size of a head, I intermediate size.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor
from transformers import ModernBertConfig, ModernBertForMaskedLM
from transformers.models.modernbert.modeling_modernbert import ModernBertEncoderLayer

from rexplug.model.attention import Packing, attend_packed, rotate
from rexplug.model.cpu.onednn import geglu, linear
from rexplug.model.family import MODERNBERT

CONFIG_CLASS, MASKED_LM_CLASS = ModernBertConfig, ModernBertForMaskedLM
"""The classes of the family in transformers."""
QKV = Tensor | tuple[Tensor, Tensor, Tensor]
_POSITIONS_MULTIPLE = 64
"""Positions chosen from a row are padded to a multiple of this, so that products see few shapes."""


class NormWeights(NamedTuple):
    """A layer norm's weight and bias; a weight of None means no norm."""

    weight: Tensor | None
    bias: Tensor | None

    @classmethod
    def of(cls, module: Any) -> NormWeights:
        """The weights of a `LayerNorm`, or of the `Identity` before the first attention."""
        return cls(getattr(module, "weight", None), getattr(module, "bias", None))


class QKVWeights(NamedTuple):
    """The weights of a layer before its attention: norm, and projection to queries, keys and values."""

    norm: NormWeights
    weight: Tensor
    bias: Tensor | None


class OutputWeights(NamedTuple):
    """The weights of a layer after its attention: output projection, norm, and the two projections of the MLP."""

    out: Tensor
    out_bias: Tensor | None
    norm: NormWeights
    up: Tensor
    up_bias: Tensor | None
    down: Tensor
    down_bias: Tensor | None


class HeadWeights(NamedTuple):
    """The prediction head (dense layer, activation, norm) and the decoder."""

    dense: Tensor
    dense_bias: Tensor | None
    activation: Callable[[Tensor], Tensor]
    norm: Tensor
    norm_bias: Tensor | None
    eps: float
    decoder: Tensor
    decoder_bias: Tensor | None

    @classmethod
    def of(cls, model: Any) -> HeadWeights:
        """The head of a masked language model."""
        head, decoder = model.head, model.decoder
        return cls(
            head.dense.weight, head.dense.bias, head.act, head.norm.weight, getattr(head.norm, "bias", None), head.norm.eps,
            decoder.weight, decoder.bias,
        )  # fmt: skip


def new_masked_lm(config: Any) -> Any:
    """A masked language model with random weights.

    transformers draws the dense layer of the prediction head like an output projection; ours has the deviation of the other
    weights, as in ModernBERT.
    """
    model = ModernBertForMaskedLM(config)
    deviation = config.initializer_range
    torch.nn.init.trunc_normal_(model.head.dense.weight, 0.0, deviation, -2 * deviation, 2 * deviation)
    return model


def project_qkv(
    hidden: Tensor,
    weights: QKVWeights,
    rotation: tuple[Tensor, Tensor] | None,
    head_size: int,
    eps: float,
    stacked: bool,
) -> QKV:
    """Queries, keys and values of a layer: `[T, 3, h, d]` if `stacked`, else three of `[T, h, d]`.

    With `rotation`, cosines and sines `[T, d / 2]`, queries and keys are already rotated.
    """
    projected = linear(_norm(hidden, weights.norm, eps), weights.weight, weights.bias)
    if stacked:
        qkv = projected.view(len(projected), 3, -1, head_size)
        return qkv if rotation is None else torch.cat([rotate(qkv[:, :2], *rotation), qkv[:, 2:]], 1)
    assert rotation is not None
    # Split and not indexed: the gradient of a split is one tensor in one pass.
    query, key, value = (part.unflatten(-1, (-1, head_size)) for part in projected.chunk(3, -1))
    return rotate(query, *rotation), rotate(key, *rotation), value.contiguous()


def output_and_mlp(hidden: Tensor, attended: Tensor, weights: OutputWeights, eps: float) -> Tensor:
    """The row `[T, hidden]` after a layer, from the row before it and its attention `[T, h d]`."""
    hidden = linear(attended, weights.out, weights.out_bias, residual=hidden)
    gated = _gated(_norm(hidden, weights.norm, eps), weights.up, weights.up_bias)
    return linear(gated, weights.down, weights.down_bias, residual=hidden)


def between_attentions(
    hidden: Tensor, attended: Tensor, output: OutputWeights, following: QKVWeights, rotation: tuple[Tensor, Tensor] | None,
    head_size: int, eps: float, stacked: bool,
) -> tuple[Tensor, QKV]:  # fmt: skip
    """From one attention to the next: the row after a layer, and the queries, keys and values of the following one."""
    hidden = output_and_mlp(hidden, attended, output, eps)
    return hidden, project_qkv(hidden, following, rotation, head_size, eps, stacked)


def final_states(hidden: Tensor, attended: Tensor, output: OutputWeights, norm: NormWeights, eps: float) -> Tensor:
    """From the last attention to the encoder's final hidden states."""
    return _norm(output_and_mlp(hidden, attended, output, eps), norm, eps)


def head_features(
    hidden: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    activation: Callable[[Tensor], Tensor],
    norm: Tensor,
    norm_bias: Tensor | None,
    eps: float,
) -> Tensor:
    """The prediction head's output, which the decoder multiplies: `[m, hidden]` for m tokens."""
    active = activation(linear(hidden, weight, bias))
    return F.layer_norm(active, active.shape[-1:], norm, norm_bias, eps)


def _gated(hidden: Tensor, up: Tensor, bias: Tensor | None) -> Tensor:
    """`gelu(a) * b` of the two halves of a product, `[T, I]`."""
    if not torch.compiler.is_compiling():
        return geglu(linear(hidden, up, bias))
    # Two products: the gradient of one, joined from two halves, would take the compiler's slowest kernel.
    biases = (None, None) if bias is None else bias.chunk(2)
    gate, value = (F.linear(hidden, *half) for half in zip(up.chunk(2), biases, strict=True))
    return F.gelu(gate) * value


def _norm(hidden: Tensor, norm: NormWeights, eps: float) -> Tensor:
    weight, bias = norm
    if weight is None:
        return hidden
    if hidden.dtype == torch.float32:  # weights that FSDP gathers in bf16
        weight, bias = weight.float(), None if bias is None else bias.float()
    return F.layer_norm(hidden, hidden.shape[-1:], weight, bias, eps)


@dataclass(frozen=True)
class LayerFunctions:
    """The functions that layers are computed with, as they are or compiled."""

    project_qkv: Callable[..., QKV] = project_qkv
    between_attentions: Callable[..., tuple[Tensor, QKV]] = between_attentions
    final_states: Callable[..., Tensor] = final_states
    output_and_mlp: Callable[..., Tensor] = output_and_mlp


EAGER = LayerFunctions()


class PackedLayer(ModernBertEncoderLayer):
    """A layer that takes one packed row `[1, T, hidden]`."""

    functions: LayerFunctions = EAGER
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
        # transformers repeats the angles for both halves of a head, and we do not; one half is enough.
        cosines, sines = (angles[0, :, : self.attn.head_dim // 2] for angles in position_embeddings)
        early, late = _rotation((cosines, sines), packing)
        hidden, eps = self.residual(hidden_states[0]), self.config.norm_eps
        qkv = self.functions.project_qkv(hidden, self.qkv_weights(), early, self.attn.head_dim, eps, packing.stacked)
        attended = self.attend(qkv, late, packing)
        return self.functions.output_and_mlp(hidden, attended, self.output_weights(), eps)[None]

    def residual(self, hidden: Tensor) -> Tensor:
        """A row in the number format of the residual stream."""
        return hidden if self.residual_dtype is None else hidden.to(self.residual_dtype)

    def attend(self, qkv: QKV, rotation: tuple[Tensor, Tensor] | None, packing: Packing) -> Tensor:
        """Attention of the row, `[T, h d]`."""
        half_window = None if self.attn.sliding_window is None else self.attn.sliding_window - 1
        return attend_packed(qkv, rotation, packing, self.attn.head_dim**-0.5, half_window).flatten(1)

    def qkv_weights(self) -> QKVWeights:
        """The weights before attention."""
        return QKVWeights(NormWeights.of(self.attn_norm), self.attn.Wqkv.weight, self.attn.Wqkv.bias)

    def output_weights(self) -> OutputWeights:
        """The weights after attention."""
        out, mlp = self.attn.Wo, self.mlp
        return OutputWeights(
            out.weight, out.bias, NormWeights.of(self.mlp_norm), mlp.Wi.weight, mlp.Wi.bias, mlp.Wo.weight, mlp.Wo.bias
        )


def _rotation(
    angles: tuple[Tensor, Tensor], packing: Packing
) -> tuple[tuple[Tensor, Tensor] | None, tuple[Tensor, Tensor] | None]:
    """Cosines and sines for `project_qkv` or, where the backend rotates by itself, for attention; the other is None."""
    return (None, angles) if packing.backend == "blocks" else (angles, None)


def disable_dropout(model: Any) -> None:
    """Set every dropout of a live model to 0, so that training it draws no random numbers."""
    for module in model.modules():
        if isinstance(getattr(module, "attention_dropout", None), float):
            module.attention_dropout = 0.0
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0


def rotary_cosines_and_sines(rotary: Any, positions: Tensor, layer_type: str) -> tuple[Tensor, Tensor]:
    """Cosines and sines `[positions, d / 2]` of a layer type.

    Element by element: as a matrix product, which some versions of transformers use, angles beyond position 2,048 would be
    rounded to whole units where TF32 is on.
    """
    if rotary.rope_type[layer_type] != "default":
        cosines, sines = rotary(positions[None].float(), positions[None], layer_type)
        half = cosines.shape[-1] // 2
        return cosines[0, :, :half], sines[0, :, :half]
    angles = positions.float()[:, None] * getattr(rotary, f"{layer_type}_inv_freq").float()
    return angles.cos(), angles.sin()


def set_theta(model: Any, kind: str, theta: float) -> None:
    """Change the RoPE theta of the `global` or `local` layers of a live model and of its config."""
    rotary, layer_type = model.base_model.rotary_emb, MODERNBERT.kinds[kind].name
    model.config.rope_parameters[layer_type]["rope_theta"] = theta
    frequencies, _ = rotary.compute_default_rope_parameters(model.config, layer_type=layer_type)
    for buffer in (f"{layer_type}_inv_freq", f"{layer_type}_original_inv_freq"):
        getattr(rotary, buffer).copy_(frequencies)


def run_layers(encoder: Any, token_ids: Tensor, packing: Packing, positions: Tensor | None = None) -> Tensor:
    """Final hidden states of a row `[T, hidden]`, or of the tokens at `positions` `[m, hidden]`; see `forward_packed`."""
    functions: LayerFunctions = getattr(encoder, "functions", EAGER)
    layers: list[PackedLayer] = list(encoder.layers)
    eps, head_size = encoder.config.norm_eps, layers[0].attn.head_dim
    hidden = layers[0].residual(encoder.embeddings(input_ids=token_ids[None])[0])
    rotary = encoder.rotary_emb
    angles = {kind: rotary_cosines_and_sines(rotary, packing.rotary_positions, kind) for kind in rotary.layer_types}
    rotations = [_rotation(angles[kind], packing) for kind in encoder.config.layer_types]
    qkv = functions.project_qkv(hidden, layers[0].qkv_weights(), rotations[0][0], head_size, eps, packing.stacked)
    for number, layer in enumerate(layers[:-1]):
        attended = layer.attend(qkv, rotations[number][1], packing)
        following = layers[number + 1].qkv_weights()
        hidden, qkv = functions.between_attentions(
            hidden,
            attended,
            layer.output_weights(),
            following,
            rotations[number + 1][0],
            head_size,
            eps,
            packing.stacked,
        )
    attended = layers[-1].attend(qkv, rotations[-1][1], packing)
    count = len(token_ids)
    if positions is not None:
        count = len(positions)
        padded = F.pad(positions, (0, -count % _POSITIONS_MULTIPLE))
        hidden, attended = hidden.index_select(0, padded), attended.index_select(0, padded)
    norm = NormWeights.of(encoder.final_norm)
    return functions.final_states(hidden, attended, layers[-1].output_weights(), norm, eps)[:count]


def run_layer_by_layer(encoder: Any, token_ids: Tensor, packing: Packing) -> Tensor:
    """Final hidden states of a row, `[T, hidden]`; calls every layer's own forward, in which sharded weights are gathered."""
    rotary = encoder.rotary_emb
    angles = {
        kind: tuple(each[None] for each in rotary_cosines_and_sines(rotary, packing.rotary_positions, kind))
        for kind in rotary.layer_types
    }
    hidden = encoder.embeddings(input_ids=token_ids[None])
    for layer, kind in zip(encoder.layers, encoder.config.layer_types, strict=True):
        hidden = layer(hidden, position_embeddings=angles[kind], packing=packing)
    states: Tensor = encoder.final_norm(hidden)
    return states[0]


def pack_layers(model: Any, residual: torch.dtype | None = None) -> None:
    """Exchange the class of every layer of a model, with a head or without; `residual` as in `PackedLayer`."""
    for layer in model.base_model.layers:
        layer.__class__ = PackedLayer
        layer.residual_dtype = residual


def unpack_layers(model: Any) -> None:
    """Give every layer its own class back."""
    for layer in model.base_model.layers:
        layer.__class__ = ModernBertEncoderLayer
