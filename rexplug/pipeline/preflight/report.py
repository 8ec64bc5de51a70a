"""The result of the checks before a run."""

from __future__ import annotations

from dataclasses import dataclass

from rexplug.io.hub import HubName


@dataclass(frozen=True)
class PreflightReport:
    """What the checks before a run leave to say about a recipe without problems."""

    unchecked: dict[str, HubName]
    """Place in the recipe -> a name on the Hugging Face hub that the hub was not asked for."""
    reason: str
    """Why not, as a clause."""
    notes: tuple[str, ...]
    """Remarks on what was checked."""

    def lines(self) -> list[str]:
        """The report as lines for the terminal."""
        lines = [f"  note: {note}" for note in self.notes]
        if self.unchecked:
            lines.append(f"  not checked, on the Hugging Face hub ({self.reason}):")
            lines += [f"    {place}: {name}" for place, name in self.unchecked.items()]
        return lines
