"""Numbers that both plans and training need, without torch."""

CPU_TOKENS = 8192
"""Tokens that a CPU takes at a time at least, where the batch has as many; more gain nothing."""
GPU_TOKENS = 65_536
"""Tokens that a GPU takes at a time at least, where the batch has as many and memory does not forbid."""
FSDP_MEMORY_SHARE = 0.25
"""`parallel: auto` shards weights, gradients and optimizer state above this share of a process's memory, and replicates them
below; the rest is for activations. Our choice."""
