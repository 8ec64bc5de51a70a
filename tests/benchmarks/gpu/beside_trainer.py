"""transformers' `Trainer` beside rexplug, the same documents in the same minutes, at its best settings on this machine.

What a reader of transformers' documentation can do about speed is tried: bf16, the fused optimizer, logits of masked tokens only
(`sparse_prediction`), no reading of the loss at every step, workers that load and mask, layers compiled by `torch_compile`; torch's
attention on batches of like length with padding, FlashAttention 4 on them (transformers takes the padding out around each layer's
attention), and FlashAttention 4 on packed rows without any padding. Batches are as large as the card's memory allows.

Every run is a process of its own with a time limit (`trainer_case.py`). Prints real tokens a second, and per case how many times ours
(the step `bench` of the same minutes, or measured here) is faster than the fastest of them and than the fastest with padding.
"""

import json
import os
import signal
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import bench_gpu
import torch
from common import DEVICE, GPU, TINY, part, result

HERE, OUT = Path(__file__).parent, Path(os.environ.get("OUT", "."))
LIMIT = float(os.environ.get("KIT_TRAINER_SECONDS", "150"))
BASE, LONG, MICRO = (bench_gpu.CASES[number] for number in (0, 1, 2)) if not TINY else (bench_gpu.TINY[0],) * 3
GIB = torch.cuda.get_device_properties(0).total_memory / 2**30 if GPU else 80.0
FLASH4 = "flash_attention_4"
PACKED = FLASH4 if GPU else "documents"


def tokens_of(gib_80: int) -> int:
    """Tokens of a row on this card, given those that fit 80 GiB."""
    return 512 if TINY else round(gib_80 * GIB / 80 / 8192) * 8192


def packed(case: tuple[str, int, int, float], gib_80: int, compiled: str | None, limit: float) -> dict[str, Any]:
    return {
        "size": case[0], "context": case[1], "attention": PACKED, "packed": True, "batch": tokens_of(gib_80),
        "compiled": compiled, "limit": limit,
    }  # fmt: skip


def padded(
    case: tuple[str, int, int, float], gib_80: int, compiled: str | None, limit: float, attention: str = "sdpa"
) -> dict[str, Any]:
    return {
        "size": case[0], "context": case[1], "attention": attention, "packed": False,
        "batch": 4 if TINY else max(tokens_of(gib_80) // case[1], 1), "compiled": compiled, "limit": limit,
    }  # fmt: skip


RUNS: list[dict[str, Any]] = (
    [
        # The most informative settings first, since time may run out. FlashAttention 4's kernels break the compiler's graph, so that the whole
        # model is some 20 small graphs, however many layers it has; with torch's attention it would be one large one, hence layers.
        packed(BASE, 57_344, "whole", 60),
        padded(BASE, 49_152, None, 25),
        packed(LONG, 57_344, "whole", 40),
        padded(LONG, 32_768, None, 25),
        packed(MICRO, 163_840, "whole", 40),
        padded(MICRO, 163_840, None, 25),
        padded(BASE, 49_152, "layers", 40),
        padded(BASE, 49_152, None, 25, FLASH4),
        padded(LONG, 49_152, None, 25, FLASH4),
        packed(BASE, 49_152, None, 25),
        packed(LONG, 49_152, None, 25),
        packed(MICRO, 131_072, None, 25),
        padded(MICRO, 163_840, "layers", 40),
    ]
    if not TINY
    else [packed(BASE, 512, None, 60), padded(BASE, 512, None, 60)]
)


class Run:
    """A run in a process of its own, in a session of its own so that its loader workers end with it."""

    def __init__(self, case: dict[str, Any]) -> None:
        self.limit = case.pop("limit")
        self.case = case
        self.name = (
            f"{case['size']}@{case['context']} {case['attention']} packed={case['packed']} compiled={case['compiled']}"
        )
        self.process = subprocess.Popen(
            [sys.executable, str(HERE / "trainer_case.py"), json.dumps(case)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True,
        )  # fmt: skip

    def finish(self, seconds: float) -> None:
        """Let the process train, and wait at most `seconds` for its end.

        Raises:
            TimeoutError: it was not done by then, and was ended.
            RuntimeError: it failed.
        """
        try:
            output, _ = self.process.communicate("go\n", timeout=seconds)
        except subprocess.TimeoutExpired:
            self.end()
            output, _ = self.process.communicate()
            print(output)
            raise TimeoutError(f"not done after {seconds:.0f} s") from None
        if self.process.returncode:
            print(output)
            raise RuntimeError([line for line in output.splitlines() if line.strip()][-1])
        print("\n".join(line for line in output.splitlines() if "RESULT" in line or "too large" in line))

    def end(self) -> None:
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)


def usable(case: dict[str, Any]) -> bool:
    if case["attention"] != FLASH4:
        return True
    # Not imported here: that takes seconds, and only the runs need it.
    return find_spec("flash_attn") is not None and torch.cuda.get_device_capability()[0] >= 9


def run_all() -> None:
    began = time.perf_counter()
    cases = [case for case in RUNS if usable(case)]
    if len(cases) < len(RUNS):
        print(f"flash-attn-4 is not installed or this GPU is too old for it: {len(RUNS) - len(cases)} runs left out")
    if chosen := os.environ.get("KIT_TRAINER_RUNS"):
        cases = [cases[int(number)] for number in chosen.split(",")]
    waiting = [Run(cases.pop(0))]
    try:
        while waiting:
            run = waiting[0]
            if cases:
                # It imports and prepares while this one runs.
                waiting.append(Run(cases.pop(0)))
            left = LIMIT - (time.perf_counter() - began)
            if left < 12 and not TINY:
                print(f"{run.name}: no time left")
                run.end()
            else:
                with part(f"Trainer {run.name}"):
                    run.finish(min(run.limit * (10 if TINY else 1), left))
            waiting.pop(0)
    finally:
        for run in waiting:
            run.end()


def lines_of(step: str) -> list[dict[str, Any]]:
    path = OUT / "results.jsonl"
    lines = [json.loads(line) for line in path.read_text().splitlines()] if path.is_file() else []
    return [line for line in lines if line["step"] == step]


def ours_of(case: tuple[str, int, int, float]) -> float:
    """Tokens a second of the step `bench` with its default settings in this $OUT, or measured now."""
    for line in reversed(lines_of("bench")):
        if (line["size"], line["context"], line["row"]) == case[:3] and line.get("default"):
            return float(line["tokens_s"])
    made = bench_gpu.run(
        *case, steps=3 if TINY else 14, compiled=GPU, vocabulary=512 if TINY else 50_368, device=DEVICE
    )  # fmt: skip
    return made["tokens_s"]


def compare() -> None:
    for case in dict.fromkeys((BASE, LONG, MICRO)):
        theirs = [line for line in lines_of("trainer") if (line["size"], line["context"]) == case[:2]]
        if not theirs:
            continue
        with part(f"ours beside it: {case[0]}@{case[1]}"):
            ours = ours_of(case)
            best = max(theirs, key=lambda line: line["tokens_s"])
            with_padding = max((line["tokens_s"] for line in theirs if not line["packed"]), default=float("nan"))
            result(
                "beside", size=case[0], context=case[1], ours=ours, best=best["tokens_s"], times=ours / best["tokens_s"],
                best_is=f"{best['attention']} packed={best['packed']} compiled={best['compiled']} batch={best['batch']}",
                with_padding=with_padding, times_with_padding=ours / with_padding,
            )  # fmt: skip


run_all()
compare()
