"""Optimizers of a phase, on GPUs, on CPUs and of FSDP-sharded parameters; `rexplug.optimizers` lists them."""
