"""The base class of all sections of a recipe."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pydantic import ConfigDict

from rexplug.documented import Documented

LONGEST_NAME = 100
"""Characters of a name that becomes a folder's: file systems take 255 bytes, and temporary names add a prefix."""


@dataclass(frozen=True)
class SameResult:
    """Marks an option whose value does not change what a stage produces: `Annotated[int, SameResult()]`.

    A change of it keeps finished and half-finished stages valid.
    """


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

    def fingerprint_options(self, *, by_alias: bool = False) -> dict[str, Any]:
        """The options that decide what a stage produces, as JSON: all but those marked `SameResult`."""
        marked = {
            name
            for name, field in type(self).model_fields.items()
            if any(isinstance(mark, SameResult) for mark in field.metadata)
        }
        return self.model_dump(mode="json", by_alias=by_alias, exclude=marked)
