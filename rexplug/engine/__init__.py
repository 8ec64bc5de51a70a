"""Trains phases with Composer; the only package that imports it."""

from rexplug.engine.initial import initial_checkpoint
from rexplug.engine.metrics import remove_phase_metrics
from rexplug.engine.phase import train_phase

__all__ = ["initial_checkpoint", "remove_phase_metrics", "train_phase"]
