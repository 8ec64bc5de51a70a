"""The run as a story: stages, fingerprints, skip and redo."""

from rexplug.pipeline.inputs import check_inputs
from rexplug.pipeline.manifest import Manifest
from rexplug.pipeline.run import run_recipe
from rexplug.pipeline.stages import GROUPS

__all__ = ["GROUPS", "Manifest", "check_inputs", "run_recipe"]
