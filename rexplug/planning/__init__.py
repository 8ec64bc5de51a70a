"""What a recipe will do and take, before it runs. No torch: an answer takes a moment.

`sources` knows how many tokens there are, `phases` what becomes of them, `draw` shows curves in the terminal. `costs` says
how long each stage takes by default and `measured` what earlier runs took; `memory`, `disk` and `gpus` are arithmetic, and
`forecast` puts all of it together.
"""

from rexplug.planning.disk import Disk
from rexplug.planning.forecast import Expected, Forecast, make_forecast
from rexplug.planning.gpus import GPUS, Gpu, OnGpu, find_gpu, on_gpu
from rexplug.planning.hardware import Hardware
from rexplug.planning.history import Measurement, MeasurementHistory, cache_file
from rexplug.planning.memory import Memory, training_memory
from rexplug.planning.phases import Plan, PlannedPhase, SourceUse, make_plan, planned_steps
from rexplug.planning.sources import SourceSize

__all__ = [
    "GPUS",
    "Disk",
    "Expected",
    "Forecast",
    "Gpu",
    "Hardware",
    "Measurement",
    "MeasurementHistory",
    "Memory",
    "OnGpu",
    "Plan",
    "PlannedPhase",
    "SourceSize",
    "SourceUse",
    "cache_file",
    "find_gpu",
    "make_forecast",
    "make_plan",
    "on_gpu",
    "planned_steps",
    "training_memory",
]  # fmt: skip
