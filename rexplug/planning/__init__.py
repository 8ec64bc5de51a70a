"""Plans a recipe before it runs: steps, epochs, time, memory, disk and GPUs. No torch, so that a plan takes a moment.

`sources` finds how many tokens there are, and `phases` what training does with them. `costs` estimates how long every stage
takes by default, and `history` keeps what earlier runs took; `memory`, `disk` and `gpus` are arithmetic, and `forecast`
combines all of it.
"""

from rexplug.planning.disk import Disk
from rexplug.planning.forecast import Forecast, StageForecast, make_forecast
from rexplug.planning.gpus import GPUS, Gpu, GpuForecast, find_gpu, forecast_on_gpu
from rexplug.planning.hardware import Hardware
from rexplug.planning.history import Measurement, MeasurementHistory, cache_file
from rexplug.planning.memory import Memory, training_memory
from rexplug.planning.phases import Plan, PlannedPhase, SourceUse, make_plan, planned_steps
from rexplug.planning.sources import SourceSize

__all__ = [
    "GPUS",
    "Disk",
    "Forecast",
    "Gpu",
    "GpuForecast",
    "Hardware",
    "Measurement",
    "MeasurementHistory",
    "Memory",
    "Plan",
    "PlannedPhase",
    "SourceSize",
    "SourceUse",
    "StageForecast",
    "cache_file",
    "find_gpu",
    "forecast_on_gpu",
    "make_forecast",
    "make_plan",
    "planned_steps",
    "training_memory",
]  # fmt: skip
