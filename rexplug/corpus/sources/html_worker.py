"""Extracts web pages in a separate process, so that a page that takes too long or crashes the parser costs only itself.

Run as a script, this file is that process: of rexplug it imports only what reads structured data, when that is asked for, and so
starts in the time of one import. Messages on its standard input and output are a length of 8 bytes and a pickle. The limit is on
processor time, kept by the kernel: the timer's signal ends the process even inside a C library, a busy machine does not make a page
slower, and a process whose parent is gone cannot work on for long.
"""

from __future__ import annotations

import atexit
import os
import pickle
import signal
import sys
from contextlib import suppress
from typing import IO, Any, NamedTuple

_SIZE = 8


class Extracted(NamedTuple):
    """What a page gave: its main text, or the reason why there is none; and its structured data, if they were asked for."""

    text: str
    reason: str
    data: dict[str, Any]


class Extractor:
    """The parent's side of the process, which takes pages one by one."""

    def __init__(self) -> None:
        import subprocess

        self.owner = os.getpid()
        path = os.pathsep.join(entry for entry in sys.path if entry)
        self._process = subprocess.Popen(
            [sys.executable, "-P", __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": path},
        )  # fmt: skip
        atexit.register(self.close)

    def extract(self, page: str, options: dict[str, Any] | None, seconds: float, with_data: bool) -> Extracted:
        """The main text of a page, or the empty text and the reason; its structured data if `with_data`.

        Raises:
            EOFError: the process ended; see `exit_code`.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            _send(self._process.stdin, (page, options, seconds, with_data))
        except BrokenPipeError:
            raise EOFError from None
        return Extracted(*_receive(self._process.stdout))

    def exit_code(self) -> int:
        """The exit code of the process after its end; negative for the signal that ended it."""
        return self._process.wait()

    def close(self) -> None:
        """End the worker process."""
        atexit.unregister(self.close)
        if self.owner == os.getpid():
            for pipe in (self._process.stdin, self._process.stdout):
                with suppress(OSError):
                    if pipe is not None:
                        pipe.close()
            self._process.kill()
            self._process.wait()


_running: Extractor | None = None
"""The extractor of this process; kept, since starting one takes the time of importing trafilatura."""


def extract_apart(page: str, options: dict[str, Any] | None, seconds: float, with_data: bool = False) -> Extracted:
    """The main text of a page, or the empty text and the reason; `options` are those of `trafilatura.extract`, None for no text.

    `with_data` also reads the page's structured data; an exception there costs the data and not the text.
    Extraction stops after `seconds` of processor time. A page during which the process ended otherwise is tried once more in a new
    process: something else may have killed the first.
    """
    global _running
    for attempt in (1, 2):
        if _running is None or _running.owner != os.getpid():
            _running = Extractor()
        try:
            return _running.extract(page, options, seconds, with_data)
        except EOFError:
            code = _running.exit_code()
            _running.close()
            _running = None
        if code == -signal.SIGPROF:
            return Extracted("", f"extraction took more than {seconds:g} s", {})
        if attempt == 2:
            return Extracted("", f"extraction died ({f'signal {-code}' if code < 0 else f'exit code {code}'})", {})
    raise AssertionError


def _send(file: IO[bytes], message: Any) -> None:
    data = pickle.dumps(message, pickle.HIGHEST_PROTOCOL)
    file.write(len(data).to_bytes(_SIZE, "little"))
    file.write(data)
    file.flush()


def _receive(file: IO[bytes]) -> Any:
    size = file.read(_SIZE)
    data = file.read(int.from_bytes(size, "little")) if len(size) == _SIZE else b""
    if not data:
        raise EOFError
    return pickle.loads(data)


def _serve() -> None:
    """Take pages until the other side closes."""
    import logging

    logging.disable(logging.CRITICAL)  # warnings of the libraries about a page are not for the terminal
    # The parent reads messages from standard output: what a library prints goes to standard error instead.
    inbox, outbox = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    signal.signal(signal.SIGPROF, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    from rexplug.corpus.sources.main_text import main_text  # it imports trafilatura

    while True:
        try:
            page, options, seconds, with_data = _receive(inbox)
        except EOFError:
            return
        signal.setitimer(signal.ITIMER_PROF, seconds)
        text, reason, data = "", "", {}
        try:
            if options is not None:
                text = main_text(page, options)
        except Exception as error:
            reason = f"extraction failed ({type(error).__name__})"
        if with_data:
            from rexplug.corpus.structured_data import (
                structured_data,
            )  # only where it is asked for: it imports the package

            with suppress(Exception):
                data = structured_data(page)
        signal.setitimer(signal.ITIMER_PROF, 0)
        _send(outbox, (text, reason, data))


if __name__ == "__main__":
    _serve()
