"""The same bits at every run on a GPU: torch's deterministic algorithms while a phase trains, and not otherwise.

Two things in a step depend on the order in which blocks of a GPU finish: FlashAttention's backward pass, whose blocks add up
gradients of queries, and torch-optimi's StableAdamW, whose blocks add up the mean that limits a step. Both ask torch's switch
(`torch.are_deterministic_algorithms_enabled`), as torch's own operators and compiler do, so a run only has to set that.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from rexplug.errors import DataError

_FILLING: Any = torch.utils.deterministic
_WORKSPACE = "CUBLAS_WORKSPACE_CONFIG"
_WORKSPACES = (":4096:8", ":16:8")
"""Workspaces with which cuBLAS computes the same bits, by its documentation; the first is torch's default on a Hopper GPU."""


@contextmanager
def deterministic_algorithms(on: bool, device: torch.device | None = None) -> Iterator[None]:
    """Switch torch's deterministic algorithms on or off inside the context; afterwards they are as before.

    Args:
        on: whether every call computes the same bits; an operation that cannot raises a RuntimeError.
        device: where to compute; None for a CPU.

    Raises:
        DataError: cuBLAS of this process cannot be made deterministic any more.
    """
    before = (
        torch.are_deterministic_algorithms_enabled(),
        torch.is_deterministic_algorithms_warn_only_enabled(),
        _FILLING.fill_uninitialized_memory,
    )
    if on and device is not None and device.type == "cuda":
        _choose_workspace()
    # Only without `warn_only` is torch's attention deterministic.
    torch.use_deterministic_algorithms(on)
    # Nothing here reads memory that was not written; filling it would cost a pass over every tensor.
    _FILLING.fill_uninitialized_memory = False
    try:
        if on and device is not None and device.type == "cuda":
            _try_product(device)
        yield
    finally:
        torch.use_deterministic_algorithms(before[0], warn_only=before[1])
        _FILLING.fill_uninitialized_memory = before[2]


def _choose_workspace() -> None:
    """Set the environment variable that torch and cuBLAS read at the first product of a process."""
    chosen = os.environ.setdefault(_WORKSPACE, _WORKSPACES[0])
    if chosen not in _WORKSPACES:
        raise DataError(
            f"model.deterministic: the environment has {_WORKSPACE}={chosen}; deterministic products need "
            f"{' or '.join(_WORKSPACES)}"
        )


def _try_product(device: torch.device) -> None:
    """torch remembers from a process's first product on whether the environment variable was set."""
    try:
        one = torch.ones(1, 1, device=device)
        torch.mm(one, one)
    except RuntimeError as error:
        if _WORKSPACE not in str(error):
            raise
        raise DataError(
            "model.deterministic: this process has multiplied matrices on the GPU before; start it with "
            f"{_WORKSPACE}={_WORKSPACES[0]} in the environment"
        ) from None
