"""Makes token stores of curated documents, with word starts and salience."""

from __future__ import annotations

import shutil
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from rexplug.checksums import file_problem, read_checksums
from rexplug.components import CorpusSample, Document, SalienceScorer, TokenizedDocument
from rexplug.document_files import files_in, read_documents
from rexplug.errors import DataError
from rexplug.executors import Job, run_jobs, shared_ray_cluster
from rexplug.executors.datatrove_logging import silence_datatrove
from rexplug.io.atomic import write_json
from rexplug.plugins.calls import component_from_entry, fit_component, require_picklable
from rexplug.progress import Progress
from rexplug.recipe.schema import Executor
from rexplug.run_directory import read_fitted, read_json, repair_hint
from rexplug.tokens.encode import Encoder
from rexplug.tokens.shards import counts_path, shard_record
from rexplug.tokens.special import SpecialTokens
from rexplug.tokens.store import WORD_START, close_store, has_shard
from rexplug.tokens.tokenizer import tokenizer_hash


class _KeptDocuments:
    """The kept documents of a source; can be iterated over more than once."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __iter__(self) -> Iterator[Document]:
        return read_documents(self.folder)


def fit_scorers(
    scorers: Sequence[SalienceScorer], corpus: Path, sources: Sequence[str], *, folder: Path, seed: int
) -> tuple[SalienceScorer, ...]:
    """Fit scorers on the kept documents of `sources`; returns the fitted scorers, in the same order.

    Args:
        scorers: the recipe's scorers.
        corpus: the corpus folder; `<source>/kept/*.parquet` is read.
        sources: the names of the sources.
        folder: where fitted scorers are written; one that is there already is read instead of fitted again.
        seed: the recipe's seed.

    Raises:
        DataError: a fitted scorer in `folder` is damaged.
    """
    fitted = []
    for scorer in scorers:
        record = folder / f"{scorer.channel}.json"
        if record.exists():
            options = read_fitted(record)
            try:
                fitted.append(component_from_entry(scorer, options))
            except (ValueError, AttributeError):
                raise DataError(
                    f"{record} is damaged: it does not hold a {scorer.name}; {repair_hint(record)}"
                ) from None
            continue
        own = folder / scorer.channel
        own.mkdir(parents=True, exist_ok=True)
        documents: Mapping[str, Iterable[Document]] = {name: _KeptDocuments(corpus / name / "kept") for name in sources}
        fitted_scorer, options = fit_component(scorer, CorpusSample(documents, own, seed))
        write_json(record, options)
        fitted.append(fitted_scorer)
    return tuple(fitted)


@shared_ray_cluster()
def tokenize(
    corpus: Path,
    sources: Sequence[str],
    tokenizer: Path,
    scorers: Mapping[str, SalienceScorer],
    *,
    tokens: Path,
    executor: Executor,
    progress: Progress,
) -> dict[str, Any]:
    """Write a token store per source; shards that exist already are not made again.

    The result does not depend on the executor or the number of workers.

    Args:
        corpus: the corpus folder; `<source>/kept/*.parquet` is read, one shard per file.
        sources: the names of the sources.
        tokenizer: the tokenizer's folder.
        scorers: channel name -> fitted scorer.
        tokens: where the stores go, one folder per source.
        executor: where shards are made and how many at a time; each uses one thread.
        progress: reports how many shards are done.

    Returns:
        Source -> the counts that `close` returns.

    Raises:
        PluginError: a scorer cannot be pickled for the workers, or did not return one uint8 per token.
        DataError: a worker died more often than `retries` allows, or the disk is full.
    """
    silence_datatrove()
    for scorer in scorers.values():
        require_picklable(scorer)
    corpus, tokenizer, tokens = (
        corpus.resolve(),
        tokenizer.resolve(),
        tokens.resolve(),
    )  # workers may start elsewhere
    sizes: dict[str, list[int]] = {}
    todo: list[tuple[int, Job]] = []
    for source in sources:
        kept, folder = corpus / source / "kept", tokens / source
        folder.mkdir(parents=True, exist_ok=True)
        for leftover in list(folder.glob(".tmp-*")):  # of processes that were killed while writing
            leftover.unlink()
        files = files_in(kept)
        sizes[source] = [_rows(path) for path in files]
        for shard, rows in enumerate(sizes[source]):
            record = shard_record(folder, shard)
            if not has_shard(folder, shard):
                record.unlink(missing_ok=True)
            title = f"the tokens of '{source}', shard {shard + 1} of {len(files)}"
            todo.append((rows, Job(title, _shard, (kept, folder, tokenizer, dict(scorers), shard, len(files)), record)))
    # The largest first, so that the last shards to finish are small.
    jobs = [job for _, job in sorted(todo, key=lambda pair: -pair[0])]
    logs = tokens / ".work"
    run_jobs(jobs, executor, logs=logs, progress=progress, task=f"tokenize {', '.join(sources)}")
    shutil.rmtree(logs, ignore_errors=True)
    return {
        source: close(tokens / source, shards=len(rows), tokenizer=tokenizer, scorers=scorers)
        for source, rows in sizes.items()
    }


def _shard(
    kept: Path, folder: Path, tokenizer: Path, scorers: Mapping[str, SalienceScorer], shard: int, num_shards: int
) -> int:
    """Make one shard, in this process or in a worker; returns the number of its documents."""
    from rexplug.tokens.step import ReadKept, TokenizeDocuments

    file = files_in(kept)[shard]
    written = read_checksums(kept.parent).get(f"{kept.name}/{file.name}")
    problem = file_problem(file, written) if written is not None else None
    if problem is not None:
        raise DataError(f"{problem}; --from curate makes the corpus again")
    step = TokenizeDocuments(folder, tokenizer, scorers)
    deque(step(ReadKept(kept)(None, shard, num_shards), shard, num_shards), maxlen=0)
    return int(read_json(counts_path(folder, shard))["documents"])


def close(folder: Path, *, shards: int, tokenizer: Path, scorers: Iterable[str]) -> dict[str, Any]:
    """Complete a store once all its shards are written, by whichever executor.

    Args:
        folder: the store's folder.
        shards: the number of shards.
        tokenizer: the tokenizer's folder.
        scorers: the names of the scorers' channels.

    Returns:
        `documents`, `tokens`, `words`, `characters`, the tokens of the `longest` document, and `salient`: channel ->
        tokens with a score above 0.

    Raises:
        DataError: a shard or a channel is missing, or the store was made with another tokenizer.
    """
    names = list(scorers)
    special = SpecialTokens.read(tokenizer)
    totals: dict[str, Any] = dict(
        close_store(folder, shards, [WORD_START, *names], tokenizer_hash(tokenizer), special.vocabulary_size)
    )
    counts = [read_json(counts_path(folder, shard)) for shard in range(shards)]
    totals |= {key: sum(count[key] for count in counts) for key in ("words", "characters")}
    totals["longest"] = max((count["longest"] for count in counts), default=0)
    totals["salient"] = {name: sum(count["salient"][name] for count in counts) for name in names}
    return totals


def encode(tokenizer: Path, documents: Sequence[Document]) -> Iterator[TokenizedDocument]:
    """Tokenize documents without special tokens, with offsets and word starts."""
    path = tokenizer / "tokenizer.json"
    return _encoder(tokenizer, path.stat().st_mtime_ns).encode(documents)


@lru_cache(maxsize=1)
def _encoder(folder: Path, changed: int) -> Encoder:
    """The tokenizer of a folder; cached, because reading a large vocabulary takes time. `changed` is the file's time."""
    return Encoder.load(folder)


def _rows(path: Path) -> int:
    import pyarrow.parquet as pq

    return int(pq.read_metadata(path).num_rows)
