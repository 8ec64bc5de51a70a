"""From sources to a corpus: fit filters, filter shards, find duplicates, split."""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rexplug.checksums import write_checksums
from rexplug.components import CorpusFilter, CorpusSample, Document, DocumentSource
from rexplug.corpus.deduplicate import find_duplicates
from rexplug.corpus.document_ids import RepeatedId, find_repeated_id
from rexplug.corpus.shard_jobs import SourceJob, filter_shard, finish_shard, shard_documents
from rexplug.corpus.sources import ERROR
from rexplug.corpus.statistics import merge_steps
from rexplug.errors import DataError, brief
from rexplug.executors import Job, run_jobs, shared_ray_cluster
from rexplug.executors.datatrove_logging import silence_datatrove
from rexplug.io.atomic import write_json
from rexplug.plugins.calls import PluginCall
from rexplug.progress import Progress
from rexplug.recipe.schema import Curation
from rexplug.run_directory import read_json


@dataclass(frozen=True)
class _Unfiltered:
    """The documents of a source before its filters; can be iterated more than once."""

    source: DocumentSource

    def __iter__(self) -> Iterator[Document]:
        count = self.source.num_shards()
        for index in range(count):
            for document in shard_documents(self.source, index, count):
                if ERROR not in document.metadata:
                    yield document


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
    corpus, fitted = corpus.resolve(), fitted.resolve()  # workers on other hosts start somewhere else
    fitted.mkdir(parents=True, exist_ok=True)  # there even if no filter is fitted: a run looks for what its stages made
    for leftover in list(corpus.rglob(".tmp-*")):  # of processes that were killed while they wrote
        leftover.unlink()
    filters = _fit(sources, fitted, seed, progress)
    _forget_others(sources, filters, curation, seed, corpus)
    works = _works(sources, filters, curation, seed, corpus)
    logs = corpus / ".work" / "logs"
    jobs = [
        Job(f"'{name}', shard {index + 1} of {work.count}", filter_shard, (work.save(), index), work.filtered(index))
        for name, work in works.items()
        for index in range(work.count)
    ]
    run_jobs(jobs, curation.executor, logs=logs, progress=progress, task=f"curate {', '.join(works)}")
    repeated = _repeated_ids(works, progress)
    _duplicates(works, curation, seed, corpus, progress)
    jobs = [
        Job(f"'{name}', part {index + 1} of {work.count}", finish_shard, (work.folder / "work.pickle", index), work.finished(index))
        for name, work in works.items()
        for index in range(work.count)
    ]  # fmt: skip
    run_jobs(jobs, curation.executor, logs=logs, progress=progress, task="write the corpus")
    statistics: dict[str, Any] = {"sources": {name: _added_up(name, work) for name, work in works.items()}}
    for name, work in works.items():
        write_checksums(corpus / name, _files_of(work))
    for name, found in repeated.items():
        statistics["sources"][name]["repeated_id"] = found.to_json()
    shutil.rmtree(corpus / ".work", ignore_errors=True)
    statistics["seconds"] = round(time.monotonic() - began, 2)
    write_json(corpus / "statistics.json", statistics)
    return statistics


def _fit(
    sources: Mapping[str, DocumentSource], fitted: Path, seed: int, progress: Progress
) -> dict[str, tuple[CorpusFilter, ...]]:
    """Let each distinct filter learn from the sources that use it; what was learnt before is read again."""
    users: dict[str, list[str]] = {}
    for name, source in sources.items():
        for each in source.filters:
            users.setdefault(each.fingerprint(), []).append(name)
    learnt: dict[str, CorpusFilter] = {}
    for source in sources.values():
        for each in source.filters:
            key = each.fingerprint()
            if key in learnt or type(each).fit is CorpusFilter.fit:
                learnt.setdefault(key, each)
                continue
            record = fitted / f"{each.name.replace('.', '-')}-{key}.json"
            if record.exists():
                options = read_json(record)
            else:
                progress.start(f"fit {each.name}")
                folder = fitted / f"{each.name.replace('.', '-')}-{key}"
                folder.mkdir(parents=True, exist_ok=True)
                sample = CorpusSample(
                    {user: _Unfiltered(sources[user]) for user in dict.fromkeys(users[key])}, folder, seed
                )
                with PluginCall(each, "fit"):
                    options = each.fit(sample).dump()
                write_json(record, options)
            learnt[key] = type(each).model_validate({k: v for k, v in options.items() if k != "use"})
    return {name: tuple(learnt[each.fingerprint()] for each in source.filters) for name, source in sources.items()}


def _forget_others(
    sources: Mapping[str, DocumentSource],
    filters: Mapping[str, Sequence[CorpusFilter]],
    curation: Curation,
    seed: int,
    corpus: Path,
) -> None:
    """Remove what an earlier call with other sources, files or options left; its shards would be taken for ours."""
    content = {
        "sources": {name: [source.dump(), source.stamps()] for name, source in sources.items()},
        "filters": {name: [each.dump() for each in chain] for name, chain in filters.items()},
        "curation": curation.model_dump(mode="json", exclude={"executor"}),
        "seed": seed,
    }
    fingerprint = hashlib.sha256(json.dumps(content, sort_keys=True, default=str).encode()).hexdigest()
    record = corpus / ".work" / "fingerprint.json"
    if record.exists() and read_json(record) == fingerprint:
        return
    for name in sources:
        shutil.rmtree(corpus / name, ignore_errors=True)
    shutil.rmtree(corpus / ".work", ignore_errors=True)
    write_json(record, fingerprint)


def _works(
    sources: Mapping[str, DocumentSource],
    filters: Mapping[str, tuple[CorpusFilter, ...]],
    curation: Curation,
    seed: int,
    corpus: Path,
) -> dict[str, SourceJob]:
    """What the jobs of each source share; shards are numbered through where duplicates are looked for over all of them."""
    works = {}
    first = 0
    for name, source in sources.items():
        count = source.num_shards()
        group = "all" if curation.deduplicate_across else name
        works[name] = SourceJob(
            source, filters[name], curation, seed, count, folder=corpus / ".work" / name, target=corpus / name,
            signatures=corpus / ".work" / f"{group}.duplicates" / "signatures",
            first=first if curation.deduplicate_across else 0,
        )  # fmt: skip
        first += count
    return works


def _repeated_ids(works: Mapping[str, SourceJob], progress: Progress) -> dict[str, RepeatedId]:
    """The sources two of whose documents have one id, with a note for each."""
    repeated = {}
    for name, work in works.items():
        shards = [(work.ids(i), (work.passed(i), work.dropped(i))) for i in range(work.count)]
        found = find_repeated_id(shards)
        if found is None:
            continue
        repeated[name] = found
        field = getattr(work.source, "id", None)
        mend = (
            f"the field '{field}' (option `id`) does not tell documents apart; without it the place in the file is the id"
            if isinstance(field, str)
            else f"{work.source.name} should give each document an id of its own"
        )
        progress.note(
            f"source '{name}': {found.documents:,} documents share their id with another one, e.g. {brief(found.id)} at "
            f"{' and '.join(found.places)}; `sample` draws such documents together, and `corpus why` and `lineage` cannot tell "
            f"them apart: {mend}"
        )
    return repeated


def _duplicates(
    works: Mapping[str, SourceJob], curation: Curation, seed: int, corpus: Path, progress: Progress
) -> None:
    if curation.deduplicate == "none" and not curation.deduplicate_urls:
        return
    groups = [list(works)] if curation.deduplicate_across else [[name] for name in works]
    for names in groups:
        folder = works[names[0]].signatures.parent
        shards = [(works[n].keys(index), works[n].drops(index)) for n in names for index in range(works[n].count)]
        find_duplicates(shards, curation, seed, folder, folder / "signatures", progress=progress, name=", ".join(names))


def _files_of(work: SourceJob) -> dict[str, dict[str, Any]]:
    """The checksums of a source's files, as the workers that wrote them took them."""
    records = [read_json(path(index)) for path in (work.filtered, work.finished) for index in range(work.count)]
    files = {name: entry for record in records for name, entry in record["files"].items()}
    return {name: files[name] for name in sorted(files)}


def _added_up(name: str, work: SourceJob) -> dict[str, Any]:
    """The statistics of a source."""
    records = [read_json(work.filtered(index)) for index in range(work.count)]
    parts = [read_json(work.finished(index)) for index in range(work.count)]
    # By place and not by name: a source may use one filter twice.
    steps = [merge_steps(each) for each in zip(*(record["steps"] for record in records), strict=True)]
    if not steps[0]["reasons"]:
        del steps[0]
    if work.curation.deduplicate != "none" or work.curation.deduplicate_urls:
        steps.append(merge_steps([part["step"] for part in parts]))
    counts = {
        part: {key: sum(each[part][key] for each in parts) for key in ("documents", "bytes")}
        for part in ("kept", "held_out")
    }
    if not counts["kept"]["documents"]:
        raise DataError(f"nothing is left of source '{name}'; its filters dropped: {_worst(steps)}")
    read = {key: sum(record["read"][key] for record in records) for key in ("documents", "bytes")}
    return {"synthetic": work.source.synthetic, "read": read, "steps": steps, **counts}


def _worst(steps: Sequence[Mapping[str, Any]]) -> str:
    reasons: dict[str, int] = {}
    for step in steps:
        for reason, count in step["reasons"].items():
            reasons[f"{step['step']}: {reason}"] = reasons.get(f"{step['step']}: {reason}", 0) + count
    worst = sorted(reasons.items(), key=lambda item: -item[1])[:3]
    return "; ".join(f"{reason} ({count})" for reason, count in worst) or "nothing was read"
