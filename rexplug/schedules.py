"""Rates, learning rate and batch size as pure functions of progress or tokens. No torch, so plan and engine share them."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field, model_serializer, model_validator


class Ramp(BaseModel):
    """A rate between 0 and 1 that moves linearly over a phase; one number stands for a constant.

    `0.3` and `{start: 0.3, end: 0.15}` are both valid in a recipe.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    start: float = Field(ge=0, le=1)
    """Value at the start of the phase."""
    end: float = Field(ge=0, le=1)
    """Value at the end of the phase."""

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
