"""Training speed on one GPU: tokens per second, share of the device's peak (MFU) and memory.

    python tests/benchmarks/bench_gpu.py [--steps 30] [--no-compile]

Cases: 150M at 1,024 and at 8,192, 17M at 1,024; vocabulary 50,368, bf16, 30 % masked, the loss in pieces, packed rows of
documents of log-normal lengths. Without a GPU it says so and exits with code 2.
"""

from __future__ import annotations

import argparse
import sys
import time

import torch
from bench_training import Fixed, Special, make_documents, make_rows, recipe_of

from rexplug.engine.composer_model import PackedMaskedLM
from rexplug.engine.loader import HALF_WINDOW, to_tensors
from rexplug.engine.optimizer import make_optimizer
from rexplug.model import build_model
from rexplug.model.attention import choose_backend, use_packed_attention
from rexplug.model.flops import pairs, peak_of, training_flops
from rexplug.recipe.schema import Model

CASES = [
    # size, longest document, tokens of a row, median length
    ("base", 1024, 98_304, 600),
    ("base", 8192, 98_304, 3000),
    ("micro", 1024, 262_144, 600),
]


def on_gpu(row: dict) -> dict:
    return {key: value.cuda() if isinstance(value, torch.Tensor) else value for key, value in row.items()}


def run(size: str, longest: int, width: int, median: float, steps: int, *, compiled: bool) -> None:
    special = Special(50_368)
    backend, why = choose_backend("auto", torch.device("cuda"), "bf16")
    model = build_model(Model(size=size), special, context=8192, seed=1).cuda()
    use_packed_attention(model)
    if compiled:
        for layer in model.model.layers:
            # Everything around attention; attention itself is one kernel already.
            layer.project = torch.compile(layer.project, dynamic=False)
            layer.finish = torch.compile(layer.finish, dynamic=False)
    wrapped = PackedMaskedLM(model, 1, backend).cuda()
    optimizer = make_optimizer(model, recipe_of(width, 10**9, width).phases[0])
    rows = make_rows(make_documents(4 * width, median, longest, special), width, special)[:4]
    stream = Fixed([[row] for row in rows])
    batches = [on_gpu(to_tensors(*pair)["rows"][0]) for pair in stream.batches(stream.start)]
    torch.cuda.reset_peak_memory_stats()
    tokens = flops = 0.0
    began = 0.0
    for step in range(-5, steps):
        if step == 0:
            torch.cuda.synchronize()
            began = time.perf_counter()
        row = batches[step % len(batches)]
        with torch.autocast("cuda", torch.bfloat16):
            outputs = wrapped({"rows": [row]})
            loss = wrapped.loss(outputs, None)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        if step >= 0:
            lengths = torch.diff(row["borders"]).tolist()
            tokens += row["num_tokens"]
            flops += training_flops(
                model.config, num_tokens=row["num_tokens"], global_pairs=pairs(lengths, None),
                local_pairs=pairs(lengths, HALF_WINDOW), num_masked=row["num_masked"],
            )  # fmt: skip
    torch.cuda.synchronize()
    seconds = time.perf_counter() - began
    peak = peak_of(torch.cuda.get_device_name())
    mfu = f"{flops / seconds / peak:6.1%}" if peak else "  peak unknown"
    memory = torch.cuda.max_memory_allocated() / 2**30
    print(f"{size:8}{longest:8,}{width:10,}{tokens / seconds:14,.0f}{mfu:>10}{memory:10.1f} GiB   {backend}: {why}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--no-compile", dest="compiled", action="store_false")
    options = parser.parse_args()
    if not torch.cuda.is_available():
        print(
            "bench_gpu: this machine has no GPU that torch can use; bench_training.py measures a CPU", file=sys.stderr
        )
        sys.exit(2)
    print(f"{torch.cuda.get_device_name()}, torch {torch.__version__}, compiled: {options.compiled}")
    print(f"{'size':8}{'context':>8}{'row':>10}{'tokens/s':>14}{'MFU':>10}{'memory':>14}")
    for size, longest, width, median in CASES:
        run(size, longest, width, median, options.steps, compiled=options.compiled)


if __name__ == "__main__":
    main()
