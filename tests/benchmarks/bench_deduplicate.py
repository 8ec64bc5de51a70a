"""Seconds and memory of the search for duplicates, by the number of keys and of shards.

    python tests/benchmarks/bench_deduplicate.py [--documents 500k 1M 2M 4M 8M] [--per-shard 50000]
    python tests/benchmarks/bench_deduplicate.py --many 40000 [--open-files 1024]
    python tests/benchmarks/bench_deduplicate.py --keys FILE...

The first compares hashes of URLs and of texts, of which every tenth occurs before; the second curates so many shards of a few
texts each, near-duplicates included, with a limit on open files. Keys are made up, so that the search alone is measured. The third measures
hashes of folded texts beside hashes of lower-cased ones, on the texts of JSON lines files.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import random
import resource
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from rexplug.components import Document
from rexplug.corpus.deduplicate import ShardFiles, find_duplicates
from rexplug.corpus.deduplicate.key_files import KEY, places, write_keys
from rexplug.corpus.deduplicate.keys import KeyWriter
from rexplug.document_files import DocumentWriter
from rexplug.executors.datatrove_logging import silence_datatrove
from rexplug.io.tabular import read_records
from rexplug.progress import Silent
from rexplug.recipe.schema import Curation
from rexplug.text.fold import fold

WORDS = [f"{a}{b}{c}" for a in "bcdfghlmnp" for b in "aeiou" for c in "klmnprst"]


def shard(folder: Path, number: int) -> ShardFiles:
    name = f"{number:05d}"
    paths = (
        folder / "keys" / f"{name}.keys",
        folder / "passed" / f"{name}.parquet",
        folder / "drops" / f"{name}.parquet",
    )
    return ShardFiles("web", *paths)


def made_shards(folder: Path, documents: int, per_shard: int) -> list[ShardFiles]:
    """Shards with random hashes; every tenth is one of those before."""
    draw = np.random.default_rng(1)
    shards = []
    for number, start in enumerate(range(0, documents, per_shard)):
        files = shard(folder, number)
        count = min(per_shard, documents - start)
        columns: list[Any] = []
        for _ in ("text", "url"):
            keys = np.zeros(count, KEY)
            value = np.arange(start, start + count, dtype=np.uint64)
            again = draw.random(count) < 0.1
            value[again] = draw.integers(0, np.maximum(value[again], 1), dtype=np.uint64)
            keys["high"] = np.add(value, len(columns) + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
            keys["low"], keys["place"], keys["length"] = value, places(number, np.arange(count)), 1000
            columns.append(keys)
        write_keys(files.keys, columns)
        files.documents.parent.mkdir(exist_ok=True)
        pq.write_table(
            pa.table({"id": [f"{number}-{row}" for row in range(count)]}), files.documents, row_group_size=5000
        )
        shards.append(files)
    return shards


def grow(documents: int, per_shard: int) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        shards = made_shards(folder, documents, per_shard)
        began = time.perf_counter()
        curation = Curation(deduplicate="exact", deduplicate_urls=True)
        find_duplicates(shards, curation, folder / "search", progress=Silent(), name="web")
        seconds = time.perf_counter() - began
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        f"{documents:>9} {len(shards):>6} {seconds:>8.1f} {1e6 * seconds / documents:>12.2f} {peak:>8.0f}", flush=True
    )


class OpenFiles(threading.Thread):
    """Counts the open files of this process a hundred times a second; `most` is the highest count."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.most = 0
        self._end = threading.Event()

    def run(self) -> None:
        while not self._end.wait(0.01):
            self.most = max(self.most, sum(1 for _ in Path("/proc/self/fd").iterdir()))

    def stop(self) -> int:
        self._end.set()
        self.join()
        return self.most


def many(count: int, open_files: int) -> None:
    resource.setrlimit(resource.RLIMIT_NOFILE, (open_files, open_files))
    draw = random.Random(1)
    curation = Curation()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        began = time.perf_counter()
        text = ""
        shards = []
        for number in range(count):
            files = shard(folder, number)
            with DocumentWriter(files.documents) as out, KeyWriter(files.keys, curation, number, 1) as keys:
                for row in range(3):
                    near = number and row == 0
                    text = f"{text} seen again" if near else " ".join(draw.choices(WORDS, k=60))
                    document = Document(f"{number}-{row}", text)
                    out.write(document)
                    keys.add(document)
            shards.append(files)
        print(
            f"{count} shards written in {time.perf_counter() - began:.0f} s, at most {open_files} open files",
            flush=True,
        )
        began, cpu = time.perf_counter(), time.process_time()
        files_open = OpenFiles()
        files_open.start()
        find_duplicates(shards, curation, folder / "search", progress=Silent(), name="web")
        most = files_open.stop()
        seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        found = sum(len(pq.read_table(each.drops)) for each in shards if each.drops.exists())
        merged = json.loads((folder / "search" / "merged-0" / "00000.json").read_text()) if count > 256 else {}
        print(
            f"duplicates found in {seconds:.0f} s ({cpu:.0f} s of CPU), peak {peak:.0f} MB, at most {most} files open: {found} of "
            f"{count - 1}; merged by {merged.get('files', 0)} files"
        )


def keys(files: list[Path]) -> None:
    """Nanoseconds of CPU time per character, the best of five alternating rounds."""
    for path in files:
        texts = [
            "\n".join(value for value in row.values() if isinstance(value, str))
            for _, row in read_records(path, kind=".jsonl")
        ]
        best = {"folded": float("inf"), "lower case": float("inf")}
        for _ in range(5):
            for name, change in (("folded", fold), ("lower case", str.lower)):
                began = time.process_time()
                for text in texts:
                    hashlib.blake2b(" ".join(change(text).split()).encode(), digest_size=16).digest()
                best[name] = min(best[name], time.process_time() - began)
        characters = sum(map(len, texts))
        beyond = sum(not text.isascii() for text in texts)
        print(
            f"{path.name}: {len(texts)} texts, {characters / 1e6:.1f} million characters, {beyond} texts with non-ASCII characters; "
            + ", ".join(f"{name} {1e9 * seconds / characters:.1f} ns" for name, seconds in best.items()),
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--documents", nargs="+", default=["500k", "1M", "2M", "4M", "8M"])
    parser.add_argument("--per-shard", type=int, default=50_000)
    parser.add_argument("--many", type=int)
    parser.add_argument("--keys", type=Path, nargs="+", metavar="FILE")
    parser.add_argument("--open-files", type=int, default=1024)
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    silence_datatrove()
    if options.many:
        many(options.many, options.open_files)
    elif options.keys:
        keys(options.keys)
    elif options.one:
        grow(options.one, options.per_shard)
    else:
        print("documents shards  seconds  µs/document  peak MB")
        for size in options.documents:
            number = int(float(size[:-1]) * {"k": 1e3, "M": 1e6}[size[-1]])
            # A process of its own for each size, so that the peak of memory is its own.
            command = [sys.executable, __file__, "--one", str(number), "--per-shard", str(options.per_shard)]
            subprocess.run(command, check=True)


if __name__ == "__main__":
    main()
