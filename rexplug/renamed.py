"""Public names and options that were renamed: the old one works for a release, and a warning says what to write instead.

- A name of a package: `lazy_names(..., renamed={"OnGpu": Renamed("GpuForecast", until="0.2")})`.
- An option of a component, or a key of a recipe section: `renamed_options = {"share": Renamed("at_most", until="0.2")}` in the
  class.
- A component: `former_names = {"legal.citation": "0.2"}` in the class.

`until` is the version of rexplug, or of the plugin's distribution, in which the old name is removed.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


class RenamedWarning(FutureWarning):
    """An old name was used. The command line prints the text alone; it can be an error with `python -W error`."""


@dataclass(frozen=True, slots=True)
class Renamed:
    """The name that replaces an old one, and the version in which the old one is removed."""

    new: str
    """The current name."""
    until: str
    """The version, of rexplug or of the plugin's distribution, in which the old name is removed."""


def warn_renamed(old: str, renamed: Renamed, where: str = "") -> None:
    """Warn about an old name, at the line outside rexplug that used it.

    Args:
        old: the old name.
        renamed: what replaces it.
        where: what the text begins with, e.g. `legal.has_citation: `.
    """
    text = (
        f"{where}'{old}' is now called '{renamed.new}'; write {renamed.new} ({old} works until version {renamed.until})"
    )
    frame = sys._getframe(1)
    while frame.f_back is not None and _is_between(str(frame.f_globals.get("__name__"))):
        frame = frame.f_back
    warnings.warn_explicit(
        text, RenamedWarning, frame.f_code.co_filename, frame.f_lineno, str(frame.f_globals.get("__name__")),
        frame.f_globals.setdefault("__warningregistry__", {}),
    )  # fmt: skip


def _is_between(module: str) -> bool:
    """Whether code of this module is between a use of an old name and the warning about it."""
    return module.partition(".")[0] in ("rexplug", "pydantic", "importlib")


def current_options(options: Any, renamed: Mapping[str, Renamed], name: str) -> Any:
    """The options under their current names, with a warning for each old one.

    Args:
        options: what a model is made from; returned unchanged if it is not a mapping.
        renamed: old name -> what replaces it.
        name: of what the options belong to, for the warnings.

    Raises:
        ValueError: an option is given under both names.
    """
    if not isinstance(options, Mapping) or not renamed.keys() & options.keys():
        return options
    current = {key: value for key, value in options.items() if key not in renamed}
    for old in (key for key in options if key in renamed):
        new = renamed[old].new
        if new in current:
            raise ValueError(f"'{old}' is the former name of '{new}', which is given too; remove '{old}'")
        current[new] = options[old]
        warn_renamed(old, renamed[old], f"{name}: ")
    return current
