"""The two jobs of a shard, run in worker processes: filter its documents, and split them after deduplication."""

from __future__ import annotations

import hashlib
import json
import pickle
import time
import unicodedata
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from rexplug.checksums import file_entry
from rexplug.components import CorpusFilter, Document, DocumentSource, Shard
from rexplug.corpus.deduplicate import read_drops
from rexplug.corpus.deduplicate.keys import KeyWriter
from rexplug.corpus.document_ids import IdHashWriter
from rexplug.corpus.sources import ERROR
from rexplug.corpus.statistics import StepStatistics
from rexplug.document_files import DocumentWriter, UnwritableMetadata, document_of
from rexplug.errors import PluginError
from rexplug.executors.datatrove_logging import silence_datatrove
from rexplug.io.atomic import link_or_copy, write_json
from rexplug.io.file_cache import cached_until_changed
from rexplug.io.tabular import open_parquet
from rexplug.plugins.calls import judge_documents, owner, read_documents, require_picklable, step_name
from rexplug.recipe.schema import Curation

_BATCH, _BATCH_CHARACTERS = 256, 4_000_000
_NUM_DRAWS = 2**32
DUPLICATES = ("same address", "exact duplicate", "near-duplicate")
"""Why deduplication drops a document; the files of `drops` hold the index in this tuple."""
DROP_COLUMNS = {"step": "string", "reason": "string", "score": "double"}
"""Further columns of files of dropped documents."""
TWIN_COLUMNS = {"twin": "string", "twin_source": "string"}
"""Further columns of files of duplicates: id and source of the document that each repeats; the score is their similarity."""


@dataclass(frozen=True)
class SourceJob:
    """The data that the jobs of a source share; written to a file once and read once by each worker.

    `count` is the number of shards, `folder` where files between the jobs go, `target` where the corpus of the source goes,
    `compared` where the search for duplicates works, in which the shards are numbered from `first`.
    """

    source: DocumentSource
    filters: tuple[CorpusFilter, ...]
    curation: Curation
    seed: int
    count: int
    folder: Path
    target: Path
    compared: Path
    first: int

    @property
    def file(self) -> Path:
        """The file that jobs name."""
        return self.folder / "work.pickle"

    def save(self) -> None:
        """Write the data for the workers.

        Raises:
            PluginError: a component of a plugin cannot be pickled.
        """
        for component in (self.source, *self.filters):
            require_picklable(component)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.file.write_bytes(pickle.dumps(self))

    def passed(self, index: int) -> Path:
        """File of the documents that passed the filters."""
        return self.folder / "passed" / f"{index:05d}.parquet"

    def keys(self, index: int) -> Path:
        """File of the keys that duplicates are found by."""
        return self.folder / "keys" / f"{index:05d}.keys"

    def ids(self, index: int) -> Path:
        """File of hashes of the ids of the documents that were read."""
        return self.folder / "ids" / f"{index:05d}.bin"

    def dropped(self, index: int) -> Path:
        """File of the documents that the filters dropped."""
        return self.target / "dropped" / f"{index:05d}.parquet"

    def duplicates(self, index: int) -> Path:
        """File of the documents that deduplication dropped."""
        return self.target / "dropped" / f"{index:05d}-duplicates.parquet"

    def drops(self, index: int) -> Path:
        """File of the rows of `passed` that are duplicates, with the index of the reason in `DUPLICATES` and what each repeats."""
        return self.folder / "drops" / f"{index:05d}.parquet"

    def filtered(self, index: int) -> Path:
        """The record of `filter_shard`."""
        return self.folder / "filtered" / f"{index:05d}.json"

    def finished(self, index: int) -> Path:
        """The record of `finish_shard`."""
        return self.folder / "finished" / f"{index:05d}.json"


@cached_until_changed(maxsize=8)
def load_source_job(path: Path) -> SourceJob:
    """Read what `SourceJob.save` wrote; from memory if this process read it before."""
    silence_datatrove()
    source_job: SourceJob = pickle.loads(path.read_bytes())
    return source_job


def shard_documents(source: DocumentSource, index: int, count: int) -> Iterator[Document]:
    """The documents of a shard, within its part of the source's `sample` and `limit`."""
    documents: Iterator[Document] = map(_valid_unicode, read_documents(source, Shard(index, count)))
    if source.sample is not None:
        threshold = source.sample * _NUM_DRAWS
        documents = (document for document in documents if draw(document.id) < threshold)
    if source.limit is None:
        return documents
    share = source.limit // count + (index < source.limit % count)
    return islice(documents, share)


def draw(*key: object) -> int:
    """A pseudo-random number below 2 ** 32 that depends on `key` alone."""
    digest = hashlib.blake2b(json.dumps(key[0] if len(key) == 1 else key).encode(), digest_size=4).digest()
    return int.from_bytes(digest, "little")


def _valid_unicode(document: Document) -> Document:
    """The document with its text in NFC, or a broken record in its place where it cannot be written as UTF-8.

    NFC makes one spelling of characters that have several (an accented letter, or the letter and its accent), so that filters,
    word lists and tokenizers see the same. Lone surrogates cannot be written; JSON can spell them (`\\ud800`), so they occur in
    files that are valid UTF-8.
    """
    try:
        document.id.encode()
        document.text.encode()
        (document.url or "").encode()
    except UnicodeEncodeError:
        name = document.id.encode("utf-8", "backslashreplace").decode()
        return Document(name, "", None, {**document.metadata, ERROR: "a lone surrogate, which is not valid Unicode"})
    if document.text.isascii() or unicodedata.is_normalized("NFC", document.text):
        return document
    return replace(document, text=unicodedata.normalize("NFC", document.text))


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
    """Read and filter the documents of a shard; write those that passed, those that were dropped and, last, the record.

    The record's first step is the reading; the others are the filters in their order.

    Returns:
        How many documents were read.
    """
    source_job = load_source_job(file)
    try:
        return _filter_shard(source_job, index)
    except UnwritableMetadata as error:  # those that filters add are checked where they do
        source = source_job.source
        raise PluginError(f"{owner(source)}{source.name}.documents() yielded what cannot be stored: {error}") from error


def _filter_shard(source_job: SourceJob, index: int) -> int:
    reading = StepStatistics("read")
    steps = [StepStatistics(step_name(corpus_filter)) for corpus_filter in source_job.filters]
    with ExitStack() as stack:
        passed = stack.enter_context(DocumentWriter(source_job.passed(index)))
        dropped = stack.enter_context(DocumentWriter(source_job.dropped(index), **DROP_COLUMNS))
        ids = stack.enter_context(IdHashWriter(source_job.ids(index)))
        keys = stack.enter_context(
            KeyWriter(source_job.keys(index), source_job.curation, source_job.first + index, source_job.seed)
        )
        for batch in _batches(shard_documents(source_job.source, index, source_job.count)):
            began = time.perf_counter()
            for document in batch:
                ids.add(document.id)
                if ERROR in document.metadata:
                    reading.drop(document, str(document.metadata[ERROR]))
                    dropped.write(document, reading.name, str(document.metadata[ERROR]), None)
                else:
                    reading.keep(document)
                    reading.count_replaced(document)
            remaining = [document for document in batch if ERROR not in document.metadata]
            reading.seconds += time.perf_counter() - began
            for corpus_filter, step in zip(source_job.filters, steps, strict=True):
                if remaining:
                    remaining = _apply_filter(corpus_filter, step, remaining, dropped)
            for document in remaining:
                passed.write(document)
                keys.add(document)
    write_json(
        source_job.filtered(index),
        {
            "read": {"documents": reading.seen, "bytes": reading.bytes_seen},
            "passed": passed.num_documents,
            "files": _checksums(source_job, dropped.path),
            "steps": [step.to_json() for step in (reading, *steps)],
        },
    )
    return reading.seen


def _checksums(source_job: SourceJob, *paths: Path) -> dict[str, dict[str, Any]]:
    """The checksums of files that were just written: the workers take them side by side, from memory."""
    return {str(path.relative_to(source_job.target)): file_entry(path) for path in paths}


def _apply_filter(
    corpus_filter: CorpusFilter, step: StepStatistics, documents: Sequence[Document], dropped: DocumentWriter
) -> list[Document]:
    """The documents that a filter keeps, with the texts that it changed."""
    began = time.perf_counter()
    verdicts = judge_documents(corpus_filter, documents)
    step.seconds += time.perf_counter() - began
    kept = []
    for document, verdict in zip(documents, verdicts, strict=True):
        step.scores.add(verdict.score, verdict.keep)
        if not verdict.keep:
            step.drop(document, verdict.reason or "dropped")
            dropped.write(document, step.name, verdict.reason or "dropped", verdict.score)
            continue
        after = verdict.applied(document)
        if after.text != document.text:
            changed = [*document.metadata.get("changed", ()), step.name]
            after = replace(after, metadata={**after.metadata, "changed": changed})
        step.keep(document, after)
        kept.append(after)
    return kept


def finish_shard(file: Path, index: int) -> int:
    """Split the documents of a shard that passed the filters into kept, held out and duplicates; last, write the record.

    Rows are copied as columns, without turning them into documents. A shard that loses no document keeps the file that its
    filters wrote.

    Returns:
        How many documents passed the filters.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    source_job = load_source_job(file)
    step = StepStatistics("deduplicate")
    counts = {part: {"documents": 0, "bytes": 0} for part in ("kept", "held_out")}
    paths = {part: source_job.target / part / f"{index:05d}.parquet" for part in counts}
    threshold = round(source_job.curation.held_out * _NUM_DRAWS)
    duplicates = read_drops(source_job.drops(index))
    dropped_rows = np.array([each["row"] for each in duplicates], np.int64)
    unchanged = not len(duplicates) and not threshold
    with ExitStack() as stack:
        written = dict(paths)
        if unchanged:
            link_or_copy(source_job.passed(index), written.pop("kept"))
        writers = {part: stack.enter_context(DocumentWriter(path)) for part, path in written.items()}
        dropped = stack.enter_context(DocumentWriter(source_job.duplicates(index), **DROP_COLUMNS, **TWIN_COLUMNS))
        reader = stack.enter_context(open_parquet(source_job.passed(index)))
        first = 0
        for batch in reader.iter_batches(batch_size=256, columns=["id", "text", "url", "metadata"]):
            sizes = pc.binary_length(batch["text"]).to_numpy()
            parts = np.full(len(batch), "kept", object)
            if threshold:
                draws = [draw(source_job.seed, text) for text in batch["text"].to_pylist()]
                parts[np.array(draws) < threshold] = "held_out"
            low, high = np.searchsorted(dropped_rows, (first, first + len(batch)))
            for each in duplicates[low:high]:
                row, reason = each["row"] - first, DUPLICATES[each["reason"]]
                parts[row] = "dropped"
                document = document_of(batch.slice(row, 1).to_pylist()[0])
                step.drop(document, reason)
                dropped.write(document, step.name, reason, each["alike"], each["twin"], each["twin_source"])
            for part, count in counts.items():
                chosen = parts == part
                num_bytes = int(sizes[chosen].sum())
                count["documents"] += int(chosen.sum())
                count["bytes"] += num_bytes
                step.keep_many(int(chosen.sum()), num_bytes)
                if part in writers:
                    writers[part].write_batch(batch.filter(pa.array(chosen)))
            first += len(batch)
    files = _checksums(source_job, dropped.path, *paths.values())
    write_json(source_job.finished(index), {"step": step.to_json(), **counts, "files": files})
    return step.seen
