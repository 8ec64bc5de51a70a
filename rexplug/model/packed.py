"""Switch a transformers model to packed rows and back, and run it on one."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from rexplug.model.attention import NAME, Packing, attend
from rexplug.model.layers import pack_layers, run_layers, unpack_layers


def use_packed_attention(model: Any, residual: torch.dtype | None = None) -> None:
    """Switch a transformers model to packed rows: our attention, and layers that waste fewer copies.

    Weights and their names stay as they are; `use_transformers_attention` undoes it. `residual` is the number format of what layers
    add to, that of the embedding if left out.
    """
    from transformers import AttentionInterface

    AttentionInterface.register(NAME, attend)
    model.set_attn_implementation(NAME)
    pack_layers(model, residual)


def use_transformers_attention(model: Any, name: str = "eager") -> None:
    """Switch back to one of transformers' own attention functions and layers."""
    unpack_layers(model)
    model.set_attn_implementation(name)


def forward_packed(model: Any, token_ids: Tensor, packing: Packing, places: Tensor | None = None) -> Tensor:
    """Hidden states of one packed row.

    Args:
        model: a ModernBERT, with a head or without, after `use_packed_attention`.
        token_ids: the row, `[T]`.
        packing: its documents.
        places: the tokens whose states are wanted, `[m]`; all if left out. What lies behind the last layer's attention is
            then done for these alone.

    Returns:
        `[m, hidden]` or `[T, hidden]`.
    """
    encoder = model.base_model
    if not getattr(encoder, "layer_by_layer", False):
        return run_layers(encoder, token_ids, packing, places)
    # Weights that are cut into parts are gathered when a layer's own forward is called.
    output = encoder(input_ids=token_ids[None], position_ids=packing.rotary_positions[None], packing=packing)
    hidden: Tensor = output.last_hidden_state[0]
    return hidden if places is None else hidden.index_select(0, places)
