"""Packed attention for transformers' ModernBERT: documents in one row never see each other.

transformers hands every attention function the keyword arguments of the forward call. We register ours under the name
`rexplug` and pass it a `Packing`, made once per row. (Position ids that start anew at each document do not keep
documents apart in any of transformers' own attention functions.)
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from rexplug.errors import DataError

NAME = "rexplug"
_BLOCK = 64
"""Queries of a block; local layers see one block to either side, so the half window is at most this."""


@dataclass(frozen=True, eq=False)
class Packing:
    """Where the documents of a row lie; `borders` `[n + 1]` are cumulative ends, the padding tail left out.

    `width` is the row's length T with padding; the tail counts as a document of its own.
    """

    borders: Tensor
    width: int
    backend: str

    @cached_property
    def lengths(self) -> list[int]:
        """Tokens of each document, the tail included; adds up to `width`."""
        found: list[int] = torch.diff(self.borders.long()).tolist()
        tail = self.width - sum(found)
        return [*found, tail] if tail else found

    @cached_property
    def max_length(self) -> int:
        """Tokens of the longest document."""
        return max(self.lengths)

    @cached_property
    def ends(self) -> Tensor:
        """`borders` with the tail, int32, `[n + 1]` or `[n + 2]`: cu_seqlens as varlen kernels want them."""
        return F.pad(torch.tensor(self.lengths, dtype=torch.int32, device=self.borders.device).cumsum(0), (1, 0)).int()

    @cached_property
    def document_of(self) -> Tensor:
        """Number of the document of each token, `[T]`."""
        lengths = torch.tensor(self.lengths, device=self.borders.device)
        return torch.repeat_interleave(torch.arange(len(lengths), device=lengths.device), lengths)

    @cached_property
    def band_masks(self) -> dict[int, Tensor]:
        """Half window -> mask of the local layers in blocks, `[num_blocks, 1, block, 3 * block]`; see `_band`."""
        return {}


def choose_backend(requested: str, device: torch.device, precision: str = "fp32") -> tuple[str, str]:
    """The attention backend and why: `flash`, `varlen`, `blocks` or `eager`.

    The kernels behind `flash` and `varlen` take half precision only, hence bf16.

    Raises:
        DataError: the backend that was asked for cannot run here.
    """
    on_gpu, half = device.type == "cuda", precision == "bf16"
    can_flash, can_varlen = on_gpu and half and _flash() is not None, on_gpu and half and _varlen() is not None
    if requested == "auto":
        if can_flash:
            return "flash", "flash-attn is installed and the device is a GPU"
        if can_varlen:
            return "varlen", "the device is a GPU without flash-attn; torch has variable-length attention"
        why = (
            "variable-length attention on a GPU needs bf16 and a torch that has it" if on_gpu else "the device is a CPU"
        )
        return "blocks", why
    if requested == "flash" and not can_flash:
        raise DataError(
            "model.attention: flash needs a GPU, bf16 and the package flash-attn; 'auto' takes what this machine has"
        )
    if requested == "varlen" and not can_varlen:
        raise DataError("model.attention: varlen needs a GPU and bf16; 'auto' takes what this machine has")
    return requested, "the recipe asks for it"


def _flash() -> Callable[..., Any] | None:
    try:
        from flash_attn import flash_attn_varlen_func
    except ImportError:
        return None
    return flash_attn_varlen_func  # type: ignore[no-any-return]


def _varlen() -> Callable[..., Any] | None:
    """torch's varlen kernel; before 2.11 the public one has no window, so the operator beneath it is called."""
    return getattr(torch.ops.aten, "_flash_attention_forward", None)


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

    `query`, `key`, `value` are `[1, heads, T, head_dim]`; the result is `[1, T, heads, head_dim]`. ModernBERT passes
    `sliding_window` = half window + 1 in local layers and None in global ones.
    """
    if packing is None or query.shape[0] != 1:
        raise ValueError("attention 'rexplug' needs one packed row and its packing")
    assert attention_mask is None
    assert dropout == 0.0
    half = None if sliding_window is None else sliding_window - 1
    backends = {"flash": _attend_flash, "varlen": _attend_varlen, "blocks": _attend_blocks, "eager": _attend_eager}
    output = backends[packing.backend](query, key, value, packing, scaling, half)
    return output, None


def _attend_blocks(q: Tensor, k: Tensor, v: Tensor, packing: Packing, scale: float | None, half: int | None) -> Tensor:
    if half is not None and half <= _BLOCK:
        return _band(q, k, v, packing, scale, half)
    # `split`, not slices: the gradient of a slice fills a whole row with zeros, once per document.
    pieces = zip(*(each.split(packing.lengths, 2) for each in (q, k, v)), strict=True)
    outputs = []
    for a, b, c in pieces:
        mask = None
        if half is not None:
            places = torch.arange(a.shape[2], device=a.device)
            mask = (places[:, None] - places[None, :]).abs() <= half
        outputs.append(F.scaled_dot_product_attention(a, b, c, attn_mask=mask, scale=scale))
    return torch.cat(outputs, 2).transpose(1, 2).contiguous()


def _band(q: Tensor, k: Tensor, v: Tensor, packing: Packing, scale: float | None, half: int) -> Tensor:
    """Local attention in blocks: each block of queries sees its own keys and those of its two neighbours."""
    _, heads, width, size = q.shape
    num = -(-width // _BLOCK)
    short = num * _BLOCK - width
    if half not in packing.band_masks:
        packing.band_masks[half] = _band_mask(packing, num, half)
    mask = packing.band_masks[half]

    def blocks(x: Tensor) -> Tensor:
        return F.pad(x, (0, 0, 0, short))[0].view(heads, num, _BLOCK, size).transpose(0, 1)

    def around(x: Tensor) -> Tensor:
        inner = blocks(x)
        wide = F.pad(inner, (0, 0, 0, 0, 0, 0, 1, 1))
        return torch.cat([wide[:-2], inner, wide[2:]], 2)

    out = F.scaled_dot_product_attention(blocks(q), around(k), around(v), attn_mask=mask, scale=scale)
    return out.permute(0, 2, 1, 3).reshape(1, num * _BLOCK, heads, size)[:, :width].contiguous()


def _band_mask(packing: Packing, num: int, half: int) -> Tensor:
    device = packing.borders.device
    padded = F.pad(packing.document_of, (0, num * _BLOCK - packing.width), value=-1)
    queries = padded.view(num, _BLOCK)
    wide = F.pad(queries, (0, 0, 1, 1), value=-2)
    keys = torch.cat([wide[:-2], queries, wide[2:]], 1)
    distance = torch.arange(3 * _BLOCK, device=device)[None, :] - _BLOCK - torch.arange(_BLOCK, device=device)[:, None]
    mask = (queries[:, :, None] == keys[:, None, :]) & (distance.abs() <= half)
    return mask[:, None]


def _attend_eager(q: Tensor, k: Tensor, v: Tensor, packing: Packing, scale: float | None, half: int | None) -> Tensor:
    """The reference: the whole T x T matrix."""
    documents = packing.document_of
    mask = documents[:, None] == documents[None, :]
    if half is not None:
        places = torch.arange(packing.width, device=q.device)
        mask &= (places[:, None] - places[None, :]).abs() <= half
    scores = (q @ k.transpose(2, 3)) * (q.shape[-1] ** -0.5 if scale is None else scale)
    weights = scores.masked_fill(~mask, float("-inf")).softmax(-1, dtype=torch.float32).to(q.dtype)
    return (weights @ v).transpose(1, 2).contiguous()


def _attend_flash(q: Tensor, k: Tensor, v: Tensor, packing: Packing, scale: float | None, half: int | None) -> Tensor:
    function = _flash()
    assert function is not None
    flat = [each[0].transpose(0, 1) for each in (q, k, v)]
    window = (-1, -1) if half is None else (half, half)
    ends, longest = packing.ends, packing.max_length
    out: Tensor = function(*flat, ends, ends, longest, longest, softmax_scale=scale, window_size=window)
    return out[None]


def _attend_varlen(q: Tensor, k: Tensor, v: Tensor, packing: Packing, scale: float | None, half: int | None) -> Tensor:
    function = _varlen()
    assert function is not None
    flat = [each[0].transpose(0, 1).contiguous() for each in (q, k, v)]
    window: dict[str, int] = {} if half is None else {"window_size_left": half, "window_size_right": half}
    ends, longest = packing.ends, packing.max_length
    out: Tensor = function(*flat, ends, ends, longest, longest, 0.0, False, False, scale=scale, **window)[0]
    return out[None]


def use_packed_attention(model: Any) -> None:
    """Switch a transformers model to `attend`."""
    from transformers import AttentionInterface

    AttentionInterface.register(NAME, attend)
    model.set_attn_implementation(NAME)


def forward_packed(model: Any, token_ids: Tensor, position_ids: Tensor, packing: Packing) -> Tensor:
    """Hidden states of one packed row, `[T, hidden]`; `token_ids` and `position_ids` are `[T]`."""
    output = model.model(input_ids=token_ids[None], position_ids=position_ids[None], packing=packing)
    hidden: Tensor = output.last_hidden_state[0]
    return hidden
