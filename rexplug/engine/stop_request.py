"""Signals that ask a phase to save itself and stop."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from rexplug import distributed


class StopRequest:
    """Records that a signal asked the run to stop; a second SIGTERM or SIGINT ends the process at once.

    SIGHUP never counts as the second one: the end of a session sends it beside another signal.
    """

    def __init__(self) -> None:
        self._received = self._may_not_repeat = False
        self._signals = distributed.stop_signals()

    @property
    def received(self) -> bool:
        """Whether a signal came, to the process or to this thread alone."""
        return self._received or not signal.sigpending().isdisjoint(self._signals)

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Handle the signals inside the context, and restore their handlers after it.

        They are delivered to a thread that does nothing else: on a virtual machine a signal during a matrix product was seen
        to leave wrong numbers behind. Python runs the handler in the main thread all the same, and only the main thread may
        set one: in any other thread nothing is handled here.
        """
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.getsignal(number) for number in self._signals}
        for number in before:
            signal.signal(number, self._handle)
        blocked = signal.pthread_sigmask(signal.SIG_BLOCK, before)
        ready, done = threading.Event(), threading.Event()

        def receive() -> None:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, before)
            ready.set()
            done.wait()

        receiver = threading.Thread(target=receive, name="signals", daemon=True)
        receiver.start()
        ready.wait()
        try:
            yield
        finally:
            done.set()
            receiver.join()
            signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
            for number, handler in before.items():
                signal.signal(number, handler)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        distributed.detach_from_terminal(number)
        if self._may_not_repeat and number != signal.SIGHUP:
            raise KeyboardInterrupt
        self._received, self._may_not_repeat = True, self._may_not_repeat or number != signal.SIGHUP
