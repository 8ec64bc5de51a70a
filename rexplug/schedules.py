"""Learning rate, batch size and mask rate as pure functions of tokens or progress; plans and training share them. No torch."""

from __future__ import annotations

import math
from typing import Any

from pydantic import ConfigDict, Field, GetJsonSchemaHandler, model_serializer, model_validator
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from rexplug.documented import Documented


def _or_number(schema: dict[str, Any]) -> None:
    """Allow a single number in the JSON Schema, instead of the mapping; within the bounds of its values."""
    mapping = dict(schema)
    bounds = {key: value for key, value in mapping["properties"]["start"].items() if key in ("minimum", "maximum")}
    description = mapping.pop("description", "")
    schema.clear()
    schema |= {"description": description, "anyOf": [{"type": "number", **bounds}, mapping]}


class Ramp(Documented):
    """A rate between 0 and 1 that changes linearly over a phase; a single number means a constant rate.

    `0.3` and `{start: 0.3, end: 0.15}` are both valid in a recipe.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True, allow_inf_nan=False)

    start: float = Field(ge=0, le=1)
    """Value at the start of the phase."""
    end: float = Field(ge=0, le=1)
    """Value at the end of the phase."""

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """A number, or a mapping of both ends."""
        reference = super().__get_pydantic_json_schema__(schema, handler)
        _or_number(handler.resolve_ref_schema(reference))
        return reference

    @model_validator(mode="before")
    @classmethod
    def _one_number(cls, value: Any) -> Any:
        if isinstance(value, int | float | str):
            return {"start": value, "end": value}
        return value

    @model_serializer
    def _short(self) -> Any:
        return self.start if self.start == self.end else {"start": self.start, "end": self.end}

    def at(self, progress: float) -> float:
        """The value at `progress` in [0, 1] of the phase."""
        return self.start + (self.end - self.start) * min(1.0, max(0.0, progress))


def learning_rate_factor(
    tokens: int, *, total: int, schedule: str, warmup: int = 0, decay: int | None = None, final: float = 0.0
) -> float:
    """The learning rate after `tokens` of a phase of `total` tokens, as a share of its peak.

    Shapes as in ModernBERT's `src/scheduler.py`: a linear warm-up over `warmup` tokens; then `wsd` decays linearly and
    `one_minus_sqrt` as 1 - sqrt(x), both over the last `decay` tokens (everything after the warm-up if None, no decay if 0), and
    `linear` and `cosine` over everything after the warm-up, all down to `final`.
    """
    if warmup and tokens < warmup:
        return tokens / warmup
    if schedule == "constant" or decay == 0:
        return 1.0
    length = total - warmup if decay is None or schedule in ("linear", "cosine") else decay
    if length <= 0:
        return 1.0
    x = min(1.0, max(0.0, (tokens - (total - length)) / length))
    if schedule == "one_minus_sqrt":
        fall = math.sqrt(x)
    elif schedule == "cosine":
        fall = (1 - math.cos(math.pi * x)) / 2
    else:
        fall = x
    return final + (1 - final) * (1 - fall)


def batch_size(tokens: int, *, full: int, start: int | None = None, warmup: int = 0) -> int:
    """Tokens of the batch after `tokens` of a phase: it grows linearly from `start` to `full` over `warmup` tokens."""
    if start is None or tokens >= warmup:
        return full
    return round(start + (full - start) * tokens / warmup)
