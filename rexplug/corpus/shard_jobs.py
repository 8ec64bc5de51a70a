"""One shard through a source's filters, and after deduplication into its parts; both run in worker processes."""

from __future__ import annotations

import hashlib
import json
import pickle
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from rexplug.checksums import file_entry
from rexplug.components import CorpusFilter, Document, DocumentSource, Shard
from rexplug.corpus.deduplicate.keys import KeyWriter
from rexplug.corpus.document_ids import IdHashWriter
from rexplug.corpus.sources import ERROR
from rexplug.corpus.statistics import StepStatistics
from rexplug.document_files import DocumentWriter, document_of
from rexplug.executors.datatrove_logging import silence_datatrove
from rexplug.io.atomic import link_or_copy, write_json
from rexplug.io.tabular import open_parquet
from rexplug.plugins.calls import judge_documents, read_documents
from rexplug.recipe.schema import Curation

_BATCH, _BATCH_CHARACTERS = 256, 4_000_000
_DRAWS = 2**32
DUPLICATES = ("same address", "exact duplicate", "near-duplicate")
"""Why deduplication drops a document; drop files hold the place in this list."""
WHY = {"step": "string", "reason": "string", "score": "double"}
"""Columns of files of dropped documents."""


@dataclass(frozen=True)
class SourceJob:
    """All that the jobs of a source share; written to a file once and read by each worker once."""

    source: DocumentSource
    filters: tuple[CorpusFilter, ...]
    curation: Curation
    seed: int
    count: int
    folder: Path
    target: Path
    signatures: Path
    first: int

    def save(self) -> Path:
        """Write it; returns the file that jobs name."""
        path = self.folder / "work.pickle"
        self.folder.mkdir(parents=True, exist_ok=True)
        path.write_bytes(pickle.dumps(self))
        return path

    def passed(self, index: int) -> Path:
        """The documents that the filters let pass."""
        return self.folder / "passed" / f"{index:05d}.parquet"

    def keys(self, index: int) -> Path:
        """What duplicates are found by, one row per document that passed."""
        return self.folder / "keys" / f"{index:05d}.npy"

    def ids(self, index: int) -> Path:
        """Hashes of the ids of the documents that were read."""
        return self.folder / "ids" / f"{index:05d}.bin"

    def dropped(self, index: int) -> Path:
        """The documents that the filters dropped."""
        return self.target / "dropped" / f"{index:05d}.parquet"

    def drops(self, index: int) -> Path:
        """Rows of `passed` that are duplicates, and why."""
        return self.folder / "drops" / f"{index:05d}.npy"

    def filtered(self, index: int) -> Path:
        """The record of `filter_shard`."""
        return self.folder / "filtered" / f"{index:05d}.json"

    def finished(self, index: int) -> Path:
        """The record of `finish_shard`."""
        return self.folder / "finished" / f"{index:05d}.json"


def load(path: Path) -> SourceJob:
    """The work of a source, as its main process wrote it."""
    stat = path.stat()
    return _loaded(str(path), stat.st_mtime_ns, stat.st_size)


@lru_cache(maxsize=8)
def _loaded(path: str, modified: int, size: int) -> SourceJob:
    silence_datatrove()
    work: SourceJob = pickle.loads(Path(path).read_bytes())
    return work


def shard_documents(source: DocumentSource, index: int, count: int) -> Iterator[Document]:
    """The documents of a shard, within its part of the source's sample and limit."""
    documents: Iterator[Document] = map(_sound, read_documents(source, Shard(index, count)))
    if source.sample is not None:
        threshold = source.sample * _DRAWS
        documents = (each for each in documents if draw(each.id) < threshold)
    if source.limit is None:
        return documents
    share = source.limit // count + (index < source.limit % count)
    return islice(documents, share)


def draw(*what: object) -> int:
    """A number below 2 ** 32 that depends on nothing but `what`."""
    digest = hashlib.blake2b(json.dumps(what[0] if len(what) == 1 else what).encode(), digest_size=4).digest()
    return int.from_bytes(digest, "little")


def _sound(document: Document) -> Document:
    """The document, or, where a lone surrogate keeps it from being written as UTF-8, a record of that.

    JSON can spell such characters (`\\ud800`), so files that are valid UTF-8 bring them.
    """
    try:
        document.id.encode()
        document.text.encode()
        (document.url or "").encode()
    except UnicodeEncodeError:
        name = document.id.encode("utf-8", "backslashreplace").decode()
        return Document(name, "", None, {**document.metadata, ERROR: "a lone surrogate, which is no valid Unicode"})
    return document


def _batches(documents: Iterator[Document]) -> Iterator[list[Document]]:
    """A few hundred documents at a time, fewer where they are long."""
    batch: list[Document] = []
    size = 0
    for document in documents:
        batch.append(document)
        size += len(document.text)
        if len(batch) == _BATCH or size >= _BATCH_CHARACTERS:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def filter_shard(file: Path, index: int) -> int:
    """Read a shard, judge its documents, and write kept ones, dropped ones and, last, the record of what was done.

    The record's first step is the reading; the others are the filters in their order.

    Returns:
        How many documents were read.
    """
    work = load(file)
    reading = StepStatistics("read")
    steps = [StepStatistics(each.step_name) for each in work.filters]
    with ExitStack() as stack:
        passed = stack.enter_context(DocumentWriter(work.passed(index)))
        dropped = stack.enter_context(DocumentWriter(work.dropped(index), **WHY))
        ids = stack.enter_context(IdHashWriter(work.ids(index)))
        keys = stack.enter_context(
            KeyWriter(work.keys(index), work.curation, work.signatures, work.first + index, work.seed)
        )
        for batch in _batches(shard_documents(work.source, index, work.count)):
            began = time.perf_counter()
            for document in batch:
                ids.add(document.id)
                if ERROR in document.metadata:
                    reading.drop(document, str(document.metadata[ERROR]))
                    dropped.write(document, reading.name, str(document.metadata[ERROR]), None)
                else:
                    reading.keep(document)
            alive = [document for document in batch if ERROR not in document.metadata]
            reading.seconds += time.perf_counter() - began
            for each, step in zip(work.filters, steps, strict=True):
                if alive:
                    alive = _judged(each, step, alive, dropped)
            for document in alive:
                passed.write(document)
                keys.add(document)
    write_json(
        work.filtered(index),
        {
            "read": {"documents": reading.seen, "bytes": reading.bytes_seen},
            "passed": passed.num_documents,
            "files": _checksums(work, dropped.path),
            "steps": [step.to_json() for step in (reading, *steps)],
        },
    )
    return reading.seen


def _checksums(job: SourceJob, *paths: Path) -> dict[str, dict[str, Any]]:
    """The checksums of files that were just written: the workers take them side by side, from memory."""
    return {str(path.relative_to(job.target)): file_entry(path) for path in paths}


def _judged(
    each: CorpusFilter, step: StepStatistics, documents: Sequence[Document], dropped: DocumentWriter
) -> list[Document]:
    """The documents that a filter keeps, with the texts that it gave them."""
    began = time.perf_counter()
    verdicts = judge_documents(each, documents)
    step.seconds += time.perf_counter() - began
    alive = []
    for document, verdict in zip(documents, verdicts, strict=True):
        step.scores.add(verdict.score, verdict.keep)
        if not verdict.keep:
            step.drop(document, verdict.reason or "dropped")
            dropped.write(document, step.name, verdict.reason or "dropped", verdict.score)
            continue
        after = document
        if verdict.text is not None and verdict.text != document.text:
            changed = [*document.metadata.get("changed", ()), step.name]
            after = replace(document, text=verdict.text, metadata={**document.metadata, "changed": changed})
        step.keep(document, after)
        alive.append(after)
    return alive


def finish_shard(file: Path, index: int) -> int:
    """Split the documents of a shard that passed the filters into kept, held out and duplicates; last, write the record.

    Rows are copied as columns, without turning them into documents. A shard that loses no document keeps the file that its
    filters wrote.

    Returns:
        How many documents passed the filters.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    job = load(file)
    step = StepStatistics("deduplicate")
    counts = {part: {"documents": 0, "bytes": 0} for part in ("kept", "held_out")}
    paths = {part: job.target / part / f"{index:05d}.parquet" for part in counts}
    threshold = round(job.curation.held_out * _DRAWS)
    duplicates = np.load(job.drops(index)) if job.drops(index).exists() else np.zeros((0, 2), np.uint32)
    unchanged = not len(duplicates) and not threshold
    with ExitStack() as stack:
        written = dict(paths)
        if unchanged:
            link_or_copy(job.passed(index), written.pop("kept"))
        writers = {part: stack.enter_context(DocumentWriter(path)) for part, path in written.items()}
        dropped = stack.enter_context(DocumentWriter(job.target / "dropped" / f"{index:05d}-duplicates.parquet", **WHY))
        reader = stack.enter_context(open_parquet(job.passed(index)))
        first = 0
        for batch in reader.iter_batches(batch_size=1024, columns=["id", "text", "url", "metadata"]):
            sizes = pc.binary_length(batch["text"]).to_numpy()
            parts = np.full(len(batch), "kept", object)
            if threshold:
                draws = [draw(job.seed, text) for text in batch["text"].to_pylist()]
                parts[np.array(draws) < threshold] = "held_out"
            low, high = np.searchsorted(duplicates[:, 0], (first, first + len(batch)))
            for row, reason in duplicates[low:high].tolist():
                parts[row - first] = "dropped"
                document = document_of(batch.slice(row - first, 1).to_pylist()[0])
                step.drop(document, DUPLICATES[reason])
                dropped.write(document, step.name, DUPLICATES[reason], None)
            for part, count in counts.items():
                chosen = parts == part
                num_bytes = int(sizes[chosen].sum())
                count["documents"] += int(chosen.sum())
                count["bytes"] += num_bytes
                step.keep_many(int(chosen.sum()), num_bytes)
                if part in writers:
                    writers[part].write_batch(batch.filter(pa.array(chosen)))
            first += len(batch)
    files = _checksums(job, dropped.path, *paths.values())
    write_json(job.finished(index), {"step": step.to_json(), **counts, "files": files})
    return step.seen
