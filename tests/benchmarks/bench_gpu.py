"""Training speed on one GPU: tokens per second, share of the device's peak (MFU) and memory.

    python tests/benchmarks/bench_gpu.py [--steps 30] [--no-compile] [--tiny]

Cases: 150M at 1,024 and at 8,192, 17M at 1,024; vocabulary 50,368, bf16, 30 % masked, packed rows of documents of log-normal
lengths; rows that are not full are left out. Without a GPU it prints that and exits with code 2.

`--tiny` runs the same code with a tiny model, on a GPU or on a CPU: it shows that the script runs on this machine and with
this torch. Its speeds mean nothing.
"""

from __future__ import annotations

import argparse
import resource
import sys
import tempfile
import time
from pathlib import Path

import torch
from made_stream import recipe_of, special_of, stream_of, write_store

from rexplug.engine.composer_model import PackedMaskedLM
from rexplug.engine.loader import to_tensors
from rexplug.engine.optimizers.factory import build_optimizer
from rexplug.engine.tensor_row import TensorRow
from rexplug.model import build_model
from rexplug.model.attention import choose_backend
from rexplug.model.compile import compile_layers
from rexplug.model.family import DEFAULT_FAMILY
from rexplug.model.flops import attention_pairs, peak_of, training_flops
from rexplug.model.packed import use_packed_attention
from rexplug.recipe.schema import Model

CASES = [
    # size, longest document, tokens of a row, median length
    ("base", 1024, 98_304, 600),
    ("base", 8192, 98_304, 3000),
    ("micro", 1024, 262_144, 600),
]
FULL = 0.9
"""Rows with a smaller share of tokens are left out."""
TINY = [("nano", 256, 512, 60), ("nano", 512, 1024, 100)]


def wait_for(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize()


def memory_gib(device: torch.device) -> float:
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated() / 2**30
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def full_rows(
    longest: int, width: int, median: float, *, vocabulary: int, device: torch.device, num_rows: int = 4
) -> list[TensorRow]:
    """Up to `num_rows` rows of `width` tokens on the device, of documents of log-normal lengths."""
    with tempfile.TemporaryDirectory() as folder:
        store = write_store(Path(folder), 4 * width, median, longest, vocabulary)
        stream = stream_of(
            store, special_of(vocabulary), context=longest, row=width, batch=width, total=num_rows * width
        )
        rows = [row.to(device) for pair in stream.batches() for row in to_tensors(*pair)["rows"]]
    # The last row of a stream is partly empty; among only four rows it would weigh too much.
    return [row for row in rows if row.num_tokens > FULL * width]


def run(
    size: str,
    longest: int,
    width: int,
    median: float,
    *,
    steps: int,
    compiled: bool,
    vocabulary: int,
    device: torch.device,
    attention: str = "auto",
    loss_kernel: str | None = None,
    residual: str = "fp32",
) -> dict[str, float]:
    """Train for some steps; prints a line and returns tokens per second, MFU and memory."""
    special = special_of(vocabulary)
    backend, why = choose_backend(attention, device, "bf16")
    model = build_model(Model(size=size), special, context=8192, seed=1).to(device)
    use_packed_attention(model, torch.bfloat16 if residual == "bf16" else None)
    if compiled:
        compile_layers(model)
    wrapped = PackedMaskedLM(model, 1, backend, loss_kernel).to(device)
    optimizer = build_optimizer(model, recipe_of(width, width, 10**9).phases[0])
    rows = full_rows(longest, width, median, vocabulary=vocabulary, device=device)
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
    tokens = flops = 0.0
    began = 0.0
    for step in range(-5, steps):
        if step == 0:
            wait_for(device)
            began = time.perf_counter()
        row = rows[step % len(rows)]
        with torch.autocast(device.type, torch.bfloat16):
            loss = wrapped.loss(wrapped({"rows": [row]}), None)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        if step >= 0:
            tokens += row.num_tokens
            flops += training_flops(
                model.config, num_tokens=row.num_tokens, global_pairs=attention_pairs(row.lengths, None),
                local_pairs=attention_pairs(row.lengths, DEFAULT_FAMILY.half_window), num_masked=row.num_masked,
            )  # fmt: skip
    wait_for(device)
    seconds = time.perf_counter() - began
    peak = peak_of(torch.cuda.get_device_name()) if device.type == "cuda" else None
    mfu = f"{flops / seconds / peak:6.1%}" if peak else "unknown"
    print(
        f"{size:8}{longest:8,}{width:10,}{tokens / seconds:14,.0f}{mfu:>10}{memory_gib(device):10.1f} GiB   {backend}: {why}; "
        f"loss {float(loss.detach()):.3f}"
    )
    return {
        "tokens_s": tokens / seconds, "mfu": flops / seconds / (peak or float("nan")), "memory_gib": memory_gib(device),
        "loss": float(loss.detach()),
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--no-compile", dest="compiled", action="store_false")
    parser.add_argument("--tiny", action="store_true", help="show that the script runs, on any machine")
    options = parser.parse_args()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if device.type != "cuda" and not options.tiny:
        print(
            "bench_gpu: this machine has no GPU that torch can use; bench_training.py measures a CPU", file=sys.stderr
        )
        sys.exit(2)
    name = torch.cuda.get_device_name() if device.type == "cuda" else "a CPU"
    print(f"{name}, torch {torch.__version__}, compiled: {options.compiled}")
    print(f"{'size':8}{'context':>8}{'row':>10}{'tokens/s':>14}{'MFU':>10}{'memory':>14}")
    for case in TINY if options.tiny else CASES:
        vocabulary = 512 if options.tiny else 50_368
        run(*case, steps=options.steps, compiled=options.compiled, vocabulary=vocabulary, device=device)


if __name__ == "__main__":
    main()
