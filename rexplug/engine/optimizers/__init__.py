"""StableAdamW and AdamW for GPUs, CPUs and FSDP-sharded parameters."""
