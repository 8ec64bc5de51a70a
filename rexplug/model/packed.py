"""Switches a transformers model to packed rows and back, and runs it on one."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from transformers import AttentionInterface

from rexplug.model.attention import NAME, Packing, attend
from rexplug.model.layers import pack_layers, run_layer_by_layer, run_layers, unpack_layers


def use_packed_attention(model: Any, residual: torch.dtype | None = None) -> None:
    """Switch a model to packed rows: our attention, and layers that copy less.

    Weights and their names stay as they are; `use_transformers_attention` undoes it.

    Args:
        model: a model of a family in `rexplug.model.family`, with a head or without.
        residual: number format of the residual stream; that of the embedding if left out.
    """
    AttentionInterface.register(NAME, attend)
    model.set_attn_implementation(NAME)
    pack_layers(model, residual)


def use_transformers_attention(model: Any, name: str = "eager") -> None:
    """Switch back to transformers' own layers and one of its attention functions."""
    unpack_layers(model)
    model.set_attn_implementation(name)


def forward_packed(model: Any, token_ids: Tensor, packing: Packing, positions: Tensor | None = None) -> Tensor:
    """Hidden states of one packed row.

    Args:
        model: the model, with a head or without, after `use_packed_attention`.
        token_ids: the row, `[T]`.
        packing: its documents.
        positions: the positions in the row whose states are wanted, such as those of masked tokens, `[m]`; all if left out.
            What follows the last layer's attention is then computed for these alone.

    Returns:
        `[m, hidden]` or `[T, hidden]`.
    """
    encoder = model.base_model
    if not getattr(encoder, "layer_by_layer", False):
        return run_layers(encoder, token_ids, packing, positions)
    hidden = run_layer_by_layer(encoder, token_ids, packing)
    return hidden if positions is None else hidden.index_select(0, positions)
