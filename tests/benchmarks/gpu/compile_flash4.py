"""Compiles FlashAttention 4's kernels for a Hopper GPU on a machine without one, into its cache on disk.

    python compile_flash4.py FOLDER

Needs flash-attn-4 and torch for the Python version of the GPU machine: version and sources are part of the cache's key. With
`FLASH_ATTENTION_CUTE_DSL_CACHE_DIR=FOLDER` the GPU machine then loads in milliseconds what it would compile for 5 to 15 s each.
Kernels differ in head size, window, number of documents (a lookup from 257 on), deterministic backward and inference, not in the
number of heads or the lengths.
"""

import os
import sys
import time
from pathlib import Path

os.environ |= {
    "FLASH_ATTENTION_ARCH": "sm_90a",
    "CUTE_DSL_ARCH": "sm_90a",
    "FLASH_ATTENTION_NUM_SMS": "132",  # H100 SXM and H200
    "FLASH_ATTENTION_CUTE_DSL_CACHE_ENABLED": "1",
    "FLASH_ATTENTION_CUTE_DSL_CACHE_DIR": str(Path(sys.argv[1]).resolve()),
}

import torch
from flash_attn.cute.interface import _flash_attn_bwd, flash_attn_func, flash_attn_varlen_func
from torch._subclasses.fake_tensor import FakeTensorMode

TOKENS, HEADS, SCALE = 65_536, 4, 0.125
# Asked for when a semaphore of the deterministic backward pass is described to the compiler.
torch.cuda.current_device = lambda: 0


def compile_kernels(size: int, documents: int, window: int | None, deterministic: bool) -> None:
    """Forward pass with and without gradients, and backward pass, of `documents` documents in a row."""
    with FakeTensorMode(allow_non_fake_inputs=True):
        query, key, value = (
            torch.empty(TOKENS, HEADS, size, dtype=torch.bfloat16, device="cuda", requires_grad=True) for _ in range(3)
        )
        cu_seqlens = torch.empty(documents + 1, dtype=torch.int32, device="cuda")
        options = {
            "cu_seqlens_q": cu_seqlens, "cu_seqlens_k": cu_seqlens, "max_seqlen_q": 1024, "max_seqlen_k": 1024,
            "softmax_scale": SCALE, "window_size": (window, window),
        }  # fmt: skip
        flash_attn_varlen_func(query.detach(), key.detach(), value.detach(), **options)
        out = flash_attn_varlen_func(query, key, value, **options)
        out = out[0] if isinstance(out, tuple) else out
        # Called directly: autograd's own thread would not see the fake tensors' mode.
        lse = torch.empty(HEADS, TOKENS, dtype=torch.float32, device="cuda")
        with torch.no_grad():
            _flash_attn_bwd(
                query.detach(), key.detach(), value.detach(), out.detach(), torch.empty_like(out), lse, SCALE, False, 0.0,
                window_size_left=window, window_size_right=window, cu_seqlens_q=cu_seqlens, cu_seqlens_k=cu_seqlens,
                max_seqlen_q=1024, max_seqlen_k=1024, deterministic=deterministic,
            )  # fmt: skip


def compile_dense(size: int, window: int | None) -> None:
    """What transformers calls for a batch without padding."""
    with FakeTensorMode(allow_non_fake_inputs=True):
        query, key, value = (
            torch.empty(64, 1024, HEADS, size, dtype=torch.bfloat16, device="cuda", requires_grad=True)
            for _ in range(3)
        )
        out = flash_attn_func(query, key, value, softmax_scale=SCALE, window_size=(window, window))
        out = out[0] if isinstance(out, tuple) else out
        lse = torch.empty(64, HEADS, 1024, dtype=torch.float32, device="cuda")
        with torch.no_grad():
            _flash_attn_bwd(
                query.detach(), key.detach(), value.detach(), out.detach(), torch.empty_like(out), lse, SCALE, False, 0.0,
                window_size_left=window, window_size_right=window, deterministic=False,
            )  # fmt: skip


def main() -> None:
    sizes = [int(size) for size in os.environ.get("KIT_HEAD_SIZES", "64").split(",")]
    for size in sizes:
        for window in (None, 64):
            for deterministic in (False, True):
                for documents in (100, 400):
                    began = time.perf_counter()
                    compile_kernels(size, documents, window, deterministic)
                    print(
                        f"{size=} {window=} {deterministic=} {documents=}: {time.perf_counter() - began:.1f} s",
                        flush=True,
                    )
            began = time.perf_counter()
            compile_dense(size, window)
            print(f"{size=} {window=} dense: {time.perf_counter() - began:.1f} s", flush=True)


main()
