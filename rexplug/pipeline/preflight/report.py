"""The result of the checks before a run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from rexplug.io.hub import HubName


@dataclass(frozen=True)
class PreflightReport:
    """What the checks before a run found."""

    problems: tuple[str, ...]
    """What keeps the recipe from running, one text each, with its place in the recipe."""
    warnings: tuple[str, ...]
    """Remarks on what is allowed, but unusual."""
    unchecked: Mapping[str, HubName]
    """Place in the recipe -> a name on the Hugging Face Hub that the Hub was not asked for."""
    why_unchecked: str = ""
    """Why not, as a clause."""

    @property
    def ok(self) -> bool:
        """Whether the recipe can run, as far as could be checked."""
        return not self.problems

    def lines(self) -> list[str]:
        """Warnings and unchecked names as lines for the terminal."""
        lines = [f"  note: {warning}" for warning in self.warnings]
        if self.unchecked:
            lines.append(f"  not checked, since it is on the Hugging Face Hub ({self.why_unchecked}):")
            lines += [f"    {place}: {name}" for place, name in self.unchecked.items()]
        return lines
