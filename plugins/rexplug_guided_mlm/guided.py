"""Guided masking: salient tokens are masked more often than others, by a factor."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

import rexplug
from rexplug_guided_mlm.draw import Draw
from rexplug_guided_mlm.sampling import random_keys
from rexplug_guided_mlm.shares import divide
from rexplug_guided_mlm.spans import run_starts

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class Boost(rexplug.Ramp):
    """A factor of at least 1 that changes linearly over a phase; a single number means a constant factor.

    `4` and `{start: 2, end: 4}` are both valid in a recipe.
    """

    start: float = Field(ge=1)
    """Factor at the start of the phase."""
    end: float = Field(ge=1)
    """Factor at the end of the phase."""


class Guided(rexplug.MaskingPolicy):
    """Mask salient tokens `boost` times as often as plain ones of the same sample, at the same rate as any policy.

    Every sample gets its part of the row's budget. A token of salience `s` is masked `1 + (boost - 1) * s / 255` times as
    often as one of salience 0, until `cap` is reached; within that everything is drawn at random. Where all tokens have the
    same salience, the choice is that of `random`.
    """

    name: ClassVar[str] = "guided_mlm.guided"
    channels: ClassVar[tuple[str, ...]] = ("salience",)

    scorer: Annotated[rexplug.SalienceScorer, rexplug.Use()]
    """The scorer of the tokens' salience."""
    boost: Boost = Boost(start=4, end=4)
    """How many times as likely a token of salience 255 is masked as a plain one: a number of at least 1, or `{start, end}` to
    change linearly over the phase. A lower salience counts in proportion: 51 of 255 and a boost of 4 give 1.6 times."""
    cap: float = Field(default=0.5, gt=0, le=1)
    """Largest share of a sample's salient tokens that is masked at once, so that enough of them remain to infer the others from.
    The plain tokens take what is above it."""
    unit: Literal["token", "span"] = "token"
    """What is drawn of the salient tokens: single tokens, or whole spans (runs of tokens with the same salience)."""

    @model_validator(mode="before")
    @classmethod
    def _no_guidance(cls, options: Any) -> Any:
        if isinstance(options, dict) and "guidance" in options:
            raise PydanticCustomError("guidance", "{message}", {"message": _instead_of_guidance(options["guidance"])})
        return options

    def choose(self, batch: rexplug.TokenBatch, progress: float, generator: np.random.Generator) -> NDArray[np.bool_]:
        """The part of the budget that falls to each sample, divided between its salient and its plain tokens."""
        import numpy as np

        salience = batch.channels["salience"]
        salient = salience.astype(np.bool_)
        salient &= batch.maskable
        places = np.flatnonzero(salient)
        levels = salience[places]
        boost, budget = self.boost.at(progress), self.budget(batch, progress)
        if boost == 1 or _is_uniform(levels, batch):
            return rexplug.random_tokens(batch.maskable, budget, generator)
        weights = 1 + levels * np.float32((boost - 1) / 255)
        shares = divide(batch, places, levels, boost, budget, self.cap, generator)
        draw = Draw(batch, salient, places, weights, shares, random_keys(len(salience), generator), generator)
        return draw.tokens() if self.unit == "token" else draw.spans(run_starts(places, levels))

    def salient_subset(
        self, batch: rexplug.TokenBatch, progress: float, generator: np.random.Generator
    ) -> NDArray[np.bool_]:
        """The salient tokens in the mask of `choose`, `[num_tokens]`; none where salience makes no difference."""
        import numpy as np

        salient: NDArray[np.bool_] = batch.channels["salience"] != 0
        salient &= batch.maskable
        if self.boost.at(progress) == 1 or _is_uniform(batch.channels["salience"][salient], batch):
            return np.zeros(len(salient), np.bool_)
        return salient & Guided.choose(self, batch, progress, generator)


def _is_uniform(levels: NDArray[np.uint8], batch: rexplug.TokenBatch) -> bool:
    """Whether all maskable tokens have the same salience; `levels` `[num_salient]` are those above 0."""
    import numpy as np

    if len(levels) in (0, np.count_nonzero(batch.maskable)):
        return not len(levels) or bool(levels.min() == levels.max())
    return False


_TYPICAL_SHARE, _TYPICAL_RATE = 0.13, 0.15
"""Share of salient tokens in product text, and mask rate of a last phase, by which a former `guidance` is translated."""


def _instead_of_guidance(guidance: Any) -> str:
    """What to write instead of the option that `boost` replaced."""
    ends = (guidance.get("start"), guidance.get("end")) if isinstance(guidance, dict) else (guidance, guidance)
    try:
        start, end = (_nearest_boost(float(value)) for value in ends)
    except (TypeError, ValueError):
        instead = "boost: 4"
    else:
        instead = f"boost: {start}" if start == end else f"boost: {{start: {start}, end: {end}}}"
    return (
        "guidance, a share of the budget, was replaced by boost, which is how many times as likely a salient token is masked as a "
        f"plain one; write '{instead}' for about the same masks in product text"
    )


def _nearest_boost(guidance: float) -> int:
    """The boost with about the salient tokens that a share of the budget masked in product text, within the default cap."""
    guidance = min(1.0, max(0.0, guidance))
    first = guidance * _TYPICAL_RATE
    salient = first + (_TYPICAL_SHARE - first) * (1 - guidance) * _TYPICAL_RATE / (1 - first)
    salient = min(salient / _TYPICAL_SHARE, 0.5)
    plain = (_TYPICAL_RATE - _TYPICAL_SHARE * salient) / (1 - _TYPICAL_SHARE)
    return max(1, round(salient / plain))
