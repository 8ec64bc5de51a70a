"""Training and dev pairs of a ranking task, and how well a model ranks on dev."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rexplug.components import FineTuning, RetrievalCollection
from rexplug.evaluation.cosine import similarity_matrix
from rexplug.recipe.evaluation import Similarity

Pair = tuple[str, str]
"""A query and a text that is relevant to it."""
Vectors = NDArray[np.float32]
_LEAST_QUERIES = 2
"""Dev queries below which nothing is chosen."""


@dataclass(frozen=True)
class DevRanking:
    """Queries, the texts to rank for each of them, and which are relevant.

    Attributes:
        queries: the queries.
        documents: the texts.
        relevant: `[queries, documents]`, which texts are relevant.
    """

    queries: Sequence[str]
    documents: Sequence[str]
    relevant: NDArray[np.bool_]

    def score(self, queries: Vectors, documents: Vectors, similarity: Similarity = "cosine") -> float:
        """Mean average precision of the texts by the similarity of their embeddings to the queries'."""
        order = np.argsort(-similarity_matrix(queries, documents, similarity), axis=1, kind="stable")
        hits = np.take_along_axis(self.relevant, order, 1)
        precision = hits.cumsum(1) / np.arange(1, hits.shape[1] + 1)
        return float(((precision * hits).sum(1) / hits.sum(1)).mean())


def train_and_dev(collection: RetrievalCollection, budget: FineTuning) -> tuple[list[Pair], DevRanking | None]:
    """The pairs to fine-tune on and the dev ranking; None if there are fewer than two queries for it.

    Without dev pairs of the collection's own, a fifth of its training queries is taken, by a hash of their text.
    """
    training, dev = list(collection.training), list(collection.dev)
    if not dev:
        queries = _by_hash(query for query, _ in training)
        held_out = set(queries[: len(queries) // 5])
        if len(held_out) < _LEAST_QUERIES:
            return training, None
        dev = [pair for pair in training if pair[0] in held_out]
        training = [pair for pair in training if pair[0] not in held_out]
    ranking = ranking_of(dev, [text for _, text in training], budget.dev_examples)
    return training, ranking if len(ranking.queries) >= _LEAST_QUERIES else None


def ranking_of(pairs: Sequence[Pair], others: Sequence[str], limit: int) -> DevRanking:
    """Queries of the pairs, and `limit` texts to rank for them: those of the pairs, and others as far as there is room.

    Queries are taken in the order of a hash, as long as there is room for the texts that are relevant to them (two at least).
    """
    relevant: dict[str, set[str]] = {}
    for query, text in pairs:
        relevant.setdefault(query, set()).add(text)
    documents: dict[str, int] = {}
    queries: list[str] = []
    for query in _by_hash(relevant):
        if len(queries) >= _LEAST_QUERIES and len(documents.keys() | relevant[query]) > limit:
            break
        queries.append(query)
        for text in sorted(relevant[query]):
            documents.setdefault(text, len(documents))
    for text in _by_hash(others):
        if len(documents) >= limit:
            break
        documents.setdefault(text, len(documents))
    matrix = np.zeros((len(queries), len(documents)), bool)
    for number, query in enumerate(queries):
        matrix[number, [documents[text] for text in relevant[query]]] = True
    return DevRanking(queries, list(documents), matrix)


def _by_hash(texts: Iterable[str]) -> list[str]:
    """Distinct texts in an order that does not depend on the other texts."""
    return sorted(set(texts), key=lambda text: hashlib.sha256(text.encode()).digest())
