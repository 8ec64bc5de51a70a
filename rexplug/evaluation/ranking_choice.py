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

    Without dev pairs of the collection's own, a fifth of its training queries is taken, by a hash of their text. Queries are
    taken until their relevant texts are as many as the budget's dev examples; other training texts fill up the texts to rank.
    """
    training, dev = list(collection.training), list(collection.dev)
    if not dev:
        queries = _by_hash(query for query, _ in training)
        held_out = set(queries[: len(queries) // 5])
        dev = [pair for pair in training if pair[0] in held_out]
        if len(held_out) < _LEAST_QUERIES:
            return training, None
        training = [pair for pair in training if pair[0] not in held_out]
    relevant: dict[str, set[str]] = {}
    for query, text in dev:
        relevant.setdefault(query, set()).add(text)
    documents: dict[str, int] = {}
    chosen: list[str] = []
    for query in _by_hash(relevant):
        if len(chosen) >= _LEAST_QUERIES and len(documents.keys() | relevant[query]) > budget.dev_examples:
            break
        chosen.append(query)
        for text in sorted(relevant[query]):
            documents.setdefault(text, len(documents))
    if len(chosen) < _LEAST_QUERIES:
        return training, None
    for text in _by_hash(text for _, text in training):
        if len(documents) >= budget.dev_examples:
            break
        documents.setdefault(text, len(documents))
    matrix = np.zeros((len(chosen), len(documents)), bool)
    for number, query in enumerate(chosen):
        matrix[number, [documents[text] for text in relevant[query]]] = True
    return training, DevRanking(chosen, list(documents), matrix)


def _by_hash(texts: Iterable[str]) -> list[str]:
    """Distinct texts in an order that does not depend on the other texts."""
    return sorted(set(texts), key=lambda text: hashlib.sha256(text.encode()).digest())
