"""Files of sorted keys: equal keys of many files are found side by side, whatever the number of files and their size.

A file holds several columns (hashes of text, hashes of URL, one for each MinHash bucket), each sorted by key. A range of
keys is therefore one piece of each file. More files than may be open at a time are merged first, in rounds.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rexplug.corpus import merge_rounds
from rexplug.executors import Job
from rexplug.io.atomic import replacing, write_json
from rexplug.progress import Progress
from rexplug.recipe.schema import Executor

KEY = np.dtype([("high", "<u8"), ("low", "<u8"), ("place", "<u8"), ("length", "<u4")])
"""A key of 128 bits, the place of its document (number of the shard times 2 ** 32, plus row), its length in characters."""
Keys = NDArray[np.void]

MOST_KEYS = 2_000_000
"""Keys that are held in memory at a time."""


def places(number: int, rows: NDArray[np.generic]) -> NDArray[np.uint64]:
    """Combine the number of a shard with rows into values that sort by shard and row."""
    return rows.astype(np.uint64) | np.uint64(number << 32)


def write_keys(path: Path, columns: Sequence[Keys]) -> None:
    """Sort each column by key and write them to one file."""
    counts = np.array([len(column) for column in columns], "<u8")
    with replacing(path) as temporary, temporary.open("wb") as file:
        file.write(counts.tobytes())
        for column in columns:
            file.write(_sorted(column).tobytes())


def _sorted(keys: Keys) -> Keys:
    ordered: Keys = keys[np.lexsort((keys["place"], keys["low"], keys["high"]))]
    return ordered


class KeyFile:
    """Reads pieces of a file that `write_keys` or `merge_files` wrote."""

    def __init__(self, path: Path, num_columns: int) -> None:
        self.path = path
        self.counts = np.fromfile(path, "<u8", num_columns).astype(np.int64)
        self._starts = 8 * num_columns + KEY.itemsize * (np.cumsum(self.counts) - self.counts)

    def bounds(self, column: int, edges: Sequence[int]) -> list[int]:
        """Where the keys from each edge on begin in a column, with 0 before and the number of keys after."""
        count = int(self.counts[column])
        if not count:
            return [0] * (len(edges) + 2)
        high = np.memmap(self.path, KEY, "r", int(self._starts[column]), (count,))["high"] if edges else np.zeros(0)
        return [0, *(bisect_left(high, np.uint64(edge)) for edge in edges), count]

    def read(self, column: int, start: int, stop: int) -> Keys:
        """The keys `start` to `stop` of a column."""
        offset = int(self._starts[column]) + KEY.itemsize * start
        return np.fromfile(self.path, KEY, stop - start, offset=offset)


def edges(count: int) -> list[int]:
    """Where all ranges but the first begin when keys are divided into `count` ranges of equal size; keys are hashes."""
    return [2**64 * part // count for part in range(1, count)]


def num_ranges(total: int) -> int:
    """Into how many ranges so many keys are divided."""
    return max(1, -(-total // MOST_KEYS))


def read_range(files: Sequence[KeyFile], column: int, part: int, count: int) -> Keys:
    """All keys of one of `count` ranges, not sorted."""
    between = edges(count)[max(part - 1, 0) : part + 1] if count > 1 else []
    first = 0 if part == 0 else 1
    pieces: list[Keys] = [np.zeros(0, KEY)]
    for file in files:
        bounds = file.bounds(column, between)
        start, stop = bounds[first], bounds[first + 1]
        if stop > start:
            pieces.append(file.read(column, start, stop))
    return np.concatenate(pieces)


def _blocks(files: Sequence[KeyFile], column: int, count: int) -> Iterator[Keys]:
    """The keys of a column of several files, sorted, range by range."""
    bounds = [file.bounds(column, edges(count)) for file in files]
    for part in range(count):
        pieces: list[Keys] = [np.zeros(0, KEY)]
        pieces += [
            file.read(column, bound[part], bound[part + 1])
            for file, bound in zip(files, bounds, strict=True)
            if bound[part + 1] > bound[part]
        ]
        yield _sorted(np.concatenate(pieces))


def merge_files(sources: Sequence[Path], num_columns: int, target: Path) -> int:
    """Merge files of keys into one; the record beside it is written last."""
    files = [KeyFile(path, num_columns) for path in sources]
    counts = np.sum([file.counts for file in files], axis=0)
    with replacing(target) as temporary, temporary.open("wb") as out:
        out.write(counts.astype("<u8").tobytes())
        for column in range(num_columns):
            for block in _blocks(files, column, num_ranges(int(counts[column]))):
                out.write(block.tobytes())
    write_json(target.with_suffix(".json"), {"files": len(sources), "keys": counts.tolist()})
    return len(sources)


def merged_in_rounds(
    paths: Sequence[Path], num_columns: int, folder: Path, executor: Executor, *, progress: Progress, name: str
) -> list[Path]:
    """At most `merge_rounds.MOST_FILES` files with the keys of all, in the same order; the files themselves if they are few."""
    return merge_rounds.merged_in_rounds(
        paths,
        lambda group, target: Job(
            f"{name}, merge {target.stem}", merge_files, (group, num_columns, target), target.with_suffix(".json")
        ),
        folder, executor, progress=progress, task=f"merge the keys of {name}",
    )  # fmt: skip
