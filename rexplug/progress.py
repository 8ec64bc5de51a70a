"""The protocol by which stages report their progress."""

from __future__ import annotations

from typing import Protocol, runtime_checkable


@runtime_checkable
class Progress(Protocol):
    """Receives what a stage reports. `Silent` ignores it; the command line prints bars or plain lines."""

    def start(self, task: str, total: float | None = None, unit: str = "") -> None:
        """Begin a task, e.g. `start("pretrain", total=1_000_000, unit="tokens")`; this ends the task before."""

    def update(self, done: float, **metrics: float | str) -> None:
        """Report how much of the task is done (absolute, in its unit) and a few metrics, e.g. `loss=3.21`.

        Metrics stay shown until they are reported again; one that is an empty text is no longer shown.
        """

    def note(self, text: str) -> None:
        """Report a line that is worth keeping and not progress."""


class Silent:
    """A `Progress` that ignores what it receives."""

    def start(self, task: str, total: float | None = None, unit: str = "") -> None:
        """Ignore the start of a task."""

    def update(self, done: float, **metrics: float | str) -> None:
        """Ignore how much of the task is done."""

    def note(self, text: str) -> None:
        """Ignore a line of text."""
