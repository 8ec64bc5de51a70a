"""Tokenization as datatrove blocks, for any of its executors: one shard of a token store per rank.

    LocalPipelineExecutor([ReadKept(corpus / "web" / "kept"), TokenizeDocuments(...)], tasks=number_of_files).run()
    close(folder, shards=number_of_files, ...)

`rexplug.tokens.tokenize` runs the same blocks in processes of its own.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from datatrove.data import Document as Datum
from datatrove.pipeline.base import PipelineStep
from numpy.typing import NDArray

from rexplug.components import Document, SalienceScorer, TokenizedDocument
from rexplug.document_files import read_file
from rexplug.errors import PluginError
from rexplug.io.atomic import write_json
from rexplug.tokens.encode import Encoder
from rexplug.tokens.special import SpecialTokens
from rexplug.tokens.store import WORD_START, has_shard, write_shard

_CHUNK = 256
"""Documents that go to the tokenizer at a time."""


class ReadKept(PipelineStep):
    """Reads `*.parquet` of a source's kept documents: with as many tasks as files, rank r reads the r-th file."""

    name = "kept documents"
    type = "READER"

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder = folder

    def run(self, data: Iterable[Datum] | None = None, rank: int = 0, world_size: int = 1) -> Iterator[Datum]:
        """Yield the documents; `place` in their metadata is where the source read them, or else file and row."""
        if data:
            yield from data
        for path in sorted(self.folder.glob("[!.]*.parquet"))[rank::world_size]:
            for row, document in enumerate(read_file(path)):
                place = document.metadata.get("place") or f"{path.name}:{row}"
                self.stat_update("documents")
                yield Datum(text=document.text, id=document.id, metadata={"url": document.url, "place": str(place)})


class TokenizeDocuments(PipelineStep):
    """Writes the documents that come in as shard `rank` of a token store, with word starts and salience.

    A shard that is there already is not made again and its documents are not read. Documents go on to the next block
    with `token_count` in their metadata.

    Args:
        folder: the store's folder; `close()` completes it once every shard is there.
        tokenizer: the tokenizer's folder.
        scorers: channel name -> fitted scorer.
    """

    name = "token store"
    type = "TOKENIZER"

    def __init__(self, folder: Path, tokenizer: Path, scorers: Mapping[str, SalienceScorer]) -> None:
        super().__init__()
        self.folder = folder
        self.tokenizer = tokenizer
        self.scorers = dict(scorers)

    def run(self, data: Iterable[Datum] | None, rank: int = 0, world_size: int = 1) -> Iterator[Datum]:
        """Tokenize, score and, once all documents were seen, write the shard.

        Raises:
            PluginError: a scorer did not return one uint8 per token.
        """
        if data is None or has_shard(self.folder, rank):
            return
        # Parallel is the work over shards: a worker that took every core for itself would only get in the way.
        os.environ["TOKENIZERS_PARALLELISM"] = "false"
        encoder, special = Encoder.load(self.tokenizer), SpecialTokens.read(self.tokenizer)
        tokens: list[NDArray[np.uint32]] = []
        channels: dict[str, list[NDArray[np.uint8]]] = {name: [] for name in (WORD_START, *self.scorers)}
        columns: dict[str, list[Any]] = {name: [] for name in ("id", "url", "hash", "place")}
        characters = 0
        documents = iter(data)
        while chunk := list(islice(documents, _CHUNK)):
            encoded = encoder.encode([Document(each.id, each.text) for each in chunk])
            for datum, document in zip(chunk, encoded, strict=True):
                tokens.append(document.token_ids)
                channels[WORD_START].append(document.word_starts.view(np.uint8))
                for name, scorer in self.scorers.items():
                    channels[name].append(checked_score(scorer, document))
                columns["id"].append(datum.id)
                columns["url"].append(datum.metadata.get("url"))
                columns["hash"].append(hashlib.blake2b(datum.text.encode(), digest_size=16).digest())
                columns["place"].append(datum.metadata.get("place"))
                characters += len(datum.text)
                datum.metadata["token_count"] = len(document.token_ids)
                self.stat_update("tokens", value=len(document.token_ids))
                yield datum
        counts = _counts(tokens, channels, self.scorers)
        write_json(counts_path(self.folder, rank), {**counts, "characters": characters})
        write_shard(
            self.folder, rank, tokens=tokens, channels=channels, documents=_table(columns),
            vocabulary_size=special.vocabulary_size,
        )  # fmt: skip


def counts_path(folder: Path, shard: int) -> Path:
    """Where the counts of a shard lie."""
    return folder / f"counts-{shard:05d}.json"


def checked_score(scorer: SalienceScorer, document: TokenizedDocument) -> NDArray[np.uint8]:
    """A document's salience, checked.

    Raises:
        PluginError: it is not one uint8 per token.
    """
    values = scorer.score(document)
    if values.dtype != np.uint8 or values.shape != document.token_ids.shape:
        raise PluginError(
            f"{scorer.name}.score() returned {values.dtype} {list(values.shape)} for document '{document.id}'; "
            f"expected uint8 {list(document.token_ids.shape)}"
        )
    return values


def _counts(
    tokens: Sequence[NDArray[np.uint32]],
    channels: Mapping[str, Sequence[NDArray[np.uint8]]],
    scorers: Iterable[str],
) -> dict[str, Any]:
    lengths = [len(each) for each in tokens]
    return {
        "documents": len(lengths),
        "tokens": sum(lengths),
        "words": sum(int(np.count_nonzero(each)) for each in channels[WORD_START]),
        "longest": max(lengths, default=0),
        "salient": {name: sum(int(np.count_nonzero(each)) for each in channels[name]) for name in scorers},
    }


def _table(columns: Mapping[str, Sequence[Any]]) -> dict[str, Any]:
    """The columns with their types, which a shard without documents, or without addresses, does not show."""
    import pyarrow as pa

    types = {"hash": pa.binary(16)}
    return {name: pa.array(values, types.get(name, pa.string())) for name, values in columns.items()}
