"""Guided masking: salient tokens are masked more often than others, by a factor."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from pydantic import Field, ModelWrapValidatorHandler, ValidationInfo, model_validator
from pydantic_core import PydanticCustomError

import rexplug
from rexplug_guided_mlm.draw import Draw
from rexplug_guided_mlm.guidance import GuidedByBudget, instead_of_guidance
from rexplug_guided_mlm.ramps import Boost, Unit
from rexplug_guided_mlm.sampling import random_keys
from rexplug_guided_mlm.shares import divide
from rexplug_guided_mlm.spans import run_starts

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


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
    unit: Unit = Unit(start="token", end="token")
    """What is drawn of the salient tokens: `token`, or `span` for whole spans (runs of tokens with the same salience). With
    `{start: token, end: span}` more and more samples are masked by spans over the phase, from none to all."""

    @model_validator(mode="wrap")
    @classmethod
    def _no_guidance(cls, options: Any, handler: ModelWrapValidatorHandler[Guided], info: ValidationInfo) -> Any:
        if not isinstance(options, dict) or "guidance" not in options:
            return handler(options)
        if (info.context or {}).get("earlier_run"):
            return GuidedByBudget.model_validate(options, context=info.context)
        raise PydanticCustomError("guidance", "{message}", {"message": instead_of_guidance(options["guidance"])})

    def choose(self, batch: rexplug.TokenBatch, progress: float, generator: np.random.Generator) -> NDArray[np.bool_]:
        """As many tokens of each sample as its part of the budget, divided between its salient and its plain tokens."""
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
        share_of_spans = self.unit.share_of_spans(progress)
        return draw.spans(run_starts(places, levels), share_of_spans) if share_of_spans else draw.tokens()

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

    if not len(levels):
        return True
    return len(levels) == np.count_nonzero(batch.maskable) and bool(levels.min() == levels.max())
