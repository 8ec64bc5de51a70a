"""From sources to a corpus: fit filters, filter shards, deduplicate, split."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rexplug.components import CorpusFilter, CorpusSample, Document, DocumentSource
from rexplug.corpus.deduplicate import exact_duplicates, near_duplicates
from rexplug.corpus.files import read_file, write_documents
from rexplug.corpus.filtering import Step, filter_shard, merge, shard_documents
from rexplug.corpus.sources import ERROR
from rexplug.errors import DataError
from rexplug.progress import Progress
from rexplug.recipe.schema import Curation
from rexplug.run_directory import read_json, write_json
from rexplug.workers import run_shards

_DRAWS = 2**32


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

    Shards that an earlier call finished are not read again. The result does not depend on the number of workers.

    Raises:
        DataError: nothing is left of a source, a file is damaged, or a worker process died.
    """
    logging.getLogger("datatrove").setLevel(logging.ERROR)
    _quiet_loguru()
    began = time.monotonic()
    for leftover in list(corpus.rglob(".tmp-*")):  # of processes that were killed while they wrote
        leftover.unlink()
    filters = _fit(sources, fitted, seed, progress)
    statistics: dict[str, Any] = {"sources": {}}
    for name, source in sources.items():
        work = corpus / ".work" / name
        steps = _filter(name, source, filters[name], curation.executor.workers, work, corpus / name, progress)
        statistics["sources"][name] = _finish(name, source, steps, curation, seed, work, corpus / name, progress)
    shutil.rmtree(corpus / ".work", ignore_errors=True)
    statistics["seconds"] = round(time.monotonic() - began, 2)
    write_json(corpus / "statistics.json", statistics)
    return statistics


def _quiet_loguru() -> None:
    from loguru import logger

    logger.disable("datatrove")
    os.environ.setdefault("TQDM_DISABLE", "1")


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
                options = each.fit(sample).dump()
                write_json(record, options)
            learnt[key] = type(each).model_validate({k: v for k, v in options.items() if k != "use"})
    return {name: tuple(learnt[each.fingerprint()] for each in source.filters) for name, source in sources.items()}


def _filter(
    name: str,
    source: DocumentSource,
    filters: Sequence[CorpusFilter],
    workers: int,
    work: Path,
    target: Path,
    progress: Progress,
) -> list[dict[str, Any]]:
    """Run every shard through the filters; returns the records in shard order."""
    count = source.num_shards()
    records = [work / f"{index:05d}.json" for index in range(count)]
    todo = [index for index in range(count) if not records[index].exists()]

    def arguments(index: int) -> tuple[Any, ...]:
        kept, dropped = work / "passed" / f"{index:05d}.parquet", target / "dropped" / f"{index:05d}.parquet"
        return source, tuple(filters), index, count, kept, dropped, records[index]

    progress.start(f"curate {name}", count, "shards")
    progress.update(count - len(todo))
    read = 0
    done = run_shards(
        filter_shard, [arguments(index) for index in todo], workers=workers, doing=f"curated '{name}'",
        setting="curation.executor.workers",
    )  # fmt: skip
    for number, documents in enumerate(done, 1):
        read += documents
        progress.update(count - len(todo) + number, documents=read)
    return [read_json(record) for record in records]


def _finish(
    name: str,
    source: DocumentSource,
    records: Sequence[Mapping[str, Any]],
    curation: Curation,
    seed: int,
    work: Path,
    target: Path,
    progress: Progress,
) -> dict[str, Any]:
    """Drop duplicates, split off held-out documents, write, and add up the statistics of a source."""
    files = [work / "passed" / f"{index:05d}.parquet" for index in range(len(records))]
    duplicates, steps = _duplicates(files, curation, seed, work, target, name, progress)
    counts = {part: {"documents": 0, "bytes": 0} for part in ("kept", "held_out")}
    threshold = round(curation.held_out * _DRAWS)
    for number, path in enumerate(files):
        parts: dict[str, list[Document]] = {"kept": [], "held_out": []}
        for row, document in enumerate(read_file(path)):
            if (number, row) not in duplicates:
                part = "held_out" if _draw(document.text, seed) < threshold else "kept"
                parts[part].append(document)
                counts[part]["documents"] += 1
                counts[part]["bytes"] += len(document.text.encode("utf-8", "replace"))
        for part, documents in parts.items():
            write_documents(target / part / path.name, documents)
    if not counts["kept"]["documents"]:
        raise DataError(f"nothing is left of source '{name}'; its filters dropped: {_worst(records, steps)}")
    # By place and not by name: a source may use one filter twice.
    merged = [merge(parts) for parts in zip(*(record["steps"] for record in records), strict=True)]
    if not merged[0]["reasons"]:
        del merged[0]
    read = {key: sum(record["read"][key] for record in records) for key in ("documents", "bytes")}
    return {"synthetic": source.synthetic, "read": read, "steps": [*merged, *steps], **counts}


def _duplicates(
    files: list[Path], curation: Curation, seed: int, work: Path, target: Path, name: str, progress: Progress
) -> tuple[set[tuple[int, int]], list[dict[str, Any]]]:
    """Duplicates as (file, row), and the step's statistics."""
    if curation.deduplicate == "none":
        return set(), []
    progress.start(f"deduplicate {name}")
    exact = exact_duplicates(files)
    near: set[tuple[int, int]] = set()
    if curation.deduplicate == "minhash":
        near = near_duplicates(files, curation.minhash, seed, work / "minhash", exact)
    step = Step("deduplicate")
    out: list[Document] = []
    reasons: list[str] = []
    for number, path in enumerate(files):
        for row, document in enumerate(read_file(path)):
            step.seen += 1
            if (number, row) not in exact and (number, row) not in near:
                step.kept += 1
                continue
            reason = "exact duplicate" if (number, row) in exact else "near-duplicate"
            step.drop(document, reason)
            out.append(document)
            reasons.append(reason)
    import pyarrow as pa

    write_documents(
        target / "dropped" / "duplicates.parquet", out,
        step=pa.array([step.name] * len(out), pa.string()), reason=pa.array(reasons, pa.string()),
        score=pa.array([None] * len(out), pa.float64()),
    )  # fmt: skip
    return exact | near, [step.to_json()]


def _draw(text: str, seed: int) -> int:
    digest = hashlib.blake2b(json.dumps([seed, text]).encode(), digest_size=4).digest()
    return int.from_bytes(digest, "little")


def _worst(records: Sequence[Mapping[str, Any]], steps: Sequence[Mapping[str, Any]]) -> str:
    reasons: dict[str, int] = {}
    for step in [*(step for record in records for step in record["steps"]), *steps]:
        for reason, count in step["reasons"].items():
            reasons[f"{step['step']}: {reason}"] = reasons.get(f"{step['step']}: {reason}", 0) + count
    worst = sorted(reasons.items(), key=lambda item: -item[1])[:3]
    return "; ".join(f"{reason} ({count})" for reason, count in worst) or "nothing was read"
