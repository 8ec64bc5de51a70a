"""Retrieval and reranking: ranked by mteb, scored per query so that models can be compared on the same queries.

The main metric is that of the model after a short contrastive fine-tune with a fixed budget, and that of the model before it
stands beside it. A masked language model's mean-pooled embeddings lie in a narrow cone (cosines near 1) and rank badly, often
below those of random weights, which compare little more than words in common; a sentence encoder's are good as they are, and
a fine-tune can spoil them. So what it starts from, and whether it helps, is chosen on dev. Metrics of the embeddings as they
are, centred (the mean of the corpus is subtracted) and whitened are reported too.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rexplug.components import EvaluationResult, FineTuning, RetrievalCollection, Scores
from rexplug.errors import DataError
from rexplug.evaluation.embedding_modules import Transform
from rexplug.evaluation.finetune import Rows, tune_ranking
from rexplug.evaluation.items import ranking_items
from rexplug.evaluation.late_interaction import LateInteractionEncoder
from rexplug.evaluation.lexical import LexicalModel
from rexplug.evaluation.model_usage import Role
from rexplug.evaluation.mteb_runner import as_model, as_search, run_task, silenced_mteb, task_metadata, task_name
from rexplug.evaluation.ranking_choice import graded_pairs, ranking_of, train_and_dev
from rexplug.evaluation.starts import choose_start, spread_sample, transformed
from rexplug.evaluation.statistics import bootstrap_metric
from rexplug.evaluation.text_encoder import TextEncoder
from rexplug.evaluation.tuning import NOT_TRAINABLE, FineTune, Outcome, fine_tune
from rexplug.recipe.evaluation import Similarity

MAIN = "ndcg_at_10"
_UNTUNED = "untuned."
_NOTE = (
    "Embeddings are not fine-tuned for similarity. An untrained encoder compares little more than the words in common, "
    "which can score above a masked language model."
)
_MAX_TOKENS = 512
"""Longer texts are cut here where neither an evaluator nor a fine-tune sets a limit."""
Vectors = NDArray[np.float32]
Embedded = tuple[Vectors, Vectors]
"""Embeddings of the documents and of the queries."""
Ranking = Mapping[str, Mapping[str, float]]
"""Query id -> document id -> score."""


class _Measure(NamedTuple):
    """A measure of trec_eval, on the first `depth` documents of each ranking, with `gains` by grade in place of the grades."""

    trec_name: str
    depth: int | None = None
    gains: Mapping[int, int] | None = None


_RETRIEVAL_MEASURES = {
    MAIN: _Measure("ndcg_cut_10", 10),
    "recall_at_10": _Measure("recall_10", 10),
    "recall_at_100": _Measure("recall_100", 100),
    "mrr_at_10": _Measure("recip_rank", 10),
}
_RERANKING_MEASURES = {MAIN: _Measure("ndcg_cut_10", 10), "map": _Measure("map")}


def revision(collection: RetrievalCollection) -> str:
    """Hash of the data; mteb reuses a stored result only under the same one."""
    parts: list[Any] = [collection.corpus, collection.queries, collection.relevance, collection.candidates]
    text = json.dumps(parts, sort_keys=True, default=dict)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def evaluate_retrieval(
    collection: RetrievalCollection,
    model: TextEncoder | LexicalModel,
    folder: Path,
    seed: int,
    tuning: FineTuning | None = None,
    max_tokens: int | None = None,
) -> EvaluationResult:
    """Rank and score; mteb's own result files and predictions go to `folder`.

    Args:
        collection: corpus, queries and relevance.
        model: the model under evaluation; a lexical baseline is not fine-tuned.
        folder: where mteb's files go.
        seed: of the fine-tunes and the bootstrap.
        tuning: the budget of the fine-tune on `collection.training`; None for no fine-tune.
        max_tokens: where texts are cut, as far as the model's positions reach, even beyond the length that it states; None for
            the limit of `tuning`, or 512, at most the model's own.

    Raises:
        DataError: mteb could not run the task or a metric is not finite.
    """
    notes = ["The catalogue and the queries are synthetic."] if collection.synthetic else []
    is_tuned = tuning is not None and bool(collection.training)
    data_hash = revision(collection)
    if isinstance(model, LexicalModel):
        ranking = _rank(collection, data_hash, as_search(model), model.revision, folder)
        # Nothing is fine-tuned, so that both metrics are the same; either can be compared with an encoder's.
        return _result(collection, {prefix: [ranking] for prefix in ("", _UNTUNED)[: 1 + is_tuned]}, seed, notes)
    if isinstance(model, LateInteractionEncoder):
        search = model.as_search("rexplug/late-interaction")
        num_texts = len(collection.corpus) + len(collection.queries)
        with model.activity.reading(num_texts) as read:
            ranking = _rank(collection, data_hash, search, model.revision, folder)
            read(num_texts, 0)
        return _result(collection, {_UNTUNED if is_tuned else "": [ranking]}, seed, [NOT_TRAINABLE, *notes])
    model = model.reading(max_tokens)
    limit = max_tokens or (tuning.max_tokens if tuning else _MAX_TOKENS)
    documents, queries = (list(dict.fromkeys(texts.values())) for texts in (collection.corpus, collection.queries))

    def embed(encoder: TextEncoder) -> Embedded:
        return encoder.encode(documents, limit, role="document"), encoder.encode(queries, limit, role="query")

    def rank(embedded: Embedded, variant: str, similarity: Similarity = "cosine") -> Ranking:
        of_documents, of_queries = (
            dict(zip(texts, vectors, strict=True))
            for texts, vectors in zip((documents, queries), embedded, strict=True)
        )

        def encode(texts: Sequence[str], *, role: Role | None, prompt: str | None) -> Vectors:
            vector_of = of_queries if role == "query" else of_documents
            return np.stack([vector_of[text] for text in texts])

        named = as_model(
            encode,
            name="rexplug/encoder",
            revision=f"{model.revision}-{variant}",
            num_dimensions=embedded[0].shape[1],
            max_tokens=model.max_tokens if limit is None else min(limit, model.max_tokens),
            similarity=similarity,
        )
        return _rank(collection, data_hash, named, f"{model.revision}-{variant}", folder)

    raw = embed(model)
    rankings: dict[str, list[Ranking]] = {"raw.": [rank(raw, "raw", model.usage.similarity)]}
    table: list[dict[str, Any]] = []
    if tuning is None or not collection.training:
        rankings[""] = rankings.pop("raw.")
        notes = [_NOTE if model.trainable else NOT_TRAINABLE, *notes]
    else:
        tuner = _Tuner(collection, model, tuning)
        before = rankings["raw."][0]
        if (start := tuner.start.transform) is not None:
            before = rank((transformed(raw[0], start), transformed(raw[1], start)), f"untuned-{tuner.key()}")
        rankings = {_UNTUNED: [before], **rankings}
        if model.trainable:
            key = f"tuned-{tuner.key([limit, seed, model.usage.dimensions, documents, queries])}"

            def tune() -> Outcome[Embedded | None]:
                return tuner.run(lambda tune: embed(tune.model), seed)

            # Search and reranking of the same texts share their fine-tunes.
            choice = tune() if model.kept is None else model.kept.get(key, tune, _arrays)
            tuned = [
                before if embedded is None else rank(embedded, f"{key}-{number}")
                for number, embedded in enumerate(choice.results)
            ]
            rankings = {"": tuned, **rankings}
            table = choice.table
            described = (
                f"Fine-tuned before ranking: {tuning.steps} steps of {tuning.batch} pairs with in-batch negatives, "
                f"{len(tuner.training):,} pairs; untuned, raw, centred and whitened are the encoder before that."
            )
            notes = [described, tuner.start.note, *choice.notes, *notes]
        else:
            notes = [NOT_TRAINABLE, tuner.start.note, *notes]
    for name, transform in (("centred", _centered), ("whitened", _whitened)):
        rankings[f"{name}."] = [rank((transform(raw[0], raw[0]), transform(raw[1], raw[0])), name)]
    return _result(collection, rankings, seed, notes, table)


def _result(
    collection: RetrievalCollection,
    rankings: Mapping[str, Sequence[Ranking]],
    seed: int,
    notes: Sequence[str],
    table: Sequence[Mapping[str, Any]] = (),
) -> EvaluationResult:
    """Metrics of the rankings by prefix of their names: all measures without a prefix, the main one with."""
    measures = _measures(collection)
    scores = {}
    for prefix, runs in rankings.items():
        for name, measure in measures.items():
            if not prefix or name == MAIN or measure.gains:
                values = [query_scores(collection, run, *measure) for run in runs]
                scores[prefix + name] = Scores(list(collection.queries), values)
    metrics = {name: bootstrap_metric(score, seed) for name, score in scores.items()}
    main = MAIN if MAIN in metrics else _UNTUNED + MAIN  # of a model that cannot be fine-tuned
    return EvaluationResult(
        metrics, main=main, headlines=[_UNTUNED + MAIN] if "" in rankings and _UNTUNED in rankings else [], notes=notes,
        scores=scores, tables={"fine-tuning, on dev": table} if table else {},
        items=ranking_items(collection, next(iter(rankings.values()))[0], scores[main]),
    )  # fmt: skip


def _measures(collection: RetrievalCollection) -> dict[str, _Measure]:
    """Metric -> its measure; those with the collection's own gains are named after these."""
    if collection.candidates is None:
        return _RETRIEVAL_MEASURES | {
            f"{MAIN}_{name}": _Measure("ndcg_cut_10", 10, gains) for name, gains in collection.gains.items()
        }
    return _RERANKING_MEASURES | {
        f"ndcg_{name}": _Measure("ndcg", gains=gains) for name, gains in collection.gains.items()
    }


def query_scores(
    collection: RetrievalCollection,
    ranking: Ranking,
    trec_name: str,
    depth: int | None = None,
    gains: Mapping[int, int] | None = None,
) -> list[float]:
    """A measure of trec_eval (by pytrec_eval, which mteb uses too) for each query, in their order, `[queries]`.

    Args:
        collection: queries and relevance; a negative grade counts as 0.
        ranking: documents of equal score keep the order that they have here.
        trec_name: as pytrec_eval names it, e.g. `ndcg_cut_10`.
        depth: documents of each query that are looked at; all if None.
        gains: grade -> gain, in place of the grades.
    """
    import pytrec_eval

    relevance = {
        query: {
            document: int(grade) if gains is None else gains.get(int(grade), 0) for document, grade in grades.items()
        }
        for query, grades in collection.relevance.items()
    }
    # Ranks in place of scores: trec_eval would order documents of equal score by their ids.
    run = {
        query: {
            document: float(-rank)
            for rank, document in enumerate(sorted(scores, key=scores.__getitem__, reverse=True)[:depth])
        }
        for query, scores in ranking.items()
        if scores
    }
    measured = pytrec_eval.RelevanceEvaluator(relevance, {trec_name}).evaluate(run)
    return [round(measured.get(query, {}).get(trec_name, 0.0), 6) for query in collection.queries]


def _rank(collection: RetrievalCollection, data_hash: str, model: Any, key: str, folder: Path) -> Ranking:
    """Scores of the documents of each query, by mteb."""
    # mteb keeps results apart by model and data but names predictions by task alone.
    predictions = folder / "predictions" / f"{key}-{data_hash}"
    run_task(_as_mteb(collection, data_hash), model, folder, predictions)
    for path in predictions.rglob("*.json"):
        ranking: Ranking | None = json.loads(path.read_text(encoding="utf-8")).get("default", {}).get("test")
        if ranking:
            return ranking
    raise DataError(f"mteb left no predictions of '{collection.name}' below {predictions}")


def _as_mteb(collection: RetrievalCollection, data_hash: str) -> Any:
    """A collection as an object of mteb's class for retrieval tasks."""
    with silenced_mteb():
        from datasets import Dataset
        from mteb.abstasks.retrieval import AbsTaskRetrieval

    relevant = {query: dict(grades) for query, grades in collection.relevance.items()}
    kind = "Retrieval" if collection.candidates is None else "Reranking"
    top_ranked = None if collection.candidates is None else {q: list(c) for q, c in collection.candidates.items()}

    class LocalRetrieval(AbsTaskRetrieval):
        metadata = task_metadata(kind, task_name(collection.name), f"Local task {collection.name}.", MAIN, data_hash)

        def load_data(self, *args: Any, **kwargs: Any) -> None:
            if getattr(self, "data_loaded", False):
                return
            corpus = [{"id": key, "title": "", "text": text} for key, text in collection.corpus.items()]
            queries = [{"id": key, "text": text} for key, text in collection.queries.items()]
            self.dataset = {
                "default": {
                    "test": {
                        "corpus": Dataset.from_list(corpus),
                        "queries": Dataset.from_list(queries),
                        "relevant_docs": relevant,
                        "top_ranked": top_ranked,
                    }
                }
            }
            self.data_loaded = True

    return LocalRetrieval()


class _Tuner:
    """Fine-tunes a model on the training pairs of a collection.

    Attributes:
        training: the pairs that are trained on.
        start: the embeddings that fine-tunes start from.
    """

    def __init__(self, collection: RetrievalCollection, model: TextEncoder, budget: FineTuning) -> None:
        self._model, self._budget = model, budget
        self.training, dev = train_and_dev(collection, budget)
        self._queries, self._documents = (self._rows([pair[side] for pair in self.training], side) for side in (0, 1))
        self._has_dev = dev is not None
        # Before any training the training pairs are as good as others.
        self._dev = dev or ranking_of(graded_pairs(self.training), (), budget.dev_examples)
        self._dev_rows = self._rows(self._dev.queries, 0), self._rows(self._dev.documents, 1)
        sample = model.embed_rows([*spread_sample(self._queries), *spread_sample(self._documents)])
        before = self._embed_dev(model)

        def rate(transform: Transform | None) -> float:
            similarity = model.usage.similarity if transform is None else "cosine"
            queries, documents = (transformed(side, transform) for side in before)
            return self._dev.score(queries, documents, similarity)

        self.start = choose_start(budget.start, sample, rate, "on dev" if dev else "on the training pairs")

    def run(self, use: Callable[[FineTune[TextEncoder]], Embedded], seed: int) -> Outcome[Embedded | None]:
        """Fine-tune with every seed; the result of a seed is None where the model as it is was better on dev."""
        on_dev = self._on_dev if self._has_dev else None
        untuned: tuple[float, Embedded | None] = self.start.score, None
        return fine_tune(self._begin, use, on_dev, untuned, self._budget, seed)

    def key(self, state: Sequence[Any] = ()) -> str:
        """A hash of the fine-tune's data and options, and of anything else."""
        dev = [list(self._dev.queries), list(self._dev.documents), self._dev.grades.tolist()]
        return _hash([self._budget.model_dump(), self.start.name, list(state), self.training, dev])

    def _begin(self, learning_rate: float, seed: int) -> FineTune[TextEncoder]:
        return tune_ranking(
            self._model, self._queries, self._documents, self.training, self._budget, learning_rate=learning_rate,
            seed=seed, transform=self.start.transform,
        )  # fmt: skip

    def _on_dev(self, encoder: TextEncoder) -> float:
        return self._dev.score(*self._embed_dev(encoder))

    def _embed_dev(self, encoder: TextEncoder) -> Embedded:
        queries, documents = self._dev_rows
        return encoder.embed_rows(queries), encoder.embed_rows(documents)

    def _rows(self, texts: Sequence[str], side: int) -> Rows:
        roles: tuple[Role, Role] = ("query", "document")
        return self._model.tokenize(texts, self._budget.max_tokens, role=roles[side])


def _arrays(outcome: Outcome[Embedded | None]) -> list[Vectors]:
    return [side for embedded in outcome.results if embedded is not None for side in embedded]


def _centered(vectors: Vectors, corpus: Vectors) -> Vectors:
    return np.asarray(vectors - corpus.mean(0), np.float32)


def _whitened(vectors: Vectors, corpus: Vectors) -> Vectors:
    """Subtract the mean of the corpus and give all its directions equal weight (BERT-whitening, arXiv 2103.15316)."""
    center = corpus.mean(0)
    _, singular_values, directions = np.linalg.svd(corpus - center, full_matrices=False)
    kept = singular_values > singular_values[0] * 1e-4
    return np.asarray((vectors - center) @ (directions[kept].T / singular_values[kept]), np.float32)


def _hash(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:12]
