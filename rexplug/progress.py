"""How long work tells the person who waits for it where it stands."""

from __future__ import annotations

from typing import Protocol, runtime_checkable


@runtime_checkable
class Progress(Protocol):
    """Receives what a stage reports. Implementations: `Silent` here, live bars and plain lines in the CLI."""

    def start(self, task: str, total: float | None = None, unit: str = "") -> None:
        """Begin a task, e.g. `start("pretrain", total=1_000_000, unit="tokens")`; ends the one before."""

    def update(self, done: float, **figures: float | str) -> None:
        """Say how much of the task is done (absolute) and the few figures that matter, e.g. `loss=3.21`."""

    def note(self, text: str) -> None:
        """Say one line worth reading that is not progress."""


class Silent:
    """Says nothing."""

    def start(self, task: str, total: float | None = None, unit: str = "") -> None:
        """Ignore the start."""

    def update(self, done: float, **figures: float | str) -> None:
        """Ignore the update."""

    def note(self, text: str) -> None:
        """Ignore the note."""
