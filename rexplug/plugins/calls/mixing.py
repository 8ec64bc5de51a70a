"""Calls into mixing schedules: the weights of the sources."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from numbers import Real
from typing import Any

from rexplug.components import MixingSchedule
from rexplug.errors import PluginError, brief
from rexplug.plugins.calls.call import PluginCall, owner


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
    where = f"{owner(schedule)}{schedule.name}.weights({progress:g})"
    if not isinstance(returned, Mapping) or not all(
        isinstance(name, str) and isinstance(weight, Real) for name, weight in returned.items()
    ):
        raise PluginError(f"{where} returned {brief(returned)}; expected source -> weight")
    weights = {source: float(weight) for source, weight in returned.items()}
    total = sum(weights.values())
    if not math.isfinite(total) or total <= 0 or min(weights.values()) < 0:
        raise PluginError(f"{where} returned {brief(dict(returned))}; weights are finite, at least 0 and not all 0")
    if sources is not None and (unknown := weights.keys() - set(sources)):
        raise PluginError(f"{where} names '{min(unknown)}'; the sources are {', '.join(sources)}")
    return weights
