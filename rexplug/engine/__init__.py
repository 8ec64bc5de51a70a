"""Training on Composer, and the only package that imports it."""

from rexplug.engine.metrics import remove_phase_metrics
from rexplug.engine.phase import initial_checkpoint, train_phase

__all__ = ["initial_checkpoint", "remove_phase_metrics", "train_phase"]
