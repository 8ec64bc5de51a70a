"""The hardware of a rank: its device, and the number formats, attention and compilation that suit it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch

from rexplug import distributed
from rexplug.model.attention import choose_backend
from rexplug.model.compile import choose_compile
from rexplug.model.cpu.instructions import bf16_instructions
from rexplug.model.precision import choose_precision
from rexplug.recipe import Recipe
from rexplug.recipe.schema import Phase
from rexplug.training_defaults import CPU_TOKENS


@dataclass(frozen=True)
class Hardware:
    """This rank's device and what was chosen for it; reasons are printed and kept in run.json."""

    device: torch.device
    precision: str
    """Number format of matrix products: `fp32`, `tf32` or `bf16`."""
    backend: str
    """The attention backend."""
    backend_reason: str
    compiled: bool
    """Whether the model's layers are compiled."""
    compile_reason: str
    deterministic: bool = False
    """Whether training computes the same bits at every run: on a CPU always, on a GPU if the recipe asks for it."""

    @classmethod
    def detect(cls, recipe: Recipe) -> Hardware:
        """The device of this rank, with what the recipe asks for or what suits it.

        Raises:
            DataError: the recipe asks for something that this machine does not have.
        """
        device = torch.device("cpu")
        if torch.cuda.is_available():
            device = torch.device("cuda", distributed.gpu_index(torch.cuda.device_count()))
        precision = choose_precision(recipe.model.precision, device)
        asked = recipe.model.deterministic
        backend = choose_backend(recipe.model.attention, device, precision, deterministic=asked)
        compiled = choose_compile(recipe.model.compile, device)
        return cls(device, precision, *backend, *compiled, deterministic=asked or device.type == "cpu")

    @property
    def on_gpu(self) -> bool:
        """Whether the device is a GPU."""
        return self.device.type == "cuda"

    @property
    def instructions(self) -> str:
        """The instructions that a CPU multiplies bf16 matrices with, `AVX512-BF16` or `AMX`; empty in other number formats."""
        return bf16_instructions() if self.precision == "bf16" and not self.on_gpu else ""

    @property
    def device_name(self) -> str:
        """The GPU's name, or `CPU`."""
        return torch.cuda.get_device_name(self.device) if self.on_gpu else "CPU"

    @property
    def memory(self) -> float:
        """Bytes that this rank has: see `device_memory`."""
        return device_memory(self.device)

    def residual_dtype(self, recipe: Recipe) -> torch.dtype | None:
        """Number format of the residual stream: bf16 if the recipe asks and products are in bf16, else None: the embedding's."""
        return torch.bfloat16 if recipe.model.residual == self.precision == "bf16" else None

    def rows_per_microbatch(self, phase: Phase, row_tokens: int) -> int:
        """Rows of a microbatch: one on a GPU, where `microbatch_tokens` says what fits; short rows go together on a CPU,
        because each backward pass adds up the gradient of the whole embedding."""
        one = self.on_gpu or phase.microbatch_tokens == "auto"
        return 1 if one else max(1, CPU_TOKENS // row_tokens)

    @property
    def loader_workers(self) -> int:
        """Processes that make batches: one beside a GPU, which would wait for them; none on a CPU, where making a row takes
        less than a thousandth of training on it."""
        return 1 if self.on_gpu else 0


def device_memory(device: torch.device) -> float:
    """Bytes that a rank has: its GPU's memory, or its share of the machine's."""
    if device.type == "cuda":
        return float(torch.cuda.get_device_properties(device).total_memory)
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return machine / int(os.environ.get("LOCAL_WORLD_SIZE", "1"))


@contextmanager
def matmul_precision(precision: str) -> Iterator[None]:
    """Let fp32 products on a GPU round to TF32 inside the context if `precision` is `tf32`, and not otherwise.

    The switch is global to the process, so it is set back: evaluations in fp32 before and after a phase must agree.
    """
    backends: tuple[Any, ...] = (torch.backends.cuda.matmul, torch.backends.cudnn)
    before = [backend.allow_tf32 for backend in backends]
    for backend in backends:
        backend.allow_tf32 = precision == "tf32"
    try:
        yield
    finally:
        for backend, value in zip(backends, before, strict=True):
            backend.allow_tf32 = value


def composer_device(device: torch.device, *, tf32: bool) -> Any:
    """Composer's device object; built from a name, it would let fp32 products round to TF32."""
    from composer.devices import DeviceCPU, DeviceGPU

    return DeviceGPU(device.index, allow_tf32=tf32) if device.type == "cuda" else DeviceCPU()
