"""Trains phases with Composer; the only package that imports it."""

from rexplug.engine.initial import initial_checkpoint
from rexplug.engine.phase import train_phase

__all__ = ["initial_checkpoint", "train_phase"]
