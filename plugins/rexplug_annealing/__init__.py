"""Mixing schedules: which share of the tokens each source has as a phase goes on.

RexBERT is described as shifting gradually towards its domain corpus in the last phase; the curve and the shares are
not known to us, so the curves here are our choice.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, ClassVar, Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

import rexplug

Share = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Shares = Annotated[dict[str, Share], Field(min_length=1)]


def _check(shares: Mapping[str, float], key: str) -> None:
    if not any(shares.values()):
        raise PydanticCustomError(
            "shares", "{key} gives every source a share of 0; at least one must be above 0", {"key": key}
        )


class Constant(rexplug.MixingSchedule):
    """The same shares all along."""

    name: ClassVar[str] = "annealing.constant"

    shares: Shares
    """Source -> share; they need not add up to 1."""

    @model_validator(mode="after")
    def _some(self) -> Self:
        _check(self.shares, "shares")
        return self

    def weights(self, progress: float) -> Mapping[str, float]:
        """The shares."""
        return self.shares


class _Curve(rexplug.MixingSchedule):
    """Moves from `start` to `end`; both are brought to a sum of 1 first."""

    start: Shares
    """Source -> share at the start of the phase."""
    end: Shares
    """Source -> share at the end of the phase; a source that is left out ends at 0."""

    @model_validator(mode="after")
    def _some(self) -> Self:
        _check(self.start, "start")
        _check(self.end, "end")
        return self

    def curve(self, progress: float) -> float:
        """How much of the way is done at `progress`; 0 at 0 and 1 at 1."""
        return progress

    def weights(self, progress: float) -> Mapping[str, float]:
        """Shares between `start` and `end`, along the curve."""
        way = self.curve(min(1.0, max(0.0, progress)))
        first, last = sum(self.start.values()), sum(self.end.values())
        return {
            name: (1 - way) * self.start.get(name, 0.0) / first + way * self.end.get(name, 0.0) / last
            for name in dict.fromkeys([*self.start, *self.end])
        }


class Linear(_Curve):
    """From one mixture to another in a line."""

    name: ClassVar[str] = "annealing.linear"


class Cosine(_Curve):
    """From one mixture to another along half a cosine: slow, fast, slow."""

    name: ClassVar[str] = "annealing.cosine"

    def curve(self, progress: float) -> float:
        """(1 - cos(pi x)) / 2."""
        return (1 - math.cos(math.pi * progress)) / 2


class OneMinusSqrt(_Curve):
    """From one mixture to another along sqrt(x): fast first, like a learning rate that falls as 1 - sqrt(x)."""

    name: ClassVar[str] = "annealing.one_minus_sqrt"

    def curve(self, progress: float) -> float:
        """sqrt(x)."""
        return math.sqrt(progress)


class Step(rexplug.Component):
    """One step of a stepwise schedule."""

    from_: float = Field(ge=0, lt=1, alias="from")
    """Progress at which it begins."""
    shares: Shares
    """Source -> share from there on."""


class Stepwise(rexplug.MixingSchedule):
    """Fixed shares that change at given points."""

    name: ClassVar[str] = "annealing.stepwise"

    steps: tuple[Step, ...] = Field(min_length=1)
    """Steps in order; the first begins at 0."""

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        starts = [step.from_ for step in self.steps]
        if starts[0] != 0 or sorted(set(starts)) != starts:
            raise PydanticCustomError(
                "steps", "steps begin at 0 and rise; these begin at {starts}", {"starts": str(starts)}
            )
        for number, step in enumerate(self.steps):
            _check(step.shares, f"steps.{number}.shares")
        return self

    def weights(self, progress: float) -> Mapping[str, float]:
        """The shares of the last step that has begun; a source that it leaves out has 0."""
        current = next(step for step in reversed(self.steps) if step.from_ <= max(0.0, progress))
        return {name: current.shares.get(name, 0.0) for step in self.steps for name in step.shares}


@rexplug.hookimpl
def rexplug_mixing_schedules() -> list[type[rexplug.MixingSchedule]]:
    """The schedules of this plugin."""
    return [Constant, Linear, Cosine, OneMinusSqrt, Stepwise]
