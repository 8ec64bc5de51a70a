"""The option `guidance`, which `boost` replaced: what to write instead, and how recipes of earlier runs are read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import rexplug

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_SALIENT, _RATE, _CAP = 0.13, 0.15, 0.5
"""Share of salient tokens in product text, mask rate and cap by which a `guidance` is translated."""


class GuidedByBudget(rexplug.MaskingPolicy):
    """The former `guided_mlm.guided`: a share of the mask budget goes to salient spans. It only describes an earlier run."""

    name: ClassVar[str] = "guided_mlm.guided"
    channels: ClassVar[tuple[str, ...]] = ("salience",)
    retired: ClassVar[bool] = True

    scorer: Annotated[rexplug.SalienceScorer, rexplug.Use()]
    """The scorer of the tokens' salience."""
    guidance: rexplug.Ramp
    """Share of the budget that went to salient spans."""

    def choose(self, batch: rexplug.TokenBatch, progress: float, generator: np.random.Generator) -> NDArray[np.bool_]:
        """Refuse to choose tokens: these masks cannot be made any more.

        Raises:
            DataError: always.
        """
        raise rexplug.DataError(f"{self.name}: {instead_of_guidance(self.dump()['guidance'])}")


def instead_of_guidance(guidance: Any) -> str:
    """What to write instead of a `guidance`, a number or a mapping of `start` and `end`."""
    ends = (guidance.get("start"), guidance.get("end")) if isinstance(guidance, dict) else (guidance, guidance)
    try:
        start, end = (_nearest_boost(float(str(value))) for value in ends)
    except ValueError:
        instead = "boost: 4"
    else:
        instead = f"boost: {start}" if start == end else f"boost: {{start: {start}, end: {end}}}"
    return (
        "guidance, a share of the budget, was replaced by boost, which is how many times as likely a salient token is masked as a "
        f"plain one; write '{instead}' for about the same masks in product text"
    )


def _nearest_boost(guidance: float) -> int:
    """The boost with about the salient tokens that a share of the budget masked in product text, within the default cap."""
    by_choice = min(1.0, max(0.0, guidance)) * _RATE
    salient = (by_choice + (_SALIENT - by_choice) * (_RATE - by_choice) / (1 - by_choice)) / _SALIENT
    salient = min(salient, _CAP)
    return max(1, round(salient / ((_RATE - _SALIENT * salient) / (1 - _SALIENT))))
