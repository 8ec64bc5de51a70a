"""From curated documents to token stores, with word starts and salience."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from rexplug.components import CorpusSample, Document, SalienceScorer, TokenizedDocument
from rexplug.errors import PluginError
from rexplug.progress import Progress
from rexplug.recipe.schema import Executor
from rexplug.run_directory import read_json, write_json
from rexplug.tokens.documents import read_file, read_parquet
from rexplug.tokens.special import SpecialTokens
from rexplug.tokens.store import WORD_START, close_store, has_shard, write_shard
from rexplug.tokens.tokenizer import tokenizer_hash

_CHUNK = 128
T = TypeVar("T")


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
        executor: with one worker the tokenizer keeps to one thread; otherwise it takes the cores it finds.
        progress: told how many documents are done.

    Returns:
        Per source the documents, tokens, longest document, seconds.
    """
    os.environ["TOKENIZERS_PARALLELISM"] = "true" if executor.workers > 1 else "false"
    special = SpecialTokens.read(tokenizer)
    results: dict[str, Any] = {}
    for source in sources:
        began = time.monotonic()
        folder = tokens / source
        folder.mkdir(parents=True, exist_ok=True)
        files = sorted((corpus / source / "kept").glob("*.parquet"))
        total = sum(_rows(path) for path in files)
        progress.start(f"tokenize {source}", total, "documents")
        done = 0
        for number, path in enumerate(files):
            if not has_shard(folder, number):
                _shard(path, number, folder, tokenizer, special, scorers, progress, done)
            done += _rows(path)
            progress.update(done)
        counts = close_store(
            folder, len(files), [WORD_START, *scorers], tokenizer_hash(tokenizer), special.vocabulary_size
        )
        results[source] = {**counts, "seconds": round(time.monotonic() - began, 2)}
    return results


def _shard(
    path: Path,
    number: int,
    folder: Path,
    tokenizer: Path,
    special: SpecialTokens,
    scorers: Mapping[str, SalienceScorer],
    progress: Progress,
    before: int,
) -> None:
    columns: dict[str, list[Any]] = {"id": [], "url": []}
    tokens: list[Any] = []
    channels: dict[str, list[Any]] = {WORD_START: [], **{name: [] for name in scorers}}
    for documents in _chunks(read_file(path), _CHUNK):
        for document in encode(tokenizer, documents):
            tokens.append(document.token_ids)
            channels[WORD_START].append(document.word_starts.view(np.uint8))
            for name, scorer in scorers.items():
                channels[name].append(_score(scorer, document))
        columns["id"] += [document.id for document in documents]
        columns["url"] += [document.url for document in documents]
        progress.update(before + len(tokens))
    write_shard(
        folder, number, tokens=tokens, channels=channels, documents=columns, vocabulary_size=special.vocabulary_size
    )


def encode(tokenizer: Path, documents: Sequence[Document]) -> Iterator[TokenizedDocument]:
    """Tokenize documents without special tokens, with offsets and word starts."""
    from rexplug.tokens.words import word_starts

    fast = _fast(tokenizer)
    for document, encoding in zip(
        documents, fast.encode_batch([each.text for each in documents], add_special_tokens=False), strict=True
    ):
        offsets = np.array(encoding.offsets, np.uint32).reshape(-1, 2)
        yield TokenizedDocument(
            document.id, document.text, np.array(encoding.ids, np.uint32), offsets, word_starts(document.text, offsets)
        )


_loaded: dict[tuple[Path, int], Any] = {}


def _fast(folder: Path) -> Any:
    """The tokenizer of a folder; kept, because reading a large vocabulary takes a moment."""
    from tokenizers import Tokenizer

    path = folder / "tokenizer.json"
    key = (path, path.stat().st_mtime_ns)
    if key not in _loaded:
        _loaded.clear()
        tokenizer = Tokenizer.from_file(str(path))
        tokenizer.no_truncation()
        tokenizer.no_padding()
        _loaded[key] = tokenizer
    return _loaded[key]


def _score(scorer: SalienceScorer, document: TokenizedDocument) -> Any:
    values = scorer.score(document)
    if values.dtype != np.uint8 or values.shape != document.token_ids.shape:
        raise PluginError(
            f"{scorer.name}.score() returned {values.dtype} {list(values.shape)} for document '{document.id}'; "
            f"expected uint8 {list(document.token_ids.shape)}"
        )
    return values


def _rows(path: Path) -> int:
    import pyarrow.parquet as pq

    return int(pq.read_metadata(path).num_rows)


def _chunks(items: Iterable[T], size: int) -> Iterator[list[T]]:
    iterator = iter(items)
    while chunk := list(islice(iterator, size)):
        yield chunk
