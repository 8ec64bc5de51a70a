"""Seconds, memory and open files of a whole curation of many small shards, by step.

    python tests/benchmarks/bench_many_shards.py [--shards 2000 8000 40000] [--open-files 1024] [--workers 1]
    python tests/benchmarks/bench_many_shards.py --shards 20 --documents 5000 --words 700

Each shard has three texts of 60 words (or as many as asked for); every tenth, the first at least, is a text of the shard before with
three words more. There is one cheap filter and no decontamination: the time is that of files, records and duplicates.
"""

from __future__ import annotations

import argparse
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

from bench_deduplicate import WORDS, OpenFiles

from rexplug.components import Document, DocumentSource, Shard
from rexplug.corpus.curate import curate
from rexplug.corpus.filters import Length
from rexplug.progress import Silent
from rexplug.recipe.schema import Curation, Executor


class MadeShards(DocumentSource):
    """A source with a given number of shards; the documents of a shard depend only on its index."""

    name: ClassVar[str] = "made_shards"

    shards: int
    rows: int
    words: int

    def num_shards(self) -> int:
        """The number given in the options."""
        return self.shards

    def documents(self, shard: Shard) -> Iterator[Document]:
        """The documents of one shard."""
        for row in range(self.rows):
            near = bool(shard.index) and row % 10 == 0
            draw = random.Random((shard.index - near) * 1_000_003 + row + (1 if near else 0))
            text = " ".join(draw.choices(WORDS, k=self.words))
            yield Document(f"{shard.index}-{row}", f"{text} seen once again" if near else text)


class Steps(Silent):
    """Records the start time of each step."""

    def __init__(self) -> None:
        self.began: list[tuple[str, float]] = []

    def start(self, task: str, total: float | None = None, unit: str = "") -> None:
        self.began.append((task, time.perf_counter()))

    def seconds(self) -> list[tuple[str, float]]:
        ends = [time for _, time in self.began[1:]] + [time.perf_counter()]
        return [(task, end - start) for (task, start), end in zip(self.began, ends, strict=True)]


def one(shards: int, options: argparse.Namespace) -> None:
    open_files, workers = options.open_files, options.workers
    resource.setrlimit(resource.RLIMIT_NOFILE, (open_files, open_files))
    steps, files_open = Steps(), OpenFiles()
    with tempfile.TemporaryDirectory() as name:
        files_open.start()
        began = time.perf_counter()
        source = MadeShards(shards=shards, rows=options.documents, words=options.words, filters=(Length(min_words=5),))
        statistics = curate(
            {"web": source}, Curation(executor=Executor(workers=workers)), seed=1, corpus=Path(name) / "corpus",
            fitted=Path(name) / "fitted", progress=steps,
        )  # fmt: skip
        seconds = time.perf_counter() - began
    peaks = [resource.getrusage(who).ru_maxrss / 1024 for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    reasons = statistics["sources"]["web"]["steps"][-1]["reasons"]
    print(
        f"{shards} shards: {seconds:.0f} s, peak {peaks[0]:.0f} MB (a worker {peaks[1]:.0f} MB), at most {files_open.stop()} files "
        f"open; {reasons}"
    )
    for task, taken in steps.seconds():
        print(f"    {taken:7.1f} s  {task}")
    sys.stdout.flush()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shards", type=int, nargs="+", default=[2000, 8000])
    parser.add_argument("--open-files", type=int, default=1024)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--documents", type=int, default=3)
    parser.add_argument("--words", type=int, default=60)
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        one(options.one, options)
        return
    for shards in options.shards:
        # Each size runs in a separate process, so that its peak memory is measured alone.
        command = [sys.executable, __file__, "--one", str(shards)]
        for name in ("open_files", "workers", "documents", "words"):
            command += [f"--{name.replace('_', '-')}", str(getattr(options, name))]
        subprocess.run(command, check=True)


if __name__ == "__main__":
    main()
