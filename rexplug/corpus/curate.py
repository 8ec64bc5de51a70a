"""Curates sources into a corpus: fit filters, filter shards, find duplicates, split off held-out documents."""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from rexplug.checksums import write_checksums
from rexplug.components import CorpusFilter, CorpusSample, Document, DocumentSource
from rexplug.corpus.deduplicate import ShardFiles, find_duplicates
from rexplug.corpus.document_ids import RepeatedId, find_repeated_id
from rexplug.corpus.shard_jobs import SourceJob, filter_shard, finish_shard, shard_documents
from rexplug.corpus.sources import ERROR
from rexplug.corpus.statistics import MergedSteps
from rexplug.errors import DataError, brief
from rexplug.executors import Job, run_jobs, shared_ray_cluster, shared_workers
from rexplug.executors.datatrove_logging import silence_datatrove
from rexplug.io.atomic import write_json
from rexplug.plugins.calls import component_from_entry, count_shards, file_versions, fit_component, is_synthetic
from rexplug.progress import Progress
from rexplug.recipe.schema import Curation
from rexplug.run_directory import read_fitted, read_json

_LAYOUT = 2
"""Raised when the files between the jobs change, so that a curation is not continued from files of another version."""


_PLACES, _IN_A_ROW = 8, 256
"""Shards that filters which learn from the corpus read at a time, and documents that are taken from each in turn."""


@dataclass(frozen=True)
class _Unfiltered:
    """The documents of a source before its filters, for filters that learn from them; can be iterated more than once."""

    source: DocumentSource

    def __iter__(self) -> Iterator[Document]:
        count = count_shards(self.source)
        for document in _in_turn(shard_documents(self.source, index, count) for index in _spread(count)):
            if ERROR not in document.metadata:
                yield document


def _spread(count: int) -> list[int]:
    """The numbers of shards in an order that takes them from `_PLACES` parts of the source in turn."""
    distance = -(-count // _PLACES)
    return [index for first in range(distance) for index in range(first, count, distance)]


def _in_turn(shards: Iterable[Iterator[Document]]) -> Iterator[Document]:
    """All documents of some shards, a few of each of `_PLACES` shards in turn; no more than these are open at a time.

    A filter that learns from the first documents alone thus sees more of a source than its first file.
    """
    further = iter(shards)
    turns = deque(islice(further, _PLACES))
    while turns:
        documents = turns.popleft()
        taken = 0
        for document in islice(documents, _IN_A_ROW):
            taken += 1
            yield document
        if taken == _IN_A_ROW:
            turns.append(documents)
        else:
            turns.extend(islice(further, 1))


@shared_ray_cluster()
def curate(
    sources: Mapping[str, DocumentSource],
    curation: Curation,
    *,
    seed: int,
    corpus: Path,
    fitted: Path,
    progress: Progress,
) -> dict[str, Any]:
    """Write `corpus/<source>/{kept,held_out,dropped}/*.parquet` and `corpus/statistics.json`; returns the latter.

    Shards that an earlier call with the same sources and options finished are not read again. The result does not depend
    on the executor or the number of workers.

    Raises:
        DataError: nothing is left of a source, a file is damaged, the disk is full, or a worker died again and again.
    """
    silence_datatrove()
    began = time.monotonic()
    corpus, fitted = corpus.resolve(), fitted.resolve()  # workers on other hosts have another current directory
    fitted.mkdir(
        parents=True, exist_ok=True
    )  # also if no filter is fitted: a run checks that the outputs of its stages exist
    for leftover in list(corpus.rglob(".tmp-*")):  # of processes that were killed while they wrote
        leftover.unlink()
    filters = _fit(sources, fitted, seed, progress)
    _remove_outdated(sources, filters, curation, seed, corpus)
    source_jobs = _source_jobs(sources, filters, curation, seed, corpus)
    logs = corpus / ".work" / "logs"
    for job in source_jobs.values():
        job.save()
    shards = [(name, job, index) for name, job in source_jobs.items() for index in range(job.count)]
    jobs = [
        Job(f"'{name}', shard {index + 1} of {job.count}", filter_shard, (job.file, index), job.filtered(index))
        for name, job, index in shards
    ]
    run_jobs(jobs, curation.executor, logs=logs, progress=progress, task=f"curate {', '.join(source_jobs)}")
    with shared_workers():  # five rounds or more; the workers that ran filters, which may hold large models, have ended
        repeated = _repeated_ids(source_jobs, curation, progress)
        _duplicates(source_jobs, curation, progress)
        jobs = [
            Job(f"'{name}', part {index + 1} of {job.count}", finish_shard, (job.file, index), job.finished(index))
            for name, job, index in shards
        ]
        run_jobs(jobs, curation.executor, logs=logs, progress=progress, task="write the corpus")
    statistics: dict[str, Any] = {"sources": {name: _source_statistics(name, job) for name, job in source_jobs.items()}}
    for name, source_job in source_jobs.items():
        write_checksums(corpus / name, _files_of(source_job))
    for name, repeated_id in repeated.items():
        statistics["sources"][name]["repeated_id"] = repeated_id.to_json()
    shutil.rmtree(corpus / ".work", ignore_errors=True)
    statistics["seconds"] = round(time.monotonic() - began, 2)
    write_json(corpus / "statistics.json", statistics)
    return statistics


def _fit(
    sources: Mapping[str, DocumentSource], fitted: Path, seed: int, progress: Progress
) -> dict[str, tuple[CorpusFilter, ...]]:
    """Fit each distinct filter on the sources that use it; the result of an earlier call is read from its record."""
    users: dict[str, list[str]] = {}
    for name, source in sources.items():
        for corpus_filter in source.filters:
            users.setdefault(corpus_filter.fingerprint(), []).append(name)
    learnt: dict[str, CorpusFilter] = {}
    for source in sources.values():
        for corpus_filter in source.filters:
            key = corpus_filter.fingerprint()
            if key in learnt or type(corpus_filter).fit is CorpusFilter.fit:
                learnt.setdefault(key, corpus_filter)
                continue
            record = fitted / f"{corpus_filter.name.replace('.', '-')}-{key}.json"
            if record.exists():
                options = read_fitted(record)
            else:
                progress.start(f"fit {corpus_filter.name}")
                folder = fitted / f"{corpus_filter.name.replace('.', '-')}-{key}"
                folder.mkdir(parents=True, exist_ok=True)
                sample = CorpusSample(
                    {user: _Unfiltered(sources[user]) for user in dict.fromkeys(users[key])}, folder, seed
                )
                _, options = fit_component(corpus_filter, sample)
                write_json(record, options)
            learnt[key] = component_from_entry(corpus_filter, options)
    return {
        name: tuple(learnt[corpus_filter.fingerprint()] for corpus_filter in source.filters)
        for name, source in sources.items()
    }


def _remove_outdated(
    sources: Mapping[str, DocumentSource],
    filters: Mapping[str, Sequence[CorpusFilter]],
    curation: Curation,
    seed: int,
    corpus: Path,
) -> None:
    """Remove what an earlier call with other sources, files or options left: its shards would be taken for finished ones."""
    content = {
        "sources": {name: [source.dump(), file_versions(source)] for name, source in sources.items()},
        "filters": {name: [corpus_filter.dump() for corpus_filter in chain] for name, chain in filters.items()},
        "curation": curation.fingerprint_options(),
        "seed": seed,
        "layout": _LAYOUT,
    }
    fingerprint = hashlib.sha256(json.dumps(content, sort_keys=True, default=str).encode()).hexdigest()
    record = corpus / ".work" / "fingerprint.json"
    if record.exists() and read_json(record) == fingerprint:
        return
    for name in sources:
        shutil.rmtree(corpus / name, ignore_errors=True)
    shutil.rmtree(corpus / ".work", ignore_errors=True)
    write_json(record, fingerprint)


def _source_jobs(
    sources: Mapping[str, DocumentSource],
    filters: Mapping[str, tuple[CorpusFilter, ...]],
    curation: Curation,
    seed: int,
    corpus: Path,
) -> dict[str, SourceJob]:
    """The data that the jobs of each source share; shards are numbered over all sources if duplicates are sought across them."""
    source_jobs = {}
    first = 0
    for name, source in sources.items():
        count = count_shards(source)
        group = "all" if curation.deduplicate_across else name
        source_jobs[name] = SourceJob(
            source, filters[name], curation, seed, count, folder=corpus / ".work" / name, target=corpus / name,
            compared=corpus / ".work" / f"{group}.duplicates",
            first=first if curation.deduplicate_across else 0,
        )  # fmt: skip
        first += count
    return source_jobs


def _repeated_ids(
    source_jobs: Mapping[str, SourceJob], curation: Curation, progress: Progress
) -> dict[str, RepeatedId]:
    """The sources in which several documents have the same id; each is reported in a note."""
    repeated = {}
    for name, source_job in source_jobs.items():
        shards = [(source_job.ids(i), (source_job.passed(i), source_job.dropped(i))) for i in range(source_job.count)]
        folder = source_job.folder / "repeated-ids"
        repeated_id = find_repeated_id(shards, folder, curation.executor, progress=progress, name=name)
        if repeated_id is None:
            continue
        repeated[name] = repeated_id
        field = getattr(source_job.source, "id", None)
        remedy = (
            f"the field '{field}' (option `id`) does not tell documents apart; without it the place in the file is the id"
            if isinstance(field, str)
            else f"{source_job.source.name} should give each document an id of its own"
        )
        progress.note(
            f"source '{name}': {repeated_id.documents:,} documents share their id with another one, e.g. "
            f"{brief(repeated_id.id)} at {' and '.join(repeated_id.places)}; `sample` draws such documents together, and "
            f"`corpus why` and `lineage` cannot tell them apart: {remedy}"
        )
    return repeated


def _duplicates(source_jobs: Mapping[str, SourceJob], curation: Curation, progress: Progress) -> None:
    if curation.deduplicate == "none" and not curation.deduplicate_urls:
        return
    groups = [list(source_jobs)] if curation.deduplicate_across else [[name] for name in source_jobs]
    for names in groups:
        shards = [
            ShardFiles(name, job.keys(index), job.passed(index), job.drops(index))
            for name in names
            for job in [source_jobs[name]]
            for index in range(job.count)
        ]
        folder = source_jobs[names[0]].compared
        find_duplicates(shards, curation, folder, progress=progress, name=", ".join(names))


def _files_of(source_job: SourceJob) -> dict[str, dict[str, Any]]:
    """The checksums of a source's files, from the records of the workers that wrote them."""
    files: dict[str, dict[str, Any]] = {}
    for path in (source_job.filtered, source_job.finished):
        for index in range(source_job.count):
            files.update(read_json(path(index))["files"])
    return {name: files[name] for name in sorted(files)}


def _source_statistics(name: str, source_job: SourceJob) -> dict[str, Any]:
    """Add up the records of a source's shards; one record is in memory at a time.

    Raises:
        DataError: no document is left.
    """
    read = {"documents": 0, "bytes": 0}
    counts = {"kept": {"documents": 0, "bytes": 0}, "held_out": {"documents": 0, "bytes": 0}}
    filtered, deduplicated = MergedSteps(), MergedSteps()
    for index in range(source_job.count):
        record = read_json(source_job.filtered(index))
        filtered.add(record["steps"])
        _add_counts(read, record["read"])
        record = read_json(source_job.finished(index))
        deduplicated.add([record["step"]])
        for part, count in counts.items():
            _add_counts(count, record[part])
    steps = filtered.to_json()
    reading = steps[0]
    if not reading["reasons"] and not reading["replaced"]["documents"]:
        del steps[0]
    if source_job.curation.deduplicate != "none" or source_job.curation.deduplicate_urls:
        steps += deduplicated.to_json()
    if not counts["kept"]["documents"]:
        raise DataError(f"nothing is left of source '{name}'; its filters dropped: {_most_frequent_reasons(steps)}")
    return {"synthetic": is_synthetic(source_job.source), "read": read, "steps": steps, **counts}


def _add_counts(total: dict[str, int], part: Mapping[str, int]) -> None:
    for key in total:
        total[key] += part[key]


def _most_frequent_reasons(steps: Sequence[Mapping[str, Any]]) -> str:
    reasons: dict[str, int] = {}
    for step in steps:
        for reason, count in step["reasons"].items():
            reasons[f"{step['step']}: {reason}"] = reasons.get(f"{step['step']}: {reason}", 0) + count
    most_frequent = sorted(reasons.items(), key=lambda item: -item[1])[:3]
    return "; ".join(f"{reason} ({count})" for reason, count in most_frequent) or "nothing was read"
