"""Mixing schedules: how the share of the tokens of each source changes over a phase.

RexBERT is described as shifting gradually towards its domain corpus in the last phase; the curve and the shares are
not known to us, so the curves here are our choice.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import BeforeValidator, Field, model_validator
from pydantic_core import PydanticCustomError

import rexplug

Share = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Shares = Annotated[dict[str, Share], Field(min_length=1)]


def _require_share(shares: Mapping[str, float], key: str) -> None:
    """Raise an error if no source has a share; `key` is the option that holds the shares."""
    if not any(shares.values()):
        raise PydanticCustomError(
            "shares", "{key} gives every source a share of 0; at least one must be above 0", {"key": key}
        )


class Constant(rexplug.MixingSchedule):
    """The same shares during the whole phase."""

    name: ClassVar[str] = "annealing.constant"

    shares: Shares
    """Source -> share; they need not add up to 1."""

    @model_validator(mode="after")
    def _has_shares(self) -> Self:
        _require_share(self.shares, "shares")
        return self

    def weights(self, progress: float) -> Mapping[str, float]:
        """The same shares at any progress."""
        return self.shares


class _Curve(rexplug.MixingSchedule):
    """Moves from `start` to `end`; each is normalized to a sum of 1 first."""

    start: Shares
    """Source -> share at the start of the phase."""
    end: Shares
    """Source -> share at the end of the phase; a source that is left out ends at 0."""

    @model_validator(mode="after")
    def _has_shares(self) -> Self:
        _require_share(self.start, "start")
        _require_share(self.end, "end")
        return self

    def curve(self, progress: float) -> float:
        """The part of the way from `start` to `end` at `progress`: 0 at 0 and 1 at 1."""
        return progress

    def weights(self, progress: float) -> Mapping[str, float]:
        """The shares between `start` and `end` that the curve gives."""
        way = self.curve(min(1.0, max(0.0, progress)))
        first, last = sum(self.start.values()), sum(self.end.values())
        return {
            name: (1 - way) * self.start.get(name, 0.0) / first + way * self.end.get(name, 0.0) / last
            for name in dict.fromkeys([*self.start, *self.end])
        }


class Linear(_Curve):
    """From one mixture to another, linearly."""

    name: ClassVar[str] = "annealing.linear"


class Cosine(_Curve):
    """From one mixture to another along half a cosine: slow, fast, slow."""

    name: ClassVar[str] = "annealing.cosine"

    def curve(self, progress: float) -> float:
        """(1 - cos(pi progress)) / 2."""
        return (1 - math.cos(math.pi * progress)) / 2


class OneMinusSqrt(_Curve):
    """From one mixture to another along sqrt(x): fast first, like a learning rate that falls as 1 - sqrt(x)."""

    name: ClassVar[str] = "annealing.one_minus_sqrt"

    def curve(self, progress: float) -> float:
        """The square root of `progress`."""
        return math.sqrt(progress)


class Step(rexplug.Component):
    """One step of a stepwise schedule."""

    from_: float = Field(ge=0, lt=1, alias="from")
    """Progress at which it begins."""
    shares: Shares
    """Source -> share from there on."""


class Stepwise(rexplug.MixingSchedule):
    """Fixed shares that change at given points of the phase."""

    name: ClassVar[str] = "annealing.stepwise"

    steps: tuple[Step, ...] = Field(min_length=1)
    """Steps in ascending order of `from`; the first begins at 0."""

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        starts = [step.from_ for step in self.steps]
        if starts[0] != 0 or sorted(set(starts)) != starts:
            raise PydanticCustomError(
                "steps", "steps begin at 0 and rise; these begin at {starts}", {"starts": str(starts)}
            )
        for number, step in enumerate(self.steps):
            _require_share(step.shares, f"steps.{number}.shares")
        return self

    def weights(self, progress: float) -> Mapping[str, float]:
        """The shares of the last step that has begun; sources that it leaves out have 0."""
        current = next(step for step in reversed(self.steps) if step.from_ <= max(0.0, progress))
        return {name: current.shares.get(name, 0.0) for step in self.steps for name in step.shares}


def _by_name(value: Any) -> Any:
    """The shares for the name of a single source."""
    return {value: 1.0} if isinstance(value, str) else value


Group = Annotated[dict[str, Share], Field(min_length=1), BeforeValidator(_by_name, json_schema_input_type=str | Shares)]
"""Sources with their shares within a group, or the name of a single source."""


class Curriculum(rexplug.MixingSchedule):
    """The three phases of a domain encoder: mostly general text, the same for long contexts, then more and more of the domain.

    In the phases `general` and `extend` the domain keeps the share `start`; in `anneal` its share moves from `start` to
    `end` along half a cosine, and the rest stays general, as replay. Written once under `defaults` it applies to all phases,
    each of which adds its `phase`. Shares and curve are our choice; RexBERT's are not known to us.
    """

    name: ClassVar[str] = "annealing.curriculum"

    phase: Literal["general", "extend", "anneal"]
    """Which of the three phases this is."""
    general: Group
    """General sources: a name, or shares within the group."""
    domain: Group
    """Sources of the domain: a name, or shares within the group."""
    start: float = Field(default=0.2, ge=0, le=1)
    """The domain's share of the tokens until the last phase begins."""
    end: float = Field(default=0.9, ge=0, le=1)
    """The domain's share at the end of the last phase."""

    @model_validator(mode="after")
    def _disjoint(self) -> Self:
        _require_share(self.general, "general")
        _require_share(self.domain, "domain")
        both = sorted(set(self.general) & set(self.domain))
        if both:
            raise PydanticCustomError("shares", "'{name}' is in both general and domain", {"name": both[0]})
        return self

    def weights(self, progress: float) -> Mapping[str, float]:
        """The groups' shares at `progress`, divided within each group."""
        way = (1 - math.cos(math.pi * min(1.0, max(0.0, progress)))) / 2 if self.phase == "anneal" else 0.0
        domain = self.start + (self.end - self.start) * way
        weights = {}
        for group, share in ((self.general, 1 - domain), (self.domain, domain)):
            total = sum(group.values())
            weights.update({name: share * part / total for name, part in group.items()})
        return weights


class Temperature(rexplug.MixingSchedule):
    """Each source in proportion to a power of its size, so that languages with little text are seen more often than they occur.

    With an exponent of 1 all text is equally likely to be read; with 0 all sources are. mmBERT (Marone et al. 2025, arXiv
    2509.06888) goes down from 0.7 to 0.5 and 0.3 over its three phases. With `domain` the exponent applies within the domain
    and within the rest, between which `domain_share` divides the tokens; that division is our choice.
    """

    name: ClassVar[str] = "annealing.temperature"

    tokens: dict[str, Annotated[rexplug.Quantity, Field(gt=0)]] = Field(min_length=1)
    """Source -> its size in tokens (or in another unit, the same for all sources)."""
    exponent: rexplug.Ramp = rexplug.Ramp(start=0.7, end=0.7)
    """The power of the sizes: a number from 0 to 1, or `{start: 0.7, end: 0.3}`, linearly over the phase."""
    domain: tuple[str, ...] = ()
    """Those of the sources that belong to the domain; none if left out."""
    domain_share: rexplug.Ramp | None = None
    """The domain's share of the tokens: a number, or `{start: 0.2, end: 0.9}`, linearly over the phase. Needed with `domain`."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if unknown := sorted(set(self.domain) - set(self.tokens)):
            raise PydanticCustomError("domain", "'{name}' is in domain and has no size in tokens", {"name": unknown[0]})
        if bool(self.domain) != (self.domain_share is not None):
            raise PydanticCustomError("domain", "'domain' and 'domain_share' go together: write both or neither", {})
        if self.domain and set(self.domain) == set(self.tokens):
            raise PydanticCustomError(
                "domain", "all sources are in the domain; leave out 'domain' and 'domain_share'", {}
            )
        return self

    def weights(self, progress: float) -> Mapping[str, float]:
        """The shares at `progress`, which add up to 1."""
        exponent = self.exponent.at(progress)
        domain = 0.0 if self.domain_share is None else self.domain_share.at(progress)
        weights = {}
        for names, share in ((set(self.tokens) - set(self.domain), 1 - domain), (set(self.domain), domain)):
            powers = {name: size**exponent for name, size in self.tokens.items() if name in names}
            total = math.fsum(powers.values())
            weights.update({name: share * power / total for name, power in powers.items()})
        return {name: weights[name] for name in self.tokens}


@rexplug.hookimpl
def rexplug_mixing_schedules() -> list[type[rexplug.MixingSchedule]]:
    """The schedules of this plugin."""
    return [Constant, Linear, Cosine, OneMinusSqrt, Stepwise, Curriculum, Temperature]
