"""What all parts of a recipe are made of."""

from __future__ import annotations

from typing import Annotated

from pydantic import ConfigDict, Field

from rexplug.components import Quantity
from rexplug.documented import Documented

Positive = Annotated[Quantity, Field(gt=0)]


class Section(Documented):
    """A part of the recipe: frozen, unknown keys refused."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        defer_build=True,
        populate_by_name=True,
        validate_default=True,
        allow_inf_nan=False,
    )
