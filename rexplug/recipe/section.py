"""The base class of all sections of a recipe."""

from __future__ import annotations

from pydantic import ConfigDict

from rexplug.documented import Documented

LONGEST_NAME = 100
"""Characters of a name that becomes a folder's: file systems take 255 bytes, and temporary names add a prefix."""


class Section(Documented):
    """A section of a recipe: frozen, and unknown keys are errors."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        defer_build=True,
        populate_by_name=True,
        validate_default=True,
        allow_inf_nan=False,
    )
