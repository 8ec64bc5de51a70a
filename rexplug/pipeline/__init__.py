"""Runs: stages with fingerprints, which are skipped, resumed or redone."""

from rexplug.pipeline.export import export_checkpoint
from rexplug.pipeline.manifest import Manifest
from rexplug.pipeline.preflight.inputs import check_inputs
from rexplug.pipeline.run import run_recipe, train_with_main_rank
from rexplug.pipeline.stages import GROUPS, Incomplete

__all__ = [
    "GROUPS",
    "Incomplete",
    "Manifest",
    "check_inputs",
    "export_checkpoint",
    "run_recipe",
    "train_with_main_rank",
]
