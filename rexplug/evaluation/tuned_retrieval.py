"""Embeddings of a collection by a model that was fine-tuned on its training pairs."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from rexplug.components import FineTuning, RetrievalCollection
from rexplug.evaluation.embedding_modules import Transform
from rexplug.evaluation.encoder import HuggingFaceEncoder
from rexplug.evaluation.finetune import Rows, tune_ranking
from rexplug.evaluation.model_usage import Role
from rexplug.evaluation.ranking_choice import ranking_of, train_and_dev
from rexplug.evaluation.starts import Start, choose_start, spread_sample, transformed
from rexplug.evaluation.tuning import FineTune, Outcome, fine_tune

Vectors = NDArray[np.float32]
Embedded = tuple[Vectors, Vectors]
"""Embeddings of the documents and of the queries."""
Use = Callable[[FineTune[HuggingFaceEncoder]], Embedded | None]


@dataclass(frozen=True)
class TunedEmbeddings:
    """Embeddings of a collection after fine-tunes.

    Attributes:
        outcome: embeddings for each seed, None where the untuned model is used.
        start: the embeddings that the fine-tunes start from.
        num_pairs: pairs that were trained on.
        key: a name for all that decides them but the model.
    """

    outcome: Outcome[Embedded | None]
    start: Start
    num_pairs: int
    key: str


_last: WeakKeyDictionary[HuggingFaceEncoder, TunedEmbeddings] = WeakKeyDictionary()
"""The latest of each model: search and reranking of the same texts need the same fine-tune."""


def embed(
    encoder: HuggingFaceEncoder, documents: Sequence[str], queries: Sequence[str], max_tokens: int | None
) -> Embedded:
    """Embeddings of documents and queries with their prompts, of at most `max_tokens` tokens each."""
    return encoder.encode(documents, max_tokens, role="document"), encoder.encode(queries, max_tokens, role="query")


def fine_tuned_embeddings(
    collection: RetrievalCollection,
    model: HuggingFaceEncoder,
    budget: FineTuning,
    seed: int,
    documents: Sequence[str],
    queries: Sequence[str],
    max_tokens: int | None,
) -> TunedEmbeddings:
    """Fine-tune with every seed of the budget, from the start that is best on dev, and embed.

    Args:
        collection: the pairs to train on and to choose by.
        model: the model, which stays as it is.
        budget: the budget of the fine-tune.
        seed: the first seed.
        documents: the documents to embed.
        queries: the queries to embed.
        max_tokens: where they are cut.
    """
    data = [collection.training, collection.dev, documents, queries]
    key = _hash([budget.model_dump(), seed, max_tokens, data])
    if model not in _last or _last[model].key != key:
        tuner = _Tuner(collection, model, budget)

        def use(tune: FineTune[HuggingFaceEncoder]) -> Embedded | None:
            return embed(tune.model, documents, queries, max_tokens)

        _last[model] = TunedEmbeddings(tuner.run(use, seed), tuner.start, len(tuner.training), key)
    return _last[model]


class _Tuner:
    """Fine-tunes a model on the training pairs of a collection.

    Attributes:
        training: the pairs that are trained on.
        start: the embeddings that fine-tunes start from.
    """

    def __init__(self, collection: RetrievalCollection, model: HuggingFaceEncoder, budget: FineTuning) -> None:
        self._model, self._budget = model, budget
        self.training, dev = train_and_dev(collection, budget)
        self._queries, self._documents = (self._rows([pair[side] for pair in self.training], side) for side in (0, 1))
        self._has_dev = dev is not None
        # Before any training the training pairs are as good as others.
        self._dev = dev or ranking_of(self.training, (), budget.dev_examples)
        self._dev_rows = self._rows(self._dev.queries, 0), self._rows(self._dev.documents, 1)
        sample = model.embed_rows([*spread_sample(self._queries), *spread_sample(self._documents)])
        before = self._embed_dev(model)

        def rate(transform: Transform | None) -> float:
            similarity = model.usage.similarity if transform is None else "cosine"
            queries, documents = (transformed(side, transform) for side in before)
            return self._dev.score(queries, documents, similarity)

        self.start = choose_start(budget.start, sample, rate, "on dev" if dev else "on the training pairs")

    def run(self, use: Use, seed: int) -> Outcome[Embedded | None]:
        """What `use` makes of the fine-tune with each seed; None for the model as it is."""
        on_dev = self._on_dev if self._has_dev else None
        return fine_tune(self._begin, use, on_dev, (self.start.score, None), self._budget, seed)

    def _begin(self, learning_rate: float, seed: int) -> FineTune[HuggingFaceEncoder]:
        return tune_ranking(
            self._model, self._queries, self._documents, self.training, self._budget, learning_rate=learning_rate,
            seed=seed, transform=self.start.transform,
        )  # fmt: skip

    def _on_dev(self, encoder: HuggingFaceEncoder) -> float:
        return self._dev.score(*self._embed_dev(encoder))

    def _embed_dev(self, encoder: HuggingFaceEncoder) -> Embedded:
        queries, documents = self._dev_rows
        return encoder.embed_rows(queries), encoder.embed_rows(documents)

    def _rows(self, texts: Sequence[str], side: int) -> Rows:
        roles: tuple[Role, Role] = ("query", "document")
        return self._model.tokenize(texts, self._budget.max_tokens, role=roles[side])


def _hash(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:12]
