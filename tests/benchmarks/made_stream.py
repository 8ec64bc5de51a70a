"""Shared by the training benchmarks: a store of synthetic documents, its batch stream, and the recipe of a phase on it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

import rexplug
from rexplug.batches import BatchStream, PackedRow
from rexplug.batches.policies import RandomMasking
from rexplug.recipe import Recipe
from rexplug.tokens.special import SpecialTokens
from rexplug.tokens.store import WORD_START, TokenStore, close_store, write_shard

RATE, DECAY = 1e-3, 1e-5


def special_of(vocabulary: int) -> SpecialTokens:
    """A vocabulary that begins with the special tokens."""
    return SpecialTokens(cls=1, sep=2, pad=3, mask=4, vocabulary_size=vocabulary, all=frozenset(range(5)))


def store_tokens(folder: Path, tokens: Sequence[NDArray[np.uint32]], vocabulary: int) -> TokenStore:
    """Write a token store of one shard from the token ids of each document; every token begins a word."""
    write_shard(
        folder, 0, tokens=tokens, channels={WORD_START: [np.ones(len(ids), np.uint8) for ids in tokens]},
        documents={"id": [str(i) for i in range(len(tokens))]}, vocabulary_size=vocabulary,
    )  # fmt: skip
    close_store(folder, 1, [WORD_START], "made", vocabulary)
    return TokenStore.open(folder)


def write_store(folder: Path, total: int, median: float, longest: int, vocabulary: int) -> TokenStore:
    """Documents of about `total` tokens, of log-normal lengths with this median, frequent tokens and rare ones."""
    draw = np.random.default_rng(0)
    tokens: list[NDArray[np.uint32]] = []
    while total > 0:
        size = int(np.clip(draw.lognormal(np.log(median), 0.7), 6, longest))
        # Two of them are [CLS] and [SEP], which the stream puts around it.
        tokens.append((5 + draw.zipf(1.3, size - 2) % (vocabulary - 5)).astype(np.uint32))
        total -= size
    return store_tokens(folder, tokens, vocabulary)


def stream_of(
    store: TokenStore, special: SpecialTokens, *, context: int, row: int, batch: int, total: int
) -> BatchStream:
    """The store's documents in rows of `row` tokens, 30 % masked, 80/10/10."""
    return BatchStream(
        {"made": store}, special=special, context=context, row_tokens=row, batch_tokens=lambda tokens: max(batch, row),
        total_tokens=total, min_tokens=1, mixing=One(), masking=RandomMasking(rate=0.3), seed=1, phase="bench",
    )  # fmt: skip


@dataclass(frozen=True)
class Document:
    """A document as it is trained on, `[n]`: masked ids and labels."""

    token_ids: NDArray[np.int64]
    labels: NDArray[np.int64]


def documents_of(rows: list[PackedRow]) -> list[Document]:
    """The documents of rows one by one, with the masks that they have in the rows."""
    return [
        Document(row.token_ids[begin:end], row.labels[begin:end])
        for row in rows
        for begin, end in zip(row.cu_seqlens[:-1].tolist(), row.cu_seqlens[1:].tolist(), strict=True)
    ]


class One(rexplug.MixingSchedule):
    """Mixes one source alone."""

    name: ClassVar[str] = "benchmark.one"

    def weights(self, progress: float) -> Mapping[str, float]:
        return {"made": 1.0}


class Nothing(rexplug.DocumentSource):
    """Yields no documents: they are in the store already."""

    name: ClassVar[str] = "benchmark.nothing"

    def documents(self, shard: rexplug.Shard) -> Iterator[rexplug.Document]:
        return iter(())


def recipe_of(row: int, batch: int, total: int, **model: Any) -> Recipe:
    """One phase at a constant rate on rows of `row` tokens."""
    phase = {
        "name": "bench", "tokens": total, "context": row, "batch_tokens": max(batch, row), "mixing": One(),
        "masking": RandomMasking(rate=0.3), "learning_rate": {"peak": RATE, "schedule": "constant"},
        "optimizer": {"weight_decay": DECAY}, "checkpoints": {"every_minutes": 999},
    }  # fmt: skip
    return Recipe.model_validate(
        {
            "name": "bench", "sources": {"made": Nothing()}, "tokenizer": {"use": "train"},
            "model": {"size": "nano", **model}, "phases": [phase],
        }
    )  # fmt: skip
