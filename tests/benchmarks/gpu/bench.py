"""`bench_gpu.py` with its variants; a case that fails does not end the others."""

import gc
import os
import time

import bench_gpu
import torch
from common import DEVICE, GPU, TINY, part, result

LIMIT = float(os.environ.get("KIT_BENCH_SECONDS", "140"))
BASE, BASE_LONG, MICRO = (0, 1, 2) if not TINY else (0, 1, 0)
CASES = bench_gpu.TINY if TINY else bench_gpu.CASES
VARIANTS = [
    # case, options: the most telling first, since time may run out
    (BASE, {}),
    (MICRO, {}),
    (BASE_LONG, {}),
    (BASE, {"residual": "bf16"}),
    (MICRO, {"residual": "bf16"}),
    (MICRO, {"loss_kernel": "compiled"}),
    (BASE, {"loss_kernel": "compiled"}),
    (MICRO, {"loss_kernel": "pieces"}),
    (BASE_LONG, {"residual": "bf16"}),
    (BASE_LONG, {"attention": "varlen"}),
    (BASE, {"attention": "varlen"}),
    (BASE, {"compiled": False}),
    (MICRO, {"compiled": False}),
]
if os.environ.get("KIT_VARIANTS"):
    VARIANTS = [VARIANTS[int(number)] for number in os.environ["KIT_VARIANTS"].split(",")]
elif TINY:
    VARIANTS = VARIANTS[:4]
began = time.perf_counter()
print(f"{torch.cuda.get_device_name() if GPU else 'a CPU'}, torch {torch.__version__}")
print(f"{'size':8}{'context':>8}{'row':>10}{'tokens/s':>14}{'MFU':>10}{'memory':>14}")
for number, options in VARIANTS:
    case = CASES[number]
    options = {"compiled": True, **options}
    if not GPU:
        options |= {"compiled": False, "attention": "auto", "loss_kernel": None}
    name = f"{case[0]}@{case[1]} {' '.join(f'{key}={value}' for key, value in options.items())}"
    if time.perf_counter() - began > LIMIT - 12:
        print(f"FAIL {name}: no time left")
        continue
    with part(f"bench {name}"):
        start = time.perf_counter()
        made = bench_gpu.run(
            *case, steps=3 if TINY else 14, vocabulary=512 if TINY else 50_368, device=DEVICE, **options
        )  # fmt: skip
        result(
            "bench", size=case[0], context=case[1], row=case[2], **options, **made, seconds=time.perf_counter() - start
        )
    gc.collect()
    if GPU:
        torch.cuda.empty_cache()
