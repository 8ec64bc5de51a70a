"""Profiles a step: its 25 slowest kernels, the GPU's idle share, calls that wait for it, and the time of each part alone."""

import collections
import gc
import os
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import bench_gpu as b
import torch
from common import DEVICE, GPU, TINY, counted_waits, milliseconds, part, result
from made_stream import recipe_of, special_of
from torch._C._autograd import DeviceType
from torch.profiler import ProfilerActivity, profile

from rexplug.engine.composer_model import PackedMaskedLM
from rexplug.engine.optimizers.factory import build_optimizer
from rexplug.engine.tensor_row import TensorRow
from rexplug.model import build_model
from rexplug.model.attention import KERNELS, Packing, attend_packed, choose_backend, find_kernel
from rexplug.model.compile import compile_layers
from rexplug.model.family import DEFAULT_FAMILY
from rexplug.model.flops import attention_pairs
from rexplug.model.layers import QKV
from rexplug.model.loss import masked_lm_loss
from rexplug.model.packed import use_packed_attention
from rexplug.recipe.schema import Model

STEPS = 3
Step = Callable[[int], None]


def prepared(
    size: str, longest: int, width: int, median: float, vocabulary: int
) -> tuple[Any, torch.optim.Optimizer, list[TensorRow], Step, str]:
    """A model, its optimizer, full rows, a training step on one of them, and the attention backend."""
    special = special_of(vocabulary)
    backend, _ = choose_backend("auto", DEVICE, "bf16")
    model = build_model(Model(size=size), special, context=8192, seed=1).to(DEVICE)
    use_packed_attention(model)
    if GPU:
        torch._dynamo.reset()
        compile_layers(model)
    wrapped = PackedMaskedLM(model, 1, backend).to(DEVICE)
    optimizer = build_optimizer(model, recipe_of(width, width, 10**9).phases[0])
    rows = b.full_rows(longest, width, median, vocabulary=vocabulary, device=DEVICE, num_rows=3)

    def step(number: int) -> None:
        with torch.autocast(DEVICE.type, torch.bfloat16):
            loss = wrapped.loss(wrapped({"rows": [rows[number % len(rows)]]}), None)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()

    return model, optimizer, rows, step, backend


def waits(step: Step) -> None:
    """Calls that wait for the GPU within a step (a copy or a read): there should be none."""
    if not GPU:
        return
    with counted_waits() as places:
        step(0)
    result("waits", count=sum(places.values()), where=str(dict(places.most_common(8))))


def kernels(step: Step, name: str) -> None:
    activities = [ProfilerActivity.CPU] + ([ProfilerActivity.CUDA] if GPU else [])
    with profile(activities=activities) as seen:
        for number in range(STEPS):
            step(number)
        if GPU:
            torch.cuda.synchronize()
    if not GPU:
        print(seen.key_averages().table(sort_by="self_cpu_time_total", row_limit=25, max_name_column_width=60))
        return
    spans: list[tuple[float, float]] = []
    by_name: dict[str, list[float]] = collections.defaultdict(lambda: [0.0, 0])
    for event in seen.events():
        if event.device_type == DeviceType.CUDA and not event.name.startswith(("ProfilerStep", "gpu_user")):
            spans.append((event.time_range.start, event.time_range.end))
            by_name[event.name][0] += event.time_range.end - event.time_range.start
            by_name[event.name][1] += 1
    spans.sort()
    busy, end = 0.0, spans[0][0]
    for first, last in spans:
        busy += max(0.0, last - max(first, end))
        end = max(end, last)
    whole = end - spans[0][0]
    total = sum(spent for spent, _ in by_name.values())
    result(
        "idle",
        case=name,
        gpu_idle_share=1 - busy / whole,
        ms_per_row=whole / STEPS / 1e3,
        kernels_per_row=sum(c for _, c in by_name.values()) / STEPS,
    )
    kinds: dict[str, float] = collections.defaultdict(float)
    for kernel, (spent, _) in by_name.items():
        low = kernel.lower()
        kind = next(
            (
                k
                for k, words in {
                    "attention": ("flash", "fmha"),
                    "products": ("gemm", "cutlass", "nvjet", "wgmma", "xmma", "cublas"),
                    "optimizer": ("adamw",),
                    "copies": ("memcpy", "memset"),
                    "softmax/loss": ("softmax",),
                    "triton (compiled)": ("triton",),
                    "sort/scan/index": ("sort", "scan", "index", "embedding", "radix"),
                }.items()
                if any(w in low for w in words)
            ),
            "eager elementwise and reductions",
        )
        kinds[kind] += spent
    for kind, spent in sorted(kinds.items(), key=lambda pair: -pair[1]):
        print(f"= {name}: {kind:34}{spent / STEPS / 1e3:9.2f} ms a row {spent / total:7.1%}")
    print(f"{'ms a row':>9}{'share':>8}{'calls':>7}  kernel")
    for kernel, (spent, count) in sorted(by_name.items(), key=lambda pair: -pair[1][0])[:25]:
        print(f"{spent / STEPS / 1e3:9.3f}{spent / total:8.1%}{count / STEPS:7.0f}  {kernel[:150]}")


def there_and_back(call: Callable[[], torch.Tensor], upstream: torch.Tensor) -> None:
    call().backward(upstream)


def parts(model: Any, optimizer: torch.optim.Optimizer, row: TensorRow, backend: str, name: str) -> None:
    """Time of attention, head and optimizer alone."""
    heads = model.config.num_attention_heads
    width = len(row.token_ids)
    up = torch.randn(width, heads, 64, device=DEVICE, dtype=torch.bfloat16 if GPU else torch.float32)
    usable = [kernel for kernel in KERNELS if GPU and find_kernel(kernel, DEVICE) is not None] or [backend]
    for kernel in usable:
        packing = Packing(row.cu_seqlens, width, kernel, row.lengths)
        make = partial(torch.randn, device=DEVICE, dtype=up.dtype, requires_grad=True)
        qkv: QKV = make(width, 3, heads, 64)
        if not packing.stacked:
            qkv = make(width, heads, 64), make(width, heads, 64), make(width, heads, 64)
        for half in (None, DEFAULT_FAMILY.half_window):
            count = attention_pairs(row.lengths, half)
            flops = 4 * count * heads * 64
            with part(f"attention {kernel}"):
                attention = partial(attend_packed, qkv, None, packing, 0.125, half)
                with torch.no_grad():
                    forward = milliseconds(attention, 5)
                both = milliseconds(partial(there_and_back, attention, up), 5)
                result(
                    "part",
                    case=name,
                    what=f"attention {kernel} {'global' if half is None else 'local'}",
                    forward_ms=forward,
                    both_ms=both,
                    tflops_forward=flops / forward / 1e9,
                    tflops_both=3 * flops / both / 1e9,
                )
    hidden = torch.randn(row.num_masked, model.config.hidden_size, device=DEVICE, requires_grad=True)
    labels = row.labels

    for kernel in ("pieces", "compiled", "liger") if GPU else ("pieces",):

        def head(kernel: str = kernel) -> None:
            with torch.autocast(DEVICE.type, torch.bfloat16):
                total, *_ = masked_lm_loss(model, hidden, labels, kernel=kernel)
            total.backward()

        with part(f"head and loss {kernel}"):
            ms = milliseconds(head, 5)
            flops = 6 * row.num_masked * model.config.hidden_size * (model.config.hidden_size + model.config.vocab_size)
            result("part", case=name, what=f"head and loss {kernel}", both_ms=ms, tflops_both=flops / ms / 1e9)
    if os.environ.get("KIT_PEERS"):
        peers(hidden, labels, model, name)
    for parameter in model.parameters():
        if parameter.grad is None:
            parameter.grad = torch.zeros_like(parameter)
    ms = milliseconds(optimizer.step, 5)
    result(
        "part",
        case=name,
        what="optimizer step",
        both_ms=ms,
        gb_s=36 * sum(p.numel() for p in model.parameters()) / ms / 1e6,
    )


def peers(hidden: torch.Tensor, labels: torch.Tensor, model: Any, name: str) -> None:
    """Whole fused linear cross entropies of two libraries, for comparison: neither gives losses per token without another pass."""
    x = hidden.detach().to(torch.bfloat16).requires_grad_()
    weight = model.decoder.weight.detach().to(torch.bfloat16).requires_grad_()
    bias = model.decoder.bias.detach().to(torch.bfloat16).requires_grad_()
    with part("head: liger-kernel's fused linear cross entropy"):
        from liger_kernel.ops.fused_linear_cross_entropy import LigerFusedLinearCrossEntropyFunction as Fused

        def liger() -> None:
            out = Fused.apply(
                x, weight, labels, bias, None, -100, 0.0, 0.0, "sum", None, False, torch.float32, False, True
            )
            out[0].backward()

        result("part", case=name, what="peer liger fused linear", both_ms=milliseconds(liger, 5))
    with part("head: cut-cross-entropy"):
        from cut_cross_entropy import linear_cross_entropy

        result(
            "part",
            case=name,
            what="peer cut-cross-entropy",
            both_ms=milliseconds(lambda: linear_cross_entropy(x, weight, labels, reduction="sum").backward(), 5),
        )


def enqueue(step: Step, name: str) -> None:
    """Milliseconds until Python has launched the kernels of a row, and until the GPU has run them."""
    b.wait_for(DEVICE)
    began = time.perf_counter()
    for number in range(STEPS):
        step(number)
    asked = time.perf_counter() - began
    b.wait_for(DEVICE)
    result(
        "enqueue",
        case=name,
        python_ms_per_row=asked / STEPS * 1e3,
        done_ms_per_row=(time.perf_counter() - began) / STEPS * 1e3,
    )


for case in b.TINY[:1] if TINY else (b.CASES[1], b.CASES[0], b.CASES[2])[: int(os.environ.get("KIT_CASES", "2"))]:
    name = f"{case[0]}@{case[1]}"
    with part(f"profile {name}"):
        model, optimizer, rows, step, backend = prepared(*case, 512 if TINY else 50_368)
        for number in range(3):
            step(number)
        with part("waits"):
            waits(step)
        with part("enqueue"):
            enqueue(step, name)
        with part("kernels"):
            kernels(step, name)
        with part("parts"):
            parts(model, optimizer, rows[0], backend, name)
        del model, optimizer, rows, step
    gc.collect()
    if GPU:
        torch.cuda.empty_cache()
