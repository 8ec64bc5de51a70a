"""Training and dev pairs of a ranking task, and how well a model ranks on dev."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
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
_DEPTH = 10


@dataclass(frozen=True)
class DevRanking:
    """Queries, the texts to rank for each of them, and how relevant they are.

    Attributes:
        queries: the queries.
        documents: the texts.
        grades: `[queries, documents]`, the grade of each text, 0 for those that are not relevant.
    """

    queries: Sequence[str]
    documents: Sequence[str]
    grades: NDArray[np.float64]

    def score(self, queries: Vectors, documents: Vectors, similarity: Similarity = "cosine") -> float:
        """Mean nDCG@10, with linear gains, of the texts by the similarity of their embeddings to the queries'."""
        order = np.argsort(-similarity_matrix(queries, documents, similarity), axis=1, kind="stable")[:, :_DEPTH]
        discounts = 1 / np.log2(np.arange(2, order.shape[1] + 2))
        gains = (np.take_along_axis(self.grades, order, 1) * discounts).sum(1)
        best = (-np.sort(-self.grades, axis=1)[:, :_DEPTH] * discounts).sum(1)
        return float((gains / best).mean())


def train_and_dev(collection: RetrievalCollection, budget: FineTuning) -> tuple[list[Pair], DevRanking | None]:
    """The pairs to fine-tune on and the dev ranking; None if there are fewer than two queries for it.

    Without dev queries of the collection's own, a fifth of its training queries is taken, by a hash of their text.
    """
    training = list(collection.training)
    if collection.dev:
        graded = {
            query: {collection.corpus[key]: grade for key, grade in grades.items()}
            for query, grades in collection.dev.items()
            if max(grades.values(), default=0) > 0
        }
    else:
        queries = _by_hash(query for query, _ in training)
        held_out = set(queries[: len(queries) // 5])
        graded = graded_pairs([pair for pair in training if pair[0] in held_out])
    if len(graded) < _LEAST_QUERIES:
        return training, None
    ranking = ranking_of(graded, list(collection.corpus.values()), budget.dev_examples)
    return [pair for pair in training if pair[0] not in graded], ranking


def ranking_of(graded: Mapping[str, Mapping[str, int]], others: Sequence[str], limit: int) -> DevRanking:
    """Queries with grades (query -> text -> grade), and `limit` texts to rank: the graded ones, and others as far as there is room.

    Queries are taken in the order of a hash, as long as there is room for the texts that are graded for them (two at least).
    """
    documents: dict[str, int] = {}
    queries: list[str] = []
    for query in _by_hash(graded):
        if len(queries) >= _LEAST_QUERIES and len(documents.keys() | graded[query].keys()) > limit:
            break
        queries.append(query)
        for text in sorted(graded[query]):
            documents.setdefault(text, len(documents))
    for text in _by_hash(others):
        if len(documents) >= limit:
            break
        documents.setdefault(text, len(documents))
    matrix = np.zeros((len(queries), len(documents)))
    for number, query in enumerate(queries):
        for text, grade in graded[query].items():
            matrix[number, documents[text]] = max(0, grade)
    return DevRanking(queries, list(documents), matrix)


def graded_pairs(pairs: Sequence[Pair]) -> dict[str, dict[str, int]]:
    """Query -> relevant text -> 1, of pairs."""
    graded: dict[str, dict[str, int]] = {}
    for query, text in pairs:
        graded.setdefault(query, {})[text] = 1
    return graded


def _by_hash(texts: Iterable[str]) -> list[str]:
    """Distinct texts in an order that does not depend on the other texts."""
    return sorted(set(texts), key=lambda text: hashlib.sha256(text.encode()).digest())
