"""Training on Composer, and the only package that imports it."""

from rexplug.engine.phase import initial_checkpoint, train_phase

__all__ = ["initial_checkpoint", "train_phase"]
