"""`bench_gpu.py` with its variants; a case that fails does not end the others."""

import gc
import os
import time
from typing import Any

import bench_gpu
import torch
from common import DEVICE, GPU, TINY, part, result

from rexplug.model import layers

LIMIT = float(os.environ.get("KIT_BENCH_SECONDS", "140"))
BASE, BASE_LONG, MICRO = (0, 1, 2) if not TINY else (0, 1, 0)
CASES = bench_gpu.TINY if TINY else bench_gpu.CASES
VARIANTS: list[tuple[int, dict[str, Any]]] = [
    # case, options: the most informative first, since time may run out
    (BASE, {}),
    (BASE_LONG, {}),
    (MICRO, {}),
    (BASE, {"attention": "varlen"}),
    (BASE, {"attention": "varlen", "glu": "joint"}),
    (BASE_LONG, {"attention": "varlen"}),
    (MICRO, {"attention": "varlen"}),
    (BASE, {"residual": "bf16"}),
    (MICRO, {"residual": "bf16"}),
    (BASE_LONG, {"residual": "bf16"}),
    (MICRO, {"loss_kernel": "compiled"}),
    (MICRO, {"loss_kernel": "pieces"}),
    (BASE, {"compiled": False}),
    (MICRO, {"compiled": False}),
]
if os.environ.get("KIT_VARIANTS"):
    VARIANTS = [VARIANTS[int(number)] for number in os.environ["KIT_VARIANTS"].split(",")]
elif not GPU:
    # Attention, loss kernel and compiling are the CPU's own whatever is asked for; what is left are these.
    VARIANTS = [(BASE, {}), (BASE_LONG, {"residual": "bf16"})]
elif TINY:
    VARIANTS = VARIANTS[:4]
split = layers._gated
DEFAULT = {"compiled": True} if GPU else {"compiled": False, "attention": "auto", "loss_kernel": None}


def joint(hidden: torch.Tensor, up: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
    """One product for both halves."""
    gate, value = torch.nn.functional.linear(hidden, up, bias).chunk(2, -1)
    return torch.nn.functional.gelu(gate) * value


began = time.perf_counter()
print(f"{torch.cuda.get_device_name() if GPU else 'a CPU'}, torch {torch.__version__}")
print(f"{'size':8}{'context':>8}{'row':>10}{'tokens/s':>14}{'MFU':>10}{'memory':>14}")
for number, options in VARIANTS:
    case = CASES[number]
    options = {"compiled": True, **options}
    layers._gated = joint if options.pop("glu", "") == "joint" else split
    torch._dynamo.reset()
    if not GPU:
        options |= {"compiled": False, "attention": "auto", "loss_kernel": None}
    glu = "joint" if layers._gated is joint else "split"
    name = f"{case[0]}@{case[1]} glu={glu} {' '.join(f'{key}={value}' for key, value in options.items())}"
    if time.perf_counter() - began > LIMIT - 12:
        print(f"FAIL {name}: no time left")
        continue
    with part(f"bench {name}"):
        start = time.perf_counter()
        made = bench_gpu.run(
            *case, steps=3 if TINY else 14, vocabulary=512 if TINY else 50_368, device=DEVICE, **options
        )  # fmt: skip
        result(
            "bench",
            size=case[0],
            context=case[1],
            row=case[2],
            glu=glu,
            **options,
            **made,
            # what beside_trainer.py compares with
            default=number in (BASE, BASE_LONG, MICRO) and glu == "split" and options == DEFAULT,
            seconds=time.perf_counter() - start,
        )
    gc.collect()
    if GPU:
        torch.cuda.empty_cache()
