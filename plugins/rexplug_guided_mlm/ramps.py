"""Options of guided masking that change over a phase: the boost and the unit."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, GetJsonSchemaHandler, model_serializer, model_validator
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

import rexplug


class Boost(rexplug.Ramp):
    """A factor of at least 1 that changes linearly over a phase; a single number means a constant factor.

    `4` and `{start: 2, end: 4}` are both valid in a recipe.
    """

    start: float = Field(ge=1)
    """Factor at the start of the phase."""
    end: float = Field(ge=1)
    """Factor at the end of the phase."""


class Unit(BaseModel):
    """What is drawn, at the start and at the end of a phase; a single name means the same all the time.

    `span` and `{start: token, end: span}` are both valid in a recipe.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    start: Literal["token", "span"]
    """The unit at the start of the phase."""
    end: Literal["token", "span"]
    """The unit at the end of the phase."""

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """A name, or a mapping of both ends."""
        reference = handler(schema)
        resolved = handler.resolve_ref_schema(reference)
        mapping = dict(resolved)
        resolved.clear()
        resolved["anyOf"] = [{"type": "string", "enum": ["token", "span"]}, mapping]
        return reference

    @model_validator(mode="before")
    @classmethod
    def _one_name(cls, value: Any) -> Any:
        return {"start": value, "end": value} if isinstance(value, str) else value

    @model_serializer
    def _short(self) -> Any:
        return self.start if self.start == self.end else {"start": self.start, "end": self.end}

    def share_of_spans(self, progress: float) -> float:
        """The share of samples that is masked by spans at `progress` in [0, 1] of the phase."""
        start, end = float(self.start == "span"), float(self.end == "span")
        return start + (end - start) * min(1.0, max(0.0, progress))
