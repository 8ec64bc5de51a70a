"""Reports of a phase to a terminal that may be closed at any moment."""

from __future__ import annotations

import errno
import signal
from collections.abc import Callable

from rexplug import distributed
from rexplug.progress import Progress


class TerminalMayClose:
    """A progress that forwards reports to another one, and survives the end of its terminal.

    A closed terminal fails writes (EIO) a moment before SIGHUP arrives, which requests that the phase saves and stops; an error in
    between must not end it without a checkpoint.
    """

    def __init__(self, progress: Progress) -> None:
        self._progress = progress

    def start(self, task: str, total: float | None = None, unit: str = "") -> None:
        """Forward the start of a task."""
        self._forward(lambda: self._progress.start(task, total, unit))

    def update(self, done: float, **metrics: float | str) -> None:
        """Forward how much of the task is done."""
        self._forward(lambda: self._progress.update(done, **metrics))

    def note(self, text: str) -> None:
        """Forward a line of text."""
        self._forward(lambda: self._progress.note(text))

    def _forward(self, report: Callable[[], None]) -> None:
        try:
            report()
        except OSError as error:
            if error.errno != errno.EIO:
                raise
            distributed.detach_from_terminal(signal.SIGHUP)
