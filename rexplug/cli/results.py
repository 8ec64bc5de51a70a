"""Standard output holds the results of a command and nothing else, so that `rexplug lineage --json` and the like can be piped.

While a command runs, standard output is redirected to standard error: for `print` in plugins and libraries, for what C code writes
to file descriptor 1, and for processes that are started. The command line writes its results to a copy of the original.
"""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import IO, TextIO

from rexplug.distributed import OUTPUT_DESCRIPTORS

_stream: TextIO | None = None
"""Where results go while a command runs."""


def results() -> TextIO:
    """The stream for the results of a command: standard output, also while it is redirected."""
    return _stream or sys.stdout


def results_file() -> IO[str] | None:
    """`results` for a process that this one starts; None, which stands for this process's own, where it has no descriptor."""
    try:
        results().fileno()
    except (OSError, ValueError):
        return None
    return results()


@contextmanager
def only_results() -> Iterator[None]:
    """Redirect standard output to standard error; only what is written to `results()` reaches it."""
    global _stream
    stdout = sys.stdout
    # Each is None where its descriptor was closed; an inner block changes nothing.
    if stdout is None or sys.stderr is None or _stream is not None:
        yield
        return
    copy = _redirect_descriptor(stdout)
    _stream, sys.stdout = copy or stdout, sys.stderr
    if copy is not None:
        OUTPUT_DESCRIPTORS.add(copy.fileno())
    try:
        yield
    finally:
        _stream, sys.stdout = None, stdout
        if copy is not None:
            sys.stderr.flush()
            OUTPUT_DESCRIPTORS.discard(copy.fileno())
            os.dup2(copy.fileno(), 1)
            _close(copy)


def _redirect_descriptor(stdout: TextIO) -> TextIO | None:
    """Redirect descriptor 1 to descriptor 2, and return a stream to where it led; None where `stdout` does not write to it."""
    try:
        stdout.flush()
        if stdout.fileno() != 1:
            return None
        copy = os.dup(1)
    except (OSError, ValueError):  # no descriptor, as in a notebook
        return None
    try:
        os.dup2(2, 1)
    except OSError:
        os.close(copy)
        return None
    return io.TextIOWrapper(
        os.fdopen(copy, "wb"), encoding=stdout.encoding, errors=stdout.errors,
        line_buffering=getattr(stdout, "line_buffering", False), write_through=getattr(stdout, "write_through", False),
    )  # fmt: skip


def _close(stream: TextIO) -> None:
    """Flush and close a stream; where its reader is gone, without the second error that closing would raise."""
    try:
        stream.flush()
    except OSError:
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, stream.fileno())
        os.close(null)
        raise
    finally:
        with suppress(OSError):
            stream.close()
