"""Puts back what was read from an open file to see what it is."""

from __future__ import annotations

import io
from typing import IO, Any

_BUFFER = 1 << 18


def continued(head: bytes, rest: IO[bytes]) -> io.BufferedReader:
    """A stream of `head` and the rest of an open file, which need not be seekable."""
    return io.BufferedReader(_Continued(head, rest), _BUFFER)


class _Continued(io.RawIOBase):
    def __init__(self, head: bytes, rest: IO[bytes]) -> None:
        self._head, self._rest = memoryview(head), rest

    def readable(self) -> bool:
        """The stream can only be read."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill the beginning of the buffer."""
        data = self._head[: len(buffer)] or self._rest.read(len(buffer))
        self._head = self._head[len(data) :]
        buffer[: len(data)] = data
        return len(data)
