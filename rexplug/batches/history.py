"""The position after each step of a phase, in a small record per step, so that lineage need not train again."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from rexplug.batches.packing import LOOK_AHEAD
from rexplug.batches.position import Position
from rexplug.batches.stream import BatchStream
from rexplug.errors import DataError

FORMAT = 1
_MAX_REPLAYED = 256
"""At most so many steps are planned again where a crash lost their records."""
FILE = "positions.log"
"""The name of the file in a phase's folder of checkpoints."""


def _record_type(num_sources: int) -> np.dtype[Any]:
    """A position as a record of fixed size.

    A deferred sample is kept as the distance of its sample index from the source's `next_indices`, 0 where there is none.
    """
    shape = (num_sources,)
    return np.dtype(
        [
            ("batch", "<i8"), ("tokens", "<i8"), ("credits", "<i8", shape), ("next_indices", "<i8", shape),
            ("deferred", "<u4", (num_sources, LOOK_AHEAD)),
        ]
    )  # fmt: skip


class PositionLog:
    """Writes the position after each step; records have a fixed size and are sorted by step.

    Args:
        path: the file; made with its folder if it is missing, and replaced if it belongs to another stream.
        stream: the stream that the phase trains on.
        step: the step after which the phase resumes; what a killed process wrote beyond it is overwritten.
    """

    def __init__(self, path: Path, stream: BatchStream, step: int = 0) -> None:
        self._type = _record_type(len(stream.sources))
        header = _header(stream)
        if not _starts_with(path, header):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(header)
        self._start = len(header)
        self._file = path.open("r+b", buffering=0)
        end = self._start + step * self._type.itemsize
        self._file.seek(0, 2)
        if self._file.tell() > end:
            self._file.truncate(end)

    def append(self, position: Position) -> None:
        """Write the position after step number `position.batch`. A full disk does not stop training: the record is left out."""
        record = np.zeros((), self._type)
        record["batch"], record["tokens"] = position.batch, position.tokens
        record["credits"], record["next_indices"] = position.credits, position.next_indices
        num_deferred = [0] * len(position.next_indices)
        for source, sample_index in position.deferred:
            record["deferred"][source, num_deferred[source]] = position.next_indices[source] - sample_index
            num_deferred[source] += 1
        offset = self._start + (position.batch - 1) * self._type.itemsize
        try:
            self._file.seek(offset)
            if self._file.write(record.tobytes()) != self._type.itemsize:
                self._file.truncate(offset)
        except OSError:
            # `PositionHistory.before` plans such a step again when it is asked for.
            self._file.truncate(offset)

    def close(self) -> None:
        """Close the file of positions."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _starts_with(path: Path, header: bytes) -> bool:
    if not path.exists():
        return False
    with path.open("rb") as file:
        return file.read(len(header)) == header


def _header(stream: BatchStream) -> bytes:
    return (json.dumps({"format": FORMAT, **stream.identity()}) + "\n").encode()


@dataclass(frozen=True, eq=False)
class PositionHistory:
    """Reads what `PositionLog` wrote; records are memory-mapped, so that any step is read directly.

    Args:
        path: the log; it may be missing if the phase has not begun.
        stream: the stream that the phase trains on.
    """

    path: Path
    stream: BatchStream

    @cached_property
    def _records(self) -> NDArray[Any]:
        record_type = _record_type(len(self.stream.sources))
        if not self.path.exists():
            return np.zeros(0, record_type)
        with self.path.open("rb") as file:
            header = file.readline()
            size = file.seek(0, 2) - len(header)
        if header != _header(self.stream):
            raise DataError(
                f"{self.path} belongs to other token stores or another recipe than those in the run directory now; "
                "train the phase again"
            )
        if size < record_type.itemsize:
            return np.zeros(0, record_type)
        return np.memmap(self.path, record_type, "r", len(header), (size // record_type.itemsize,))

    @property
    def num_steps(self) -> int:
        """Steps that were recorded."""
        return len(self._records)

    def before(self, step: int) -> Position:
        """The position before step `step` (1, 2, ...); that after the last step is before step `num_steps + 1`.

        Steps whose record a crash lost are planned again.

        Raises:
            DataError: there is no such step, or too many records before it are lost.
        """
        if step != self.num_steps + 1:
            self.require(step)
        known = step - 1
        while known and int(self._records[known - 1]["batch"]) != known:
            known -= 1
            if step - 1 - known > _MAX_REPLAYED:
                raise DataError(
                    f"the records of more than {_MAX_REPLAYED} steps before step {step} are lost from {self.path}; "
                    "which samples those steps trained on cannot be determined any more"
                )
        position = self._position(known)
        for _ in range(known, step - 1):
            position = self.stream.plan(position)[1]
        return position

    def require(self, step: int) -> None:
        """Raise an error for a step that was not recorded.

        Raises:
            DataError: there is no such step.
        """
        if not 1 <= step <= self.num_steps:
            raise DataError(
                f"phase '{self.stream.phase}' has no step {step}: {self.num_steps:,} were recorded in {self.path}"
            )

    def _position(self, step: int) -> Position:
        if step == 0:
            return self.stream.start
        record = self._records[step - 1]
        next_indices = record["next_indices"].tolist()
        deferred = tuple(
            (source, next_indices[source] - int(distance))
            for source, distances in enumerate(record["deferred"])
            for distance in distances[distances > 0]
        )
        return Position(
            int(record["batch"]),
            int(record["tokens"]),
            tuple(record["credits"].tolist()),
            tuple(next_indices),
            deferred,
        )

    @property
    def last(self) -> Position:
        """The position after the last recorded step."""
        return self.before(self.num_steps + 1)

    def step_of(self, source: int, sample_index: int) -> int:
        """The first step after which `next_indices` of a source is above `sample_index`; 0 if there is none yet.

        Raises:
            DataError: the records that would tell are lost.
        """
        low, high = 1, self.num_steps + 1
        while low < high:
            middle = (low + high) // 2
            record = self._records[middle - 1]
            # A record that a crash lost says nothing about the steps around it.
            is_whole = int(record["batch"]) == middle
            next_indices = record["next_indices"] if is_whole else self.before(middle + 1).next_indices
            low, high = (low, middle) if int(next_indices[source]) > sample_index else (middle + 1, high)
        return low if low <= self.num_steps else 0
