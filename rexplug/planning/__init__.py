"""What a recipe will do and take, before it runs. No torch: an answer takes a moment.

`sources` knows how many tokens there are, `phases` what becomes of them, `draw` shows curves in the terminal. What
depends on hardware (memory, hours, price) has its place beside them and takes its operations from `phases`.
"""

from rexplug.planning.phases import Plan, PlannedPhase, SourceUse, make_plan
from rexplug.planning.sources import Known

__all__ = ["Known", "Plan", "PlannedPhase", "SourceUse", "make_plan"]
