"""A step of the CPU's optimizers compared with optimi's, on weights shaped like those of an encoder.

    OMP_NUM_THREADS=1 python tests/benchmarks/bench_optimizer.py [--width 512] [--layers 8] [--rounds 15]

Both get the same weights and gradients and step alternately; medians of wall time, and the largest difference of any weight.
"""

from __future__ import annotations

import argparse
import statistics
import time
import warnings

import torch
from optimi import AdamW, StableAdamW

from rexplug.engine.optimizers.cpu import FusedAdamW, FusedStableAdamW


def weights(width: int, layers: int) -> list[torch.nn.Parameter]:
    torch.manual_seed(0)
    layer = [(3 * width, width), (width, width), (3 * width, width), (width, 3 * width // 2), (width,), (width,)]
    return [torch.nn.Parameter(0.02 * torch.randn(shape)) for shape in [(8192, width), *layer * layers]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--width", type=int, default=512)
    parser.add_argument("--layers", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=15)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    print(
        f"{sum(weight.numel() for weight in weights(options.width, options.layers)):,} parameters, {options.rounds} rounds\n"
    )
    print(
        "| optimizer | optimi, ms | fused, ms | times as fast | largest difference |\n| --- | ---: | ---: | ---: | ---: |"
    )
    for theirs, ours in ((StableAdamW, FusedStableAdamW), (AdamW, FusedAdamW)):
        kinds = {"theirs": theirs, "ours": ours}
        models = {name: weights(options.width, options.layers) for name in kinds}
        optimizers = {
            name: kind(
                models[name], lr=2e-3, betas=(0.9, 0.98), eps=1e-6, weight_decay=1e-5, decouple_lr=True, max_lr=4e-3,
                triton=False, foreach=True,
            )
            for name, kind in kinds.items()
        }  # fmt: skip
        times: dict[str, list[float]] = {name: [] for name in kinds}
        for number in range(options.rounds + 1):
            for name, optimizer in optimizers.items():
                torch.manual_seed(number)
                for parameter in models[name]:
                    parameter.grad = 0.01 * torch.randn(parameter.shape)
                began = time.perf_counter()
                optimizer.step()
                if number:
                    times[name].append(1000 * (time.perf_counter() - began))
        ratio = statistics.median(a / b for a, b in zip(times["theirs"], times["ours"], strict=True))
        apart = max(float((a - b).abs().max()) for a, b in zip(models["theirs"], models["ours"], strict=True))
        print(
            f"| {theirs.__name__} | {statistics.median(times['theirs']):.1f} | {statistics.median(times['ours']):.1f} | "
            f"{ratio:.1f} | {apart:.1e} |"
        )


if __name__ == "__main__":
    main()
