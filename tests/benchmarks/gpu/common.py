"""Shared by the steps: the device, sizes, and the lines of results.jsonl."""

from __future__ import annotations

import collections
import json
import os
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

warnings.filterwarnings("ignore", category=DeprecationWarning)
warnings.filterwarnings("ignore", category=FutureWarning)
GPU = torch.cuda.is_available()
DEVICE = torch.device("cuda", 0) if GPU else torch.device("cpu")
TINY = not GPU or os.environ.get("KIT_TINY") == "1"


def result(step: str, **values: Any) -> None:
    """A line for people and one for machines."""
    words = (f"{key}={value:.6g}" if isinstance(value, float) else f"{key}={value}" for key, value in values.items())
    print("RESULT", step, " ".join(words))
    with (Path(os.environ.get("OUT", ".")) / "results.jsonl").open("a") as file:
        file.write(json.dumps({"step": step, **values}) + "\n")


@contextmanager
def part(name: str) -> Iterator[None]:
    """A part that may fail without ending the others."""
    began = time.perf_counter()
    try:
        yield
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        first = str(error).splitlines()[0] if str(error) else ""
        print(f"FAIL {name}: {type(error).__name__}: {first}")
        traceback.print_exc()
    else:
        print(f"ok   {name} ({time.perf_counter() - began:.1f} s)")


def wait() -> None:
    """Wait for the device."""
    if GPU:
        torch.cuda.synchronize()


@contextmanager
def counted_waits() -> Iterator[collections.Counter[str]]:
    """Count, by line of code, the calls that make the host wait for the GPU: reads, and copies of pageable memory.

    The counter is filled when the context ends; without a GPU it stays empty.
    """
    places: collections.Counter[str] = collections.Counter()
    if not GPU:
        yield places
        return
    torch.cuda.set_sync_debug_mode("warn")
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            yield places
    finally:
        torch.cuda.set_sync_debug_mode("default")
    for item in caught:
        if "synchron" in str(item.message):
            path = Path(item.filename)
            places[f"{path.parent.name}/{path.name}:{item.lineno}"] += 1


def milliseconds(call: Callable[[], Any], repeat: int = 10, warm: int = 3) -> float:
    """Median time of a call; by events on a GPU."""
    times: list[float] = []
    for number in range(warm + repeat):
        if GPU:
            first, last = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
            first.record()
            call()
            last.record()
            torch.cuda.synchronize()
            spent = first.elapsed_time(last)
        else:
            began = time.perf_counter()
            call()
            spent = (time.perf_counter() - began) * 1e3
        if number >= warm:
            times.append(spent)
    return sorted(times)[len(times) // 2]


def off(ours: torch.Tensor, truth: torch.Tensor) -> float:
    """|ours - truth| / |truth|."""
    ours, truth = ours.detach().double().cpu(), truth.detach().double().cpu()
    return float(((ours - truth).norm() / truth.norm().clamp_min(1e-30)).item())
