"""Keeps what an evaluator switches in its process from what follows: other evaluators, the training of the next phase."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from rexplug.io.current_directory import same_directory


@contextmanager
def same_process_state() -> Iterator[None]:
    """Restore the current directory and the switches of torch that are for the whole process.

    An evaluator of a plugin may well say `torch.set_grad_enabled(False)` or `os.chdir(folder)`, and training would fail later on,
    with a message about something else. States of random generators are left as they are: rexplug uses generators of its own.
    """
    with same_directory():
        if "torch" not in sys.modules:
            yield
            return
        import torch

        grad, dtype, device = torch.is_grad_enabled(), torch.get_default_dtype(), torch.get_default_device()
        deterministic = torch.are_deterministic_algorithms_enabled()
        warn_only = torch.is_deterministic_algorithms_warn_only_enabled()
        try:
            yield
        finally:
            torch.set_grad_enabled(grad)
            torch.set_default_dtype(dtype)
            if torch.get_default_device() != device:
                torch.set_default_device(device)
            if torch.are_deterministic_algorithms_enabled() != deterministic:
                torch.use_deterministic_algorithms(deterministic, warn_only=warn_only)
