"""Signals that ask a run to stop."""

from __future__ import annotations

import os
import signal
import stat
from contextlib import suppress

OUTPUT_DESCRIPTORS = {1, 2}
"""The descriptors that are written to: standard output and error, and copies of them while they are redirected."""


def stop_signals() -> tuple[signal.Signals, ...]:
    """The signals that ask a run to stop: SIGTERM, SIGINT, and SIGHUP unless it is ignored (nohup)."""
    always = (signal.SIGTERM, signal.SIGINT)
    return always if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN else (*always, signal.SIGHUP)


def detach_from_terminal(number: int) -> None:
    """After SIGHUP, redirect output from the terminal to /dev/null; other signals change nothing.

    Writing to a terminal that was closed raises an error, which would end the run while it saves its checkpoint.
    """
    if number != signal.SIGHUP:
        return
    null = os.open(os.devnull, os.O_WRONLY)
    for descriptor in OUTPUT_DESCRIPTORS:
        with suppress(OSError):
            if stat.S_ISCHR(os.fstat(descriptor).st_mode):
                os.dup2(null, descriptor)
    os.close(null)
