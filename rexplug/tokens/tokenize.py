"""From curated documents to token stores, with word starts and salience."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from rexplug.components import CorpusSample, Document, SalienceScorer, TokenizedDocument
from rexplug.progress import Progress
from rexplug.recipe.schema import Executor
from rexplug.run_directory import read_json, write_json
from rexplug.tokens.documents import read_parquet
from rexplug.tokens.encode import Encoder
from rexplug.tokens.special import SpecialTokens
from rexplug.tokens.store import WORD_START, close_store, has_shard
from rexplug.tokens.tokenizer import tokenizer_hash
from rexplug.workers import run_shards


class _Folder:
    """The kept documents of a source; can be iterated more than once."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __iter__(self) -> Iterator[Document]:
        return read_parquet(self.folder)


def fit_scorers(
    scorers: Sequence[SalienceScorer], corpus: Path, sources: Sequence[str], *, folder: Path, seed: int
) -> tuple[SalienceScorer, ...]:
    """Let scorers learn from the kept documents; what they learnt is kept in `folder` and read again next time."""
    fitted = []
    for scorer in scorers:
        record = folder / f"{scorer.channel}.json"
        if record.exists():
            options = read_json(record)
            fitted.append(type(scorer).model_validate({k: v for k, v in options.items() if k != "use"}))
            continue
        own = folder / scorer.channel
        own.mkdir(parents=True, exist_ok=True)
        documents: Mapping[str, Iterable[Document]] = {name: _Folder(corpus / name / "kept") for name in sources}
        learnt = scorer.fit(CorpusSample(documents, own, seed))
        write_json(record, learnt.dump())
        fitted.append(learnt)
    return tuple(fitted)


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

    Args:
        corpus: the corpus folder; `<source>/kept/*.parquet` is read, one shard per file.
        sources: the names of the sources.
        tokenizer: the tokenizer's folder.
        scorers: channel name -> fitted scorer.
        tokens: where the stores go, one folder per source.
        executor: how many processes work on shards at a time; each keeps to one thread.
        progress: told how many documents are done.

    Returns:
        Per source what `close` counts, and the seconds.

    Raises:
        PluginError: a scorer did not return one uint8 per token.
        DataError: a worker process died.
    """
    results: dict[str, Any] = {}
    for source in sources:
        began = time.monotonic()
        kept, folder = corpus / source / "kept", tokens / source
        folder.mkdir(parents=True, exist_ok=True)
        for leftover in list(folder.glob(".tmp-*")):  # of processes that were killed while they wrote
            leftover.unlink()
        rows = [_rows(path) for path in sorted(kept.glob("[!.]*.parquet"))]
        todo = [shard for shard in range(len(rows)) if not has_shard(folder, shard)]
        progress.start(f"tokenize {source}", sum(rows), "documents")
        done = sum(rows) - sum(rows[shard] for shard in todo)
        progress.update(done)
        # The largest first, so that no worker is left with one at the end.
        shards = [
            (kept, folder, tokenizer, dict(scorers), shard, len(rows)) for shard in sorted(todo, key=lambda i: -rows[i])
        ]
        counted = 0
        for shard, num_tokens in run_shards(
            _shard, shards, workers=executor.workers, doing=f"tokenized '{source}'", setting="curation.executor.workers"
        ):
            done, counted = done + rows[shard], counted + num_tokens
            progress.update(done, tokens=float(counted))
        counts = close(folder, shards=len(rows), tokenizer=tokenizer, scorers=scorers)
        results[source] = {**counts, "seconds": round(time.monotonic() - began, 2)}
    return results


def _shard(
    kept: Path, folder: Path, tokenizer: Path, scorers: Mapping[str, SalienceScorer], shard: int, num_shards: int
) -> tuple[int, int]:
    """Make one shard, in this process or in a worker; returns its number and its tokens."""
    from rexplug.tokens.step import ReadKept, TokenizeDocuments, counts_path

    step = TokenizeDocuments(folder, tokenizer, scorers)
    deque(step(ReadKept(kept)(None, shard, num_shards), shard, num_shards), maxlen=0)
    return shard, int(read_json(counts_path(folder, shard))["tokens"])


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
