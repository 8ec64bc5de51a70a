"""Signals that stop a command."""

from __future__ import annotations

import signal
from types import FrameType

from rexplug import distributed


def interrupt_on_signals() -> None:
    """Treat SIGTERM and SIGHUP like Ctrl-C, so that curation and evaluation stop in the same way."""
    for number in distributed.stop_signals():
        if number != signal.SIGINT:
            signal.signal(number, _interrupt)


def _interrupt(number: int, frame: FrameType | None) -> None:
    distributed.detach_from_terminal(number)
    raise KeyboardInterrupt
