"""The hardware and torch version of this machine, which decide its speed. No torch: its version is that of the package."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass, field, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from rexplug.model.cpu.instructions import bf16_instructions

_PROCESSOR = Path("/proc/cpuinfo")
_GPUS = Path("/proc/driver/nvidia/gpus")


@dataclass(frozen=True, slots=True)
class Hardware:
    """Processor, usable cores, threads that torch will use, torch's version, and the first GPU (empty without one)."""

    processor: str
    cores: int
    threads: int
    torch: str
    gpu: str = ""
    bf16: str = field(default="", compare=False)
    """The instructions that the processor multiplies bf16 matrices with; empty without them."""

    @classmethod
    def find(cls) -> Hardware:
        """The hardware of this machine."""
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else (os.cpu_count() or 1)
        requested = os.environ.get("OMP_NUM_THREADS", "").split(",")[0]
        threads = min(cores, int(requested)) if requested.isdigit() and int(requested) else cores
        try:
            torch = version("torch").split("+")[0]
        except PackageNotFoundError:
            torch = "none"
        return cls(_processor(), cores, threads, torch, _gpu(), bf16_instructions())

    def __str__(self) -> str:
        threads = "1 thread" if self.threads == 1 else f"{self.threads} threads"
        return self.gpu or ", ".join(part for part in (self.processor, threads, self.bf16) if part)


def processor_name() -> str:
    """This machine without its GPU: processor, threads, and the instructions that it multiplies bf16 matrices with."""
    return str(replace(Hardware.find(), gpu=""))


def _processor() -> str:
    try:
        for line in _PROCESSOR.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return " ".join(line.partition(":")[2].split())
    except OSError:
        pass
    return platform.processor() or platform.machine() or "unknown processor"


def _gpu() -> str:
    """The driver's name of the first NVIDIA GPU that may be used."""
    if os.environ.get("CUDA_VISIBLE_DEVICES", "0") in ("", "-1"):
        return ""
    try:
        for path in sorted(_GPUS.glob("*/information")):
            for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
                if line.startswith("Model:"):
                    return line.partition(":")[2].strip()
    except OSError:
        pass
    return ""
