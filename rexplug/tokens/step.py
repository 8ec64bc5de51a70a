"""Tokenization as datatrove pipeline steps, for any of its executors: one shard of a token store per rank.

    LocalPipelineExecutor([ReadKept(corpus / "web" / "kept"), TokenizeDocuments(...)], tasks=number_of_files).run()
    close(folder, shards=number_of_files, ...)

`rexplug.tokens.tokenize` runs the same steps in processes of its own. rexplug's documents pass from step to step as they
are; documents of datatrove's own readers are taken too.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from datatrove.data import Document as DatatroveDocument
from datatrove.pipeline.base import PipelineStep
from numpy.typing import NDArray

from rexplug.components import Document, SalienceScorer
from rexplug.document_files import files_in, read_file
from rexplug.io.atomic import write_json
from rexplug.plugins.calls import score_document
from rexplug.tokens.encode import Encoder
from rexplug.tokens.shards import counts_path
from rexplug.tokens.special import SpecialTokens
from rexplug.tokens.store import WORD_START, has_shard, write_shard

_BATCH_SIZE = 256
"""Documents that are passed to the tokenizer at a time."""


class ReadKept(PipelineStep):
    """Reads `*.parquet` of a source's kept documents: with as many tasks as files, rank r reads the r-th file."""

    name = "kept documents"
    type = "READER"

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder = folder

    def run(self, data: Iterable[Document] | None = None, rank: int = 0, world_size: int = 1) -> Iterator[Document]:
        """Yield the documents of `data` and of this rank's files.

        `place` in a document's metadata says where the source read it; where that is not known, its file and row here.
        """
        if data:
            yield from data
        for path in files_in(self.folder)[rank::world_size]:
            for row, document in enumerate(read_file(path)):
                self.stat_update("documents")
                if document.metadata.get("place"):
                    yield document
                else:
                    yield replace(document, metadata={**document.metadata, "place": f"{path.name}:{row}"})


class TokenizeDocuments(PipelineStep):
    """Writes its input as shard `rank` of a token store, with word starts and salience.

    A shard that exists already is left alone and its documents are not read. Documents are passed on; those of datatrove
    get `token_count` in their metadata, for the steps of datatrove that count tokens.

    Args:
        folder: the store's folder; `close()` completes the store once every shard is written.
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

    def run(
        self, data: Iterable[Document | DatatroveDocument] | None, rank: int = 0, world_size: int = 1
    ) -> Iterator[Document | DatatroveDocument]:
        """Tokenize and score the documents of `data`, and write the shard after the last one.

        Raises:
            PluginError: a scorer did not return one uint8 per token.
        """
        if data is None or has_shard(self.folder, rank):
            return
        # The work is parallel over shards: a worker that took every core for itself would slow down the others.
        os.environ["TOKENIZERS_PARALLELISM"] = "false"
        encoder, special = Encoder.load(self.tokenizer), SpecialTokens.read(self.tokenizer)
        tokens: list[NDArray[np.uint32]] = []
        channels: dict[str, list[NDArray[np.uint8]]] = {name: [] for name in (WORD_START, *self.scorers)}
        columns: dict[str, list[Any]] = {name: [] for name in ("id", "url", "hash", "place")}
        characters = 0
        documents = iter(data)
        while batch := list(islice(documents, _BATCH_SIZE)):
            for document, tokenized in zip(batch, encoder.encode(batch), strict=True):
                tokens.append(tokenized.token_ids)
                channels[WORD_START].append(tokenized.word_starts.view(np.uint8))
                for name, scorer in self.scorers.items():
                    channels[name].append(score_document(scorer, tokenized))
                place = document.metadata.get("place")
                columns["id"].append(document.id)
                columns["url"].append(_url(document))
                columns["hash"].append(hashlib.blake2b(document.text.encode(), digest_size=16).digest())
                columns["place"].append(None if place is None else str(place))
                characters += len(document.text)
                if isinstance(document, DatatroveDocument):
                    document.metadata["token_count"] = len(tokenized.token_ids)
                self.stat_update("tokens", value=len(tokenized.token_ids))
                yield document
        counts = _counts(tokens, channels, self.scorers)
        write_json(counts_path(self.folder, rank), {**counts, "characters": characters})
        write_shard(
            self.folder, rank, tokens=tokens, channels=channels, documents=_table(columns),
            vocabulary_size=special.vocabulary_size,
        )  # fmt: skip


def _url(document: Document | DatatroveDocument) -> str | None:
    return document.metadata.get("url") if isinstance(document, DatatroveDocument) else document.url


def _counts(
    tokens: Sequence[NDArray[np.uint32]],
    channels: Mapping[str, Sequence[NDArray[np.uint8]]],
    scorers: Iterable[str],
) -> dict[str, Any]:
    lengths = [len(ids) for ids in tokens]
    return {
        "documents": len(lengths),
        "tokens": sum(lengths),
        "words": sum(int(np.count_nonzero(starts)) for starts in channels[WORD_START]),
        "longest": max(lengths, default=0),
        "salient": {name: sum(int(np.count_nonzero(scores)) for scores in channels[name]) for name in scorers},
    }


def _table(columns: Mapping[str, Sequence[Any]]) -> dict[str, Any]:
    """The columns with explicit types: a shard without documents, or without URLs, does not show them."""
    import pyarrow as pa

    types = {"hash": pa.binary(16)}
    return {name: pa.array(values, types.get(name, pa.string())) for name, values in columns.items()}
