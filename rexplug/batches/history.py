"""Which position a phase was at after each step: a small record per step, so that lineage need not train again."""

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
_REPLAYED = 256
"""Steps that are planned anew where a crash lost their records."""
FILE = "positions.log"
"""The file's name in a phase's folder of checkpoints."""


def _record(num_sources: int) -> np.dtype[Any]:
    """Waiting draws are kept as their distance from `draws`, 0 where there is none."""
    shape = (num_sources,)
    return np.dtype(
        [
            ("batch", "<i8"), ("tokens", "<i8"), ("credits", "<i8", shape), ("draws", "<i8", shape),
            ("waiting", "<u4", (num_sources, LOOK_AHEAD)),
        ]
    )  # fmt: skip


class PositionLog:
    """Writes the position after each step; records have a fixed size and lie in order of steps.

    A phase that goes on after step `step` overwrites what a killed process wrote beyond it.
    """

    def __init__(self, path: Path, stream: BatchStream, step: int = 0) -> None:
        self._kind = _record(len(stream.sources))
        header = _header(stream)
        if not _starts_with(path, header):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(header)
        self._start = len(header)
        self._file = path.open("r+b", buffering=0)
        end = self._start + step * self._kind.itemsize
        self._file.seek(0, 2)
        if self._file.tell() > end:
            self._file.truncate(end)

    def append(self, position: Position) -> None:
        """Write the position after a step (`position.batch` steps are done)."""
        record = np.zeros((), self._kind)
        record["batch"], record["tokens"] = position.batch, position.tokens
        record["credits"], record["draws"] = position.credits, position.draws
        places = [0] * len(position.draws)
        for source, draw in position.waiting:
            record["waiting"][source, places[source]] = position.draws[source] - draw
            places[source] += 1
        place = self._start + (position.batch - 1) * self._kind.itemsize
        try:
            self._file.seek(place)
            if self._file.write(record.tobytes()) != self._kind.itemsize:
                self._file.truncate(place)
        except OSError:
            # A full disk is no reason to stop training: such a step is planned anew when somebody asks for it.
            self._file.truncate(place)

    def close(self) -> None:
        """Close the file."""
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
    about = {
        "format": FORMAT, "phase": stream.phase, "sources": list(stream.sources),
        "stores": [store.identity for store in stream.stores.values()],
        "context": stream.context, "row_tokens": stream.row_tokens, "min_tokens": stream.min_tokens,
        "look_ahead": LOOK_AHEAD, "seed": stream.seed,
    }  # fmt: skip
    return (json.dumps(about) + "\n").encode()


@dataclass(frozen=True, eq=False)
class PositionHistory:
    """Reads what `PositionLog` wrote; records are memory-mapped, so any step is found at once."""

    path: Path
    stream: BatchStream

    @cached_property
    def _records(self) -> NDArray[Any]:
        kind = _record(len(self.stream.sources))
        if not self.path.exists():
            return np.zeros(0, kind)
        with self.path.open("rb") as file:
            header = file.readline()
            size = file.seek(0, 2) - len(header)
        if header != _header(self.stream):
            raise DataError(
                f"{self.path} belongs to other token stores or another recipe than those in the run's folder now; "
                "train the phase again"
            )
        if size < kind.itemsize:
            return np.zeros(0, kind)
        return np.memmap(self.path, kind, "r", len(header), (size // kind.itemsize,))

    @property
    def num_steps(self) -> int:
        """Steps that were recorded."""
        return len(self._records)

    def before(self, step: int) -> Position:
        """The position before step `step` (1, 2, ...), or after the last; steps whose record a crash lost are planned anew.

        Raises:
            DataError: there is no such step.
        """
        if step != self.num_steps + 1:
            self.require(step)
        known = step - 1
        while known and int(self._records[known - 1]["batch"]) != known:
            known -= 1
            if step - 1 - known > _REPLAYED:
                raise DataError(
                    f"the records of more than {_REPLAYED} steps before step {step} are lost from {self.path}; "
                    "what those steps saw cannot be told any more"
                )
        position = self._position(known)
        for _ in range(known, step - 1):
            position = self.stream.plan(position)[1]
        return position

    def require(self, step: int) -> None:
        """Refuse a step that was not recorded.

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
        draws = record["draws"].tolist()
        waiting = tuple(
            (source, draws[source] - int(distance))
            for source, line in enumerate(record["waiting"])
            for distance in line[line > 0]
        )
        return Position(
            int(record["batch"]), int(record["tokens"]), tuple(record["credits"].tolist()), tuple(draws), waiting
        )

    @property
    def last(self) -> Position:
        """The position after the last recorded step."""
        return self.before(self.num_steps + 1)

    def step_of(self, source: int, draw: int) -> int:
        """The first step after which more than `draw` draws of a source were done; 0 if none was.

        Raises:
            DataError: the records that would tell are lost.
        """
        low, high = 1, self.num_steps + 1
        while low < high:
            middle = (low + high) // 2
            record = self._records[middle - 1]
            # A record that a crash lost says nothing about the steps around it.
            draws = record["draws"] if int(record["batch"]) == middle else self.before(middle + 1).draws
            low, high = (low, middle) if int(draws[source]) > draw else (middle + 1, high)
        return low if low <= self.num_steps else 0
