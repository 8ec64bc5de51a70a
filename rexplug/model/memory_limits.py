"""How much training holds in memory at a time: limits that the loss and the engine keep, and that plans count with. No torch."""

from __future__ import annotations

LOGITS_CPU = 2**22
"""Logits held at a time on a CPU (16 MiB): they stay in the cache from product to gradient."""
LOGITS_GPU = 2**27
"""Logits held at a time on a GPU in fp32 (512 MiB)."""
LOGITS_FUSED = 2**29
"""Logits held at a time where a kernel turns them into their gradient in half precision (1 GiB)."""

CPU_MICROBATCH_TOKENS = 8192
"""Tokens that a CPU takes at a time at least, where the batch has as many; more gain nothing."""

WEIGHT_BYTES, GRADIENT_BYTES, MOMENT_BYTES = 4, 4, 8
"""Bytes per parameter of fp32 weights, gradients, and the two moments of the optimizer."""
