"""Packed attention for transformers' ModernBERT: documents in one row never see each other.

transformers hands every attention function the keyword arguments of the forward call. We register ours under the name
`rexplug` and pass it a `Packing`, made once per row. (Position ids that start anew at each document do not keep
documents apart in any of transformers' own attention functions.)

Shapes: T tokens of the row, h heads, d size of a head.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from rexplug.errors import DataError
from rexplug.model.blocks import Plan, attend_blocks, attend_groups

NAME = "rexplug"


@dataclass(frozen=True, eq=False)
class Packing:
    """Where the documents of a row lie; `borders` `[n + 1]` are cumulative ends, the padding tail left out.

    `width` is the row's length T with padding; the tail counts as a document of its own. With `sizes`, tokens of each
    document on the host, nothing here waits for a GPU or is copied to it.
    """

    borders: Tensor
    width: int
    backend: str
    sizes: Sequence[int] | None = None

    @cached_property
    def lengths(self) -> list[int]:
        """Tokens of each document, the tail included; adds up to `width`."""
        found = torch.diff(self.borders.long()).tolist() if self.sizes is None else list(self.sizes)
        tail = self.width - sum(found)
        return [*found, tail] if tail else found

    @cached_property
    def max_length(self) -> int:
        """Tokens of the longest document."""
        return max(self.lengths)

    @cached_property
    def ends(self) -> Tensor:
        """`borders` with the tail, int32, `[n + 1]` or `[n + 2]`: cu_seqlens as varlen kernels want them."""
        borders = self.borders.int()
        return borders if len(self.lengths) < len(borders) else F.pad(borders, (0, 1), value=self.width)

    @cached_property
    def document_of(self) -> Tensor:
        """Number of the document of each token, `[T]`."""
        lengths = torch.diff(self.ends)
        return torch.repeat_interleave(
            torch.arange(len(lengths), device=lengths.device), lengths, output_size=self.width
        )

    @cached_property
    def positions(self) -> Tensor:
        """Place of each token in its document, `[T]`."""
        return torch.arange(self.width, device=self.borders.device) - self.ends[:-1].long()[self.document_of]

    @cached_property
    def rotary_positions(self) -> Tensor:
        """Positions to make cosines and sines for: every place of the longest document for `blocks`, else each token's."""
        if self.backend == "blocks":
            return torch.arange(self.max_length, device=self.borders.device)
        return self.positions

    @cached_property
    def plan(self) -> Plan:
        """How `blocks` and `sdpa` cut the row."""
        return Plan(self.lengths, self.borders.device)


def choose_backend(requested: str, device: torch.device, precision: str = "fp32") -> tuple[str, str]:
    """The attention backend and why: `flash`, `varlen`, `sdpa` or `blocks`; `eager` only if asked for.

    The kernels behind `flash` and `varlen` take half precision only, hence bf16; `sdpa` takes all.

    Raises:
        DataError: the backend that was asked for cannot run here.
    """
    on_gpu, half = device.type == "cuda", precision == "bf16"
    can_flash, can_varlen = on_gpu and half and _flash() is not None, on_gpu and half and varlen_kernel() is not None
    if requested == "auto":
        if can_flash:
            return "flash", "flash-attn is installed and the device is a GPU"
        if can_varlen:
            return "varlen", f"the device is a GPU without flash-attn; torch has {varlen_kernel()}"
        if on_gpu:
            return "sdpa", "variable-length attention on a GPU needs bf16 and a torch that has it"
        return "blocks", "the device is a CPU"
    if requested == "flash" and not can_flash:
        raise DataError(
            "model.attention: flash needs a GPU, bf16 and the package flash-attn; 'auto' takes what this machine has"
        )
    if requested == "varlen" and not can_varlen:
        raise DataError("model.attention: varlen needs a GPU and bf16; 'auto' takes what this machine has")
    if requested == "blocks" and on_gpu:
        raise DataError("model.attention: blocks is the CPU's backend; 'auto' takes what this machine has")
    return requested, "the recipe asks for it"


def _flash() -> Callable[..., Any] | None:
    try:
        from flash_attn import flash_attn_varlen_func
    except ImportError:
        return None
    found: Callable[..., Any] = flash_attn_varlen_func
    return found


def varlen_kernel() -> str | None:
    """torch's own variable-length attention: the public one has a window from 2.11 on, before that the operator."""
    try:
        import inspect

        from torch.nn.attention.varlen import varlen_attn

        if "window_size" in inspect.signature(varlen_attn).parameters:
            return "varlen_attn"
    except ImportError:
        pass
    return "_flash_attention_forward" if hasattr(torch.ops.aten, "_flash_attention_forward") else None


def attend(
    module: Any,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    dropout: float = 0.0,
    sliding_window: int | None = None,
    packing: Packing | None = None,
    **_: Any,
) -> tuple[Tensor, None]:
    """Attention over a packed row; the signature is that of transformers' attention interface.

    `query`, `key`, `value` are `[1, h, T, d]`; the result is `[1, T, h, d]`. ModernBERT passes `sliding_window` =
    half window + 1 in local layers and None in global ones.
    """
    if packing is None or query.shape[0] != 1:
        raise ValueError("attention 'rexplug' needs one packed row and its packing")
    assert attention_mask is None
    assert dropout == 0.0
    half = None if sliding_window is None else sliding_window - 1
    qkv = torch.stack([each[0].transpose(0, 1) for each in (query, key, value)], 1)
    return attend_packed(qkv, None, packing, scaling, half)[None], None


def attend_packed(
    qkv: Tensor,
    rotation: tuple[Tensor, Tensor] | None,
    packing: Packing,
    scale: float | None = None,
    half: int | None = None,
) -> Tensor:
    """Attention of every document of a row to itself.

    Args:
        qkv: queries, keys and values, `[T, 3, h, d]`.
        rotation: for `blocks`, cosines and sines of `packing.rotary_positions`, each `[positions, d / 2]`; None if already
            rotated, as the other backends want them.
        packing: the documents and the backend.
        scale: what scores are multiplied by; 1 / sqrt(d) if None.
        half: tokens seen to either side; None for all.

    Returns:
        `[T, h, d]`.
    """
    scale = qkv.shape[-1] ** -0.5 if scale is None else scale
    if packing.backend == "blocks":
        return attend_blocks(qkv, rotation, packing.plan, scale, half)
    assert rotation is None
    if packing.backend == "sdpa":
        return attend_groups(qkv, packing.plan, scale, half)
    backends = {"flash": _attend_flash, "varlen": _attend_varlen, "eager": _attend_eager}
    return backends[packing.backend](qkv, packing, scale, half)


def rotate(qkv: Tensor, cosines: Tensor, sines: Tensor) -> Tensor:
    """Rotary position embedding of queries and keys; `cosines` and `sines` are `[T, d / 2]`. In fp32 inside."""
    first, second = qkv[:, :2].float().chunk(2, dim=-1)
    cosines, sines = cosines[:, None, None], sines[:, None, None]
    turned = torch.cat([first * cosines - second * sines, second * cosines + first * sines], -1)
    return torch.cat([turned.to(qkv.dtype), qkv[:, 2:]], 1)


def _attend_eager(qkv: Tensor, packing: Packing, scale: float, half: int | None) -> Tensor:
    """The reference: the whole T x T matrix."""
    query, key, value = (each.transpose(0, 1) for each in qkv.unbind(1))
    documents = packing.document_of
    mask = documents[:, None] == documents[None, :]
    if half is not None:
        places = torch.arange(packing.width, device=qkv.device)
        mask &= (places[:, None] - places[None, :]).abs() <= half
    scores = (query @ key.transpose(1, 2)) * scale
    weights = scores.masked_fill(~mask, float("-inf")).softmax(-1, dtype=torch.float32).to(value.dtype)
    return (weights @ value).transpose(0, 1)


def _attend_flash(qkv: Tensor, packing: Packing, scale: float, half: int | None) -> Tensor:
    function = _flash()
    assert function is not None
    window = (-1, -1) if half is None else (half, half)
    ends, longest = packing.ends, packing.max_length
    out: Tensor = function(*qkv.unbind(1), ends, ends, longest, longest, softmax_scale=scale, window_size=window)
    return out


def _attend_varlen(qkv: Tensor, packing: Packing, scale: float, half: int | None) -> Tensor:
    query, key, value = (each.contiguous() for each in qkv.unbind(1))
    ends, longest = packing.ends, packing.max_length
    if varlen_kernel() == "varlen_attn":
        from torch.nn.attention.varlen import varlen_attn

        window = (-1, -1) if half is None else (half, half)
        public: Tensor = varlen_attn(query, key, value, ends, ends, longest, longest, scale=scale, window_size=window)
        return public
    sides: dict[str, int] = {} if half is None else {"window_size_left": half, "window_size_right": half}
    out: Tensor = torch.ops.aten._flash_attention_forward(
        query, key, value, ends, ends, longest, longest, 0.0, False, False, scale=scale, **sides
    )[0]
    return out


def use_packed_attention(model: Any) -> None:
    """Switch a transformers model to packed rows: our attention, and layers that waste fewer copies.

    Weights and their names stay as they are; `use_own_attention` undoes it.
    """
    from transformers import AttentionInterface

    from rexplug.model.layers import pack_layers

    AttentionInterface.register(NAME, attend)
    model.set_attn_implementation(NAME)
    pack_layers(model)


def use_own_attention(model: Any, name: str = "eager") -> None:
    """Switch back to one of transformers' own attention functions and layers."""
    from rexplug.model.layers import unpack_layers

    unpack_layers(model)
    model.set_attn_implementation(name)


def forward_packed(model: Any, token_ids: Tensor, packing: Packing) -> Tensor:
    """Hidden states of one packed row, `[T, hidden]`; `token_ids` is `[T]`."""
    output = model.model(input_ids=token_ids[None], position_ids=packing.rotary_positions[None], packing=packing)
    hidden: Tensor = output.last_hidden_state[0]
    return hidden
