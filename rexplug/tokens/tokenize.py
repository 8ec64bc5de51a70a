"""From curated documents to token stores, with word starts and salience."""

from __future__ import annotations

import shutil
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from rexplug.checksums import file_problem, read_checksums
from rexplug.components import CorpusSample, Document, SalienceScorer, TokenizedDocument
from rexplug.document_files import read_documents
from rexplug.errors import DataError
from rexplug.executors import Job, run_jobs, shared_ray_cluster
from rexplug.executors.datatrove_logging import silence_datatrove
from rexplug.io.atomic import write_json
from rexplug.progress import Progress
from rexplug.recipe.schema import Executor
from rexplug.run_directory import read_json, repair_hint
from rexplug.tokens.encode import Encoder
from rexplug.tokens.shards import shard_record
from rexplug.tokens.special import SpecialTokens
from rexplug.tokens.store import WORD_START, close_store, has_shard
from rexplug.tokens.tokenizer import tokenizer_hash


class _Folder:
    """The kept documents of a source; can be iterated more than once."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __iter__(self) -> Iterator[Document]:
        return read_documents(self.folder)


def fit_scorers(
    scorers: Sequence[SalienceScorer], corpus: Path, sources: Sequence[str], *, folder: Path, seed: int
) -> tuple[SalienceScorer, ...]:
    """Let scorers learn from the kept documents; what they learnt is kept in `folder` and read again next time."""
    fitted = []
    for scorer in scorers:
        record = folder / f"{scorer.channel}.json"
        if record.exists():
            options = read_json(record)
            try:
                fitted.append(type(scorer).model_validate({k: v for k, v in options.items() if k != "use"}))
            except (ValueError, AttributeError):
                raise DataError(f"{record} is damaged: it holds no {scorer.name}; {repair_hint(record)}") from None
            continue
        own = folder / scorer.channel
        own.mkdir(parents=True, exist_ok=True)
        documents: Mapping[str, Iterable[Document]] = {name: _Folder(corpus / name / "kept") for name in sources}
        learnt = scorer.fit(CorpusSample(documents, own, seed))
        write_json(record, learnt.dump())
        fitted.append(learnt)
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
    """Write a token store per source; shards that are there already are not made again.

    The result does not depend on the executor or the number of workers.

    Args:
        corpus: the corpus folder; `<source>/kept/*.parquet` is read, one shard per file.
        sources: the names of the sources.
        tokenizer: the tokenizer's folder.
        scorers: channel name -> fitted scorer.
        tokens: where the stores go, one folder per source.
        executor: where shards are made and how many at a time; each keeps to one thread.
        progress: told how many shards are done.

    Returns:
        Per source what `close` counts.

    Raises:
        PluginError: a scorer did not return one uint8 per token.
        DataError: a worker died more often than `retries` allows, or the disk is full.
    """
    silence_datatrove()
    corpus, tokenizer, tokens = corpus.resolve(), tokenizer.resolve(), tokens.resolve()  # workers may start elsewhere
    sizes: dict[str, list[int]] = {}
    todo: list[tuple[int, Job]] = []
    for source in sources:
        kept, folder = corpus / source / "kept", tokens / source
        folder.mkdir(parents=True, exist_ok=True)
        for leftover in list(folder.glob(".tmp-*")):  # of processes that were killed while they wrote
            leftover.unlink()
        files = sorted(kept.glob("[!.]*.parquet"))
        sizes[source] = [_rows(path) for path in files]
        for shard, rows in enumerate(sizes[source]):
            record = shard_record(folder, shard)
            if not has_shard(folder, shard):
                record.unlink(missing_ok=True)
            title = f"the tokens of '{source}', shard {shard + 1} of {len(files)}"
            todo.append((rows, Job(title, _shard, (kept, folder, tokenizer, dict(scorers), shard, len(files)), record)))
    # The largest first, so that no worker is left with one at the end.
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
    """Make one shard, in this process or in a worker; returns how many documents it holds."""
    from rexplug.tokens.step import ReadKept, TokenizeDocuments, counts_path

    file = sorted(kept.glob("[!.]*.parquet"))[shard]
    written = read_checksums(kept.parent).get(f"{kept.name}/{file.name}")
    problem = file_problem(file, written) if written is not None else None
    if problem is not None:
        raise DataError(f"{problem}; --from curate makes the corpus again")
    step = TokenizeDocuments(folder, tokenizer, scorers)
    deque(step(ReadKept(kept)(None, shard, num_shards), shard, num_shards), maxlen=0)
    return int(read_json(counts_path(folder, shard))["documents"])


def close(folder: Path, *, shards: int, tokenizer: Path, scorers: Iterable[str]) -> dict[str, Any]:
    """Complete a store whose shards are all there, whichever executor made them.

    Returns:
        `documents`, `tokens`, `words`, `characters`, the `longest` document in tokens, and per scorer's channel the
        `salient` tokens.
    """
    from rexplug.tokens.step import counts_path

    names = list(scorers)
    special = SpecialTokens.read(tokenizer)
    totals: dict[str, Any] = dict(
        close_store(folder, shards, [WORD_START, *names], tokenizer_hash(tokenizer), special.vocabulary_size)
    )
    counts = [read_json(counts_path(folder, shard)) for shard in range(shards)]
    totals |= {key: sum(each[key] for each in counts) for key in ("words", "characters")}
    totals["longest"] = max((each["longest"] for each in counts), default=0)
    totals["salient"] = {name: sum(each["salient"][name] for each in counts) for name in names}
    return totals


def encode(tokenizer: Path, documents: Sequence[Document]) -> Iterator[TokenizedDocument]:
    """Tokenize documents without special tokens, with offsets and word starts."""
    path = tokenizer / "tokenizer.json"
    return _encoder(tokenizer, path.stat().st_mtime_ns).encode(documents)


@lru_cache(maxsize=1)
def _encoder(folder: Path, changed: int) -> Encoder:
    """The tokenizer of a folder; kept, because reading a large vocabulary takes a moment."""
    return Encoder.load(folder)


def _rows(path: Path) -> int:
    import pyarrow.parquet as pq

    return int(pq.read_metadata(path).num_rows)
