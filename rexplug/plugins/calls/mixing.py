"""Calls into mixing schedules: the weights of the sources."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from numbers import Real
from typing import Any

from rexplug.components import MixingSchedule
from rexplug.errors import PluginError, brief
from rexplug.plugins.calls.call import PluginCall, is_finite, owner


def mixing_weights(
    schedule: MixingSchedule, progress: float, sources: Collection[str] | None = None
) -> dict[str, float]:
    """`schedule.weights(progress)`: source -> weight.

    Args:
        schedule: the mixing schedule.
        progress: progress of the phase, in [0, 1].
        sources: the sources that there are; any name is accepted if left out.

    Raises:
        PluginError: the schedule raised, weights are negative, not finite or all 0, or a source does not exist.
    """
    with PluginCall(schedule, "weights", float(progress)):
        returned: Any = schedule.weights(progress)
        if type(returned) is not dict and isinstance(returned, Mapping):
            returned = dict(returned)  # a mapping of the plugin's own runs its code here
    if type(returned) is not dict:
        raise PluginError(f"{_call(schedule, progress)} returned {brief(returned)}; expected source -> weight")
    weights: dict[str, float] = {}
    for source, weight in returned.items():
        # Nearly always a float; asking for a number of another type is slower.
        if not isinstance(source, str) or (type(weight) is not float and not isinstance(weight, Real)):
            raise PluginError(f"{_call(schedule, progress)} returned {brief(returned)}; expected source -> weight")
        weights[source] = float(weight) if type(weight) is float or is_finite(weight) else math.inf
    total = sum(weights.values())
    if not math.isfinite(total) or total <= 0 or min(weights.values()) < 0:
        raise PluginError(
            f"{_call(schedule, progress)} returned {brief(dict(returned))}; weights are finite, at least 0 and not all 0"
        )
    if sources is not None:
        unknown = [source for source in weights if source not in sources]
        if unknown:
            raise PluginError(
                f"{_call(schedule, progress)} names '{min(unknown)}'; the sources are {', '.join(sources)}"
            )
    return weights


def _call(schedule: MixingSchedule, progress: float) -> str:
    return f"{owner(schedule)}{schedule.name}.weights({progress:g})"
