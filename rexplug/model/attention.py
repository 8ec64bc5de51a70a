"""Packed attention for transformers' models: documents in one row never attend to each other.

transformers passes the keyword arguments of the forward call on to every attention function. We register ours under the
name `rexplug` and pass it a `Packing`, made once per row. (Position ids that restart at each document do not keep
documents apart in any of transformers' own attention functions.)

Shapes: T tokens of the row, n documents, h heads, d size of a head.
"""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, cached_property, partial
from typing import Any

import torch
from torch import Tensor

from rexplug.errors import DataError
from rexplug.model.cpu.block_attention import attend_blocks, attend_groups
from rexplug.model.document_groups import AttentionPlan

NAME = "rexplug"


@dataclass(frozen=True, eq=False)
class Packing:
    """Where the documents of a row begin and end, and the backend that attends to them.

    `cu_seqlens` `[n + 1]` are the cumulative lengths of the documents, without the padding at the row's end. `width` is the
    row's length T with padding. The padding counts as further documents, none longer than the row's longest document:
    as one document, the padding of a nearly empty row would cost the square of its length. With `host_lengths`, the lengths
    of the documents on the host, nothing here waits for a GPU or is copied to it.
    """

    cu_seqlens: Tensor
    width: int
    backend: str
    host_lengths: Sequence[int] | None = None

    @cached_property
    def lengths(self) -> list[int]:
        """Tokens of each document, then of the pieces of the padding; they add up to `width`."""
        host = self.host_lengths
        documents = torch.diff(self.cu_seqlens.long()).tolist() if host is None else list(host)
        padding = self.width - sum(documents)
        if not padding:
            return documents
        longest = max(documents, default=padding)
        remainder = padding % longest
        return documents + [longest] * (padding // longest) + [remainder] * (remainder > 0)

    @cached_property
    def max_length(self) -> int:
        """Tokens of the longest document."""
        return max(self.lengths)

    @cached_property
    def full_cu_seqlens(self) -> Tensor:
        """Cumulative lengths of documents and pieces of the padding, int32, as variable-length kernels need them."""
        cu_seqlens = self.cu_seqlens.int()
        pieces = len(self.lengths) + 1 - len(cu_seqlens)
        if not pieces:
            return cu_seqlens
        # Computed on the device: a copy from the host would wait for it.
        padding = torch.arange(1, pieces + 1, dtype=torch.int32, device=cu_seqlens.device) * self.lengths[-pieces]
        return torch.cat([cu_seqlens, (padding + sum(self.lengths[:-pieces])).clamp_(max=self.width)])

    @cached_property
    def document_ids(self) -> Tensor:
        """Number of the document of each token, `[T]`."""
        lengths = torch.diff(self.full_cu_seqlens)
        return torch.repeat_interleave(
            torch.arange(len(lengths), device=lengths.device), lengths, output_size=self.width
        )

    @cached_property
    def positions(self) -> Tensor:
        """Position of each token in its document, `[T]`."""
        starts = self.full_cu_seqlens[:-1].long()
        return torch.arange(self.width, device=self.cu_seqlens.device) - starts[self.document_ids]

    @cached_property
    def rotary_positions(self) -> Tensor:
        """Positions to compute cosines and sines for: all of the longest document for `blocks`, else that of each token."""
        if self.backend == "blocks":
            return torch.arange(self.max_length, device=self.cu_seqlens.device)
        return self.positions

    @property
    def stacked(self) -> bool:
        """Whether the backend takes queries, keys and values as one tensor `[T, 3, h, d]`; kernels take three."""
        return self.backend in ("blocks", "sdpa")

    @cached_property
    def plan(self) -> AttentionPlan:
        """How `blocks` and `sdpa` group the documents."""
        return AttentionPlan(self.lengths, self.full_cu_seqlens)


KERNELS = ("flash4", "flash3", "flash", "varlen")
"""Variable-length attention kernels for GPUs, the fastest first."""
_PACKAGES = {"flash4": "flash-attn-4", "flash3": "flash-attn-3", "flash": "flash-attn"}


def choose_backend(
    requested: str, device: torch.device, precision: str = "fp32", *, deterministic: bool = False
) -> tuple[str, str]:
    """The attention backend, and why: one of `KERNELS`, `sdpa` or `blocks`; `eager` only if it is requested.

    The kernels need half precision, hence bf16; `sdpa` takes any. `flash4` and `flash3` need a Hopper or Blackwell GPU.
    Where `deterministic`, only kernels are taken whose backward pass can compute the same bits at every run.

    Raises:
        DataError: the requested backend cannot run here.
    """
    on_gpu, half_precision = device.type == "cuda", precision == "bf16"
    if requested == "auto":
        if not on_gpu:
            return "blocks", "the device is a CPU"
        usable = [
            name
            for name in KERNELS
            if half_precision
            and find_kernel(name, device) is not None
            and (not deterministic or can_be_deterministic(name, device))
        ]
        if not usable:
            return "sdpa", "variable-length attention on a GPU needs bf16 and a torch that has it"
        if usable[0] == "varlen":
            return "varlen", f"the device is a GPU without flash-attn; torch has {varlen_kernel()}"
        return usable[0], f"{_PACKAGES[usable[0]]} is installed and the device is a GPU"
    if requested in KERNELS and not (on_gpu and half_precision and find_kernel(requested, device) is not None):
        gpu = "a Hopper or Blackwell GPU" if requested in ("flash4", "flash3") else "a GPU"
        package = f", bf16 and the package {_PACKAGES[requested]}" if requested in _PACKAGES else " and bf16"
        raise DataError(f"model.attention: {requested} needs {gpu}{package}; 'auto' takes what this machine has")
    if requested == "blocks" and on_gpu:
        raise DataError("model.attention: blocks is the CPU's backend; 'auto' takes what this machine has")
    if requested in KERNELS and deterministic and not can_be_deterministic(requested, device):
        raise DataError(
            f"model.deterministic: {requested} on this GPU cannot compute the same gradients twice; 'attention: auto' takes a "
            "kernel that can"
        )
    return requested, "the recipe asks for it"


Kernel = Callable[[Tensor, Tensor, Tensor, Tensor, int, float, "int | None"], Tensor]
"""Takes queries, keys and values `[T, h, d]`, cu_seqlens, the longest length, the scale and the half window; gives `[T, h, d]`."""


def find_kernel(name: str, device: torch.device) -> Kernel | None:
    """A kernel of `KERNELS` that this GPU can run; None if its package is missing or the GPU is too old for it."""
    if name in ("flash4", "flash3") and torch.cuda.get_device_capability(device)[0] < 9:
        return None
    return _imported_kernel(name)


def can_be_deterministic(name: str, device: torch.device) -> bool:
    """Whether a kernel of `KERNELS` that this GPU runs has a backward pass that computes the same bits at every run."""
    if name == "varlen":  # torch's own, by torch's switch
        return True
    if name == "flash4" and torch.cuda.get_device_capability(device)[0] not in (9, 10, 11):
        return False
    kernel = _imported_kernel(name)
    function = kernel.args[0] if isinstance(kernel, partial) else None
    return function is not None and "deterministic" in inspect.signature(function).parameters


@cache
def _imported_kernel(name: str) -> Kernel | None:
    try:
        if name == "flash4":
            # Its kernels are compiled at first use: with the cache on disk, once and not once per process.
            os.environ.setdefault("FLASH_ATTENTION_CUTE_DSL_CACHE_ENABLED", "1")
            from flash_attn.cute.interface import flash_attn_varlen_func as flash4

            return partial(_attend_flash4, flash4)
        if name == "flash3":
            from flash_attn_interface import flash_attn_varlen_func as flash3

            return partial(_attend_flash, flash3)
        if name == "flash":
            from flash_attn import flash_attn_varlen_func as flash2

            return partial(_attend_flash, flash2)
    except ImportError:
        return None
    return None if varlen_kernel() is None else _attend_varlen


@cache
def varlen_kernel() -> str | None:
    """Name of torch's own variable-length attention: the public function has a window from 2.11 on, before that the operator."""
    try:
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
    """Attention over a packed row, with the signature of transformers' attention interface.

    `query`, `key`, `value` are `[1, h, T, d]`; the result is `[1, T, h, d]`. `sliding_window` is the half window + 1 in
    local layers and None in global ones.

    Raises:
        ValueError: the call has no packing, or a batch of several rows.
    """
    if packing is None or query.shape[0] != 1:
        raise ValueError("attention 'rexplug' needs one packed row and its packing")
    assert attention_mask is None
    assert dropout == 0.0
    half_window = None if sliding_window is None else sliding_window - 1
    query, key, value = (states[0].transpose(0, 1) for states in (query, key, value))
    qkv = torch.stack([query, key, value], 1) if packing.stacked else (query, key, value)
    return attend_packed(qkv, None, packing, scaling, half_window)[None], None


def attend_packed(
    qkv: Tensor | tuple[Tensor, Tensor, Tensor],
    rotation: tuple[Tensor, Tensor] | None,
    packing: Packing,
    scale: float | None = None,
    half_window: int | None = None,
) -> Tensor:
    """Attention of every document of a row to itself.

    Args:
        qkv: queries, keys and values: `[T, 3, h, d]` for backends that take them `stacked`, else three of `[T, h, d]`.
        rotation: for `blocks`, cosines and sines of `packing.rotary_positions`, each `[positions, d / 2]`; None if already
            rotated, as the other backends need them.
        packing: the documents and the backend.
        scale: what scores are multiplied by; 1 / sqrt(d) if None.
        half_window: tokens that a token attends to on either side; None for all.

    Returns:
        `[T, h, d]`.
    """
    if isinstance(qkv, Tensor):
        scale = qkv.shape[-1] ** -0.5 if scale is None else scale
        if packing.backend == "blocks":
            return attend_blocks(qkv, rotation, packing.plan, scale, half_window)
        assert rotation is None
        assert packing.backend == "sdpa"
        return attend_groups(qkv, packing.plan, scale, half_window)
    assert rotation is None
    scale = qkv[0].shape[-1] ** -0.5 if scale is None else scale
    if packing.backend == "eager":
        return _attend_eager(*qkv, packing, scale, half_window)
    kernel = _imported_kernel(packing.backend)
    assert kernel is not None
    return kernel(*qkv, packing.full_cu_seqlens, packing.max_length, scale, half_window)


def rotate(x: Tensor, cosines: Tensor, sines: Tensor) -> Tensor:
    """Rotary position embedding of `x` `[T, ..., d]`; `cosines` and `sines` are `[T, d / 2]`. In fp32 inside."""
    first, second = x.float().chunk(2, dim=-1)
    shape = (len(x), *(1,) * (x.ndim - 2), -1)
    cosines, sines = cosines.view(shape), sines.view(shape)
    return torch.cat([first * cosines - second * sines, second * cosines + first * sines], -1).to(x.dtype)


def _attend_eager(
    query: Tensor, key: Tensor, value: Tensor, packing: Packing, scale: float, half_window: int | None
) -> Tensor:
    """The reference implementation: the full T x T matrix of scores."""
    query, key, value = (states.transpose(0, 1) for states in (query, key, value))
    documents = packing.document_ids
    mask = documents[:, None] == documents[None, :]
    if half_window is not None:
        positions = torch.arange(packing.width, device=query.device)
        mask &= (positions[:, None] - positions[None, :]).abs() <= half_window
    scores = (query @ key.transpose(1, 2)) * scale
    weights = scores.masked_fill(~mask, float("-inf")).softmax(-1, dtype=torch.float32).to(value.dtype)
    return (weights @ value).transpose(0, 1)


def _attend_flash(
    function: Callable[..., Any], query: Tensor, key: Tensor, value: Tensor,
    cu_seqlens: Tensor, longest: int, scale: float, half_window: int | None,
) -> Tensor:  # fmt: skip
    """FlashAttention 2 and 3."""
    window = (-1, -1) if half_window is None else (half_window, half_window)
    out = function(
        query, key, value, cu_seqlens, cu_seqlens, longest, longest, softmax_scale=scale, window_size=window,
        **_deterministic(),
    )  # fmt: skip
    attended: Tensor = out[0] if isinstance(out, tuple) else out
    return attended


def _attend_flash4(
    function: Callable[..., Any], query: Tensor, key: Tensor, value: Tensor,
    cu_seqlens: Tensor, longest: int, scale: float, half_window: int | None,
) -> Tensor:  # fmt: skip
    """FlashAttention 4, which names its arguments differently and takes None for no window."""
    out = function(
        query, key, value, cu_seqlens_q=cu_seqlens, cu_seqlens_k=cu_seqlens, max_seqlen_q=longest, max_seqlen_k=longest,
        softmax_scale=scale, window_size=(half_window, half_window), **_deterministic(),
    )  # fmt: skip
    attended: Tensor = out[0] if isinstance(out, tuple) else out
    return attended


def _deterministic() -> dict[str, bool]:
    """The option of the flash-attn packages that makes gradients the same bits at every run, if torch's switch is on.

    Their backward pass adds up gradients of queries in the order in which blocks of keys finish otherwise.
    """
    return {"deterministic": True} if torch.are_deterministic_algorithms_enabled() else {}


def _attend_varlen(
    query: Tensor, key: Tensor, value: Tensor, cu_seqlens: Tensor, longest: int, scale: float, half_window: int | None
) -> Tensor:
    """torch's own kernel, which is FlashAttention 2; its gradients obey torch's switch for deterministic algorithms."""
    query, key, value = (states.contiguous() for states in (query, key, value))
    if varlen_kernel() == "varlen_attn":
        from torch.nn.attention.varlen import varlen_attn

        window = (-1, -1) if half_window is None else (half_window, half_window)
        public: Tensor = varlen_attn(
            query, key, value, cu_seqlens, cu_seqlens, longest, longest, scale=scale, window_size=window
        )
        return public
    sides: dict[str, int] = {}
    if half_window is not None:
        sides = {"window_size_left": half_window, "window_size_right": half_window}
    out: Tensor = torch.ops.aten._flash_attention_forward(
        query, key, value, cu_seqlens, cu_seqlens, longest, longest, 0.0, False, False, scale=scale, **sides
    )[0]
    return out
