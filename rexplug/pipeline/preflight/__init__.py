"""Checks before a run: inputs, checkpoints, tokenizers, components."""
