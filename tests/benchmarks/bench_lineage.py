"""A store of a hundred million documents: opening, planning, restoring, lineage, and the memory they take.

    python tests/benchmarks/bench_lineage.py [--documents 100000000] [--shards 200]

The store is synthetic, in a temporary folder: real `ends`, `ids` and document tables (all shards but the first are links to
one of them, with their own ids' hashes), token files that are holes. It takes about 2.5 GB of disk for a moment.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

import rexplug
from rexplug.batches import BatchStream, Lineage, Position, PositionHistory, PositionLog
from rexplug.batches.policies import RandomMasking
from rexplug.io.atomic import write_json
from rexplug.tokens.shards import FORMAT, ROWS, sorted_hashes
from rexplug.tokens.special import SpecialTokens
from rexplug.tokens.store import TokenStore

SPECIAL = SpecialTokens(cls=2, sep=3, pad=0, mask=4, vocabulary_size=50_368, all=frozenset(range(5)))


class Only(rexplug.MixingSchedule):
    """Mixes one source alone."""

    name: ClassVar[str] = "benchmark.only"

    def weights(self, progress: float) -> Mapping[str, float]:
        return {"a": 1.0}


def make_store(folder: Path, documents: int, shards: int) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    folder.mkdir()
    entries: list[dict[str, Any]] = []
    size = documents // shards
    for number in range(shards):
        name = f"{number:05d}"
        lengths = np.random.default_rng(number).lognormal(5.4, 1, size).astype(np.int64).clip(8, 20_000)
        np.save(folder / f"ends-{name}.npy", np.cumsum(lengths, dtype=np.uint64))
        tokens = int(lengths.sum())
        hole(folder / f"tokens-{name}.npy", np.uint16, tokens)
        if number == 0:
            ids = [f"document-{i}" for i in range(size)]
            np.save(folder / f"ids-{name}.npy", sorted_hashes(ids))
            table = {"id": ids, "url": [f"https://shop.example/{i}" for i in range(size)], "place": ids}
            pq.write_table(pa.table(table), folder / f"documents-{name}.parquet", row_group_size=ROWS)
        else:
            # Hashes spread as real ones are; only the ids of the first shard can be looked up.
            hashes = np.sort(np.random.default_rng(number).integers(0, 2**64, size, dtype=np.uint64))
            np.save(folder / f"ids-{name}.npy", np.stack([hashes, np.arange(size, dtype=np.uint64)]))
            os.link(folder / "documents-00000.parquet", folder / f"documents-{name}.parquet")
        files = {
            path.name: {"bytes": path.stat().st_size, "blake2b": hashlib.blake2b(path.name.encode()).hexdigest()[:32]}
            for kind in ("tokens", "ends", "ids", "documents")
            for path in folder.glob(f"{kind}-{name}.*")
        }
        entries.append({"documents": size, "tokens": tokens, "files": files})
    totals = {key: sum(entry[key] for entry in entries) for key in ("documents", "tokens")}
    write_json(
        folder / "store.json",
        {"format": FORMAT, "tokenizer": "toy", "vocabulary_size": 50_368, "channels": [], **totals, "shards": entries},
    )


def hole(path: Path, kind: Any, length: int) -> None:
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(  # type: ignore[no-untyped-call]
            file, {"descr": np.dtype(kind).str, "fortran_order": False, "shape": (length,)}
        )
        file.truncate(file.tell() + length * np.dtype(kind).itemsize)


def make_stream(folder: Path) -> BatchStream:
    return BatchStream(
        {"a": TokenStore.open(folder)}, special=SPECIAL, context=1024, row_tokens=65_536,
        batch_tokens=lambda tokens: 1_048_576, total_tokens=2 * 10**12, min_tokens=8, mixing=Only(),
        masking=RandomMasking(), seed=1, phase="p",
    )  # fmt: skip


def timed(name: str, work: Callable[[], Any], rounds: int = 5) -> Any:
    times, result = [], None
    for _ in range(rounds):
        began = time.perf_counter()
        result = work()
        times.append(time.perf_counter() - began)
    # Memory of the process itself; pages of memory-mapped files are not counted, since the system reclaims them when needed.
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    held = int(status.split("RssAnon:")[1].split()[0]) / 2**20
    print(f"| {name} | {statistics.median(times):.4f} | {max(times):.4f} | {held:.2f} |", flush=True)
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--documents", type=int, default=100_000_000)
    parser.add_argument("--shards", type=int, default=200)
    parser.add_argument("--steps", type=int, default=500, help="steps that are recorded")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as root:
        folder, log = Path(root) / "store", Path(root) / "positions.log"
        make_store(folder, options.documents, options.shards)
        store = TokenStore.open(folder)
        print(f"{store.num_documents:,} documents, {store.num_tokens:,} tokens, {options.shards} shards\n")
        print("| | median s | slowest s | memory of the process after it, GiB |\n| --- | --- | --- | --- |")
        timed("open the store", lambda: TokenStore.open(folder))
        timed("first use: index and sample counts", lambda: make_stream(folder).epoch_samples(), rounds=1)
        timed("open it and count the samples again", lambda: make_stream(folder).epoch_samples())
        stream = make_stream(folder)
        (per_epoch,) = stream.epoch_samples()
        (tokens,) = stream.epoch_tokens().values()
        late = Position(
            954_000, 10**12, (0,), (int(10**12 / tokens * per_epoch),), ((0, int(10**12 / tokens * per_epoch) - 9),)
        )
        timed("restore at token 10^12 and plan the next batch", lambda: make_stream(folder).plan(late))
        timed("restore at token 10^12, first row made", lambda: first_row(make_stream(folder), late))
        position, documents = stream.start, []
        with PositionLog(log, stream) as writer:
            for _ in range(options.steps):
                plan, position = stream.plan(position)
                writer.append(position)
                # Only the ids of the first shard are those of its documents.
                documents += [
                    sample.document
                    for row in plan.rows
                    for sample in row
                    if sample.document < options.documents // options.shards
                ]
        print(f"| bytes of the log per step | {log.stat().st_size / position.batch:.0f} | | |")
        timed(
            "from a step to its first 40 documents, with id and url",
            lambda: of_step(folder, log, options.steps // 2, 40),
        )
        timed("from a step to all of its documents", lambda: of_step(folder, log, options.steps // 2, None))
        timed("from an id to its steps", lambda: of_document(folder, log, f"document-{documents[-1]}"))


def first_row(stream: BatchStream, position: Position) -> Any:
    plan, _ = stream.plan(position)
    return stream._maker.make(plan.rows[0], plan.progress, plan.number, 0)


def of_step(folder: Path, log: Path, step: int, limit: int | None) -> Any:
    stream = make_stream(folder)
    lineage = Lineage(PositionHistory(log, stream))
    documents = sorted({sample.document for _, sample in list(lineage.samples(lineage.batch(step)))[:limit]})
    return stream.stores["a"].rows(documents)


def of_document(folder: Path, log: Path, name: str) -> Any:
    stream = make_stream(folder)
    lineage = Lineage(PositionHistory(log, stream))
    return [list(lineage.visits(0, number)) for number in stream.stores["a"].find(name)]


if __name__ == "__main__":
    main()
