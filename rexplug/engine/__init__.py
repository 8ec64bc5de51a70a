"""Training on Composer, and the only package that imports it."""

from rexplug.engine.metrics import forget_figures
from rexplug.engine.phase import initial_checkpoint, train_phase

__all__ = ["forget_figures", "initial_checkpoint", "train_phase"]
