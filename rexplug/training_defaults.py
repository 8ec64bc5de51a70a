"""Numbers that both plans and training need, without torch."""

CPU_TOKENS = 8192
"""Tokens that a CPU takes at a time at least, where the batch has as many; more gain nothing."""
LOGITS_CPU = 2**22
"""Logits of masked tokens held at a time on a CPU (16 MiB): they stay in the cache from product to gradient."""
LOGITS_GPU = 2**27
"""Logits held at a time on a GPU in fp32 (512 MiB)."""
LOGITS_FUSED = 2**29
"""Logits held at a time where a kernel turns them into their gradient in half precision (1 GiB)."""
GPU_TOKENS = 65_536
"""Tokens that a GPU takes at a time at least, where the batch has as many and memory does not forbid."""
FSDP_MEMORY_SHARE = 0.25
"""`parallel: auto` shards weights, gradients and optimizer state above this share of a process's memory, and replicates them
below; the rest is for activations. Our choice."""


def loss_chunk(max_logits: int, rows: int) -> int:
    """Masked tokens whose logits are held at a time: a multiple of 64, and 64 even where their logits are more than that.

    Args:
        max_logits: logits to hold at a time.
        rows: rows of the embedding.
    """
    return max(64, max_logits // rows // 64 * 64)
