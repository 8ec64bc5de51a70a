"""Retrieval and reranking: ranked by mteb, scored per query so that models can be compared on the same queries.

A masked language model's mean-pooled embeddings lie in a narrow cone (cosines near 1) and rank badly, often below those of
random weights, which compare little more than words in common. So the headline is what a short contrastive fine-tune with a
fixed budget gets out of the model; the untuned figures stand beside it: raw, centred (the corpus mean is taken off) and
whitened.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rexplug.components import EvaluationResult, FineTuning, RetrievalCollection, Scores
from rexplug.errors import DataError
from rexplug.evaluation.encoder import HuggingFaceEncoder
from rexplug.evaluation.lexical import LexicalModel
from rexplug.evaluation.mteb_runner import as_model, as_search, metadata, quiet, run_task
from rexplug.evaluation.statistics import metric

MAIN = "ndcg_at_10"
_NOTE = (
    "Embeddings are not fine-tuned for similarity. An untrained encoder compares little more than the words in common, "
    "which can score above a masked language model."
)
_DEV_PAIRS = 200
Vectors = NDArray[np.float32]
Ranking = Mapping[str, Mapping[str, float]]


def revision(collection: RetrievalCollection) -> str:
    """Hash of the data; mteb reuses a stored result only under the same one."""
    parts: list[Any] = [collection.corpus, collection.queries, collection.relevance, collection.candidates]
    text = json.dumps(parts, sort_keys=True, default=dict)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def evaluate_retrieval(
    collection: RetrievalCollection,
    model: HuggingFaceEncoder | LexicalModel,
    folder: Path,
    seed: int,
    tuning: FineTuning | None = None,
) -> EvaluationResult:
    """Rank and score; mteb's own result files and predictions go to `folder`.

    Raises:
        DataError: mteb could not run the task or a metric is not finite.
    """
    notes = ["The catalogue and the queries are synthetic."] if collection.synthetic else []
    if isinstance(model, LexicalModel):
        ranking = _rank(collection, as_search(model), model.revision, folder)
        return _result(collection, {"": [ranking]}, seed, notes)
    limit = tuning.max_tokens if tuning else 512
    texts = list(dict.fromkeys([*collection.corpus.values(), *collection.queries.values()]))
    corpus = len(dict.fromkeys(collection.corpus.values()))

    def rank(vectors: Vectors, variant: str) -> Ranking:
        table = dict(zip(texts, vectors, strict=True))
        named = as_model(
            lambda asked: np.stack([table[text] for text in asked]), name="rexplug/encoder",
            revision=f"{model.revision}-{variant}", num_dimensions=vectors.shape[1],
            max_tokens=min(limit, model.max_tokens),
        )  # fmt: skip
        return _rank(collection, named, f"{model.revision}-{variant}", folder)

    raw = model.encode(texts, limit)
    rankings: dict[str, list[Ranking]] = {}
    if tuning is not None and collection.training:
        rankings[""] = []
        rate = _choose_rate(collection, model, tuning, seed)
        for number in range(tuning.seeds):
            tuned = _tuned(collection.training, model, tuning, rate, seed + number)
            key = f"tuned-{_hash([tuning.model_dump(), rate, seed + number, collection.training])}"
            rankings[""].append(rank(tuned.encode(texts, limit), key))
        notes = [
            f"Fine-tuned before ranking: {tuning.steps} steps of {tuning.batch} pairs with in-batch negatives, learning rate "
            f"{rate:g}, {len(collection.training):,} pairs; raw, centred and whitened are the encoder as it is.",
            *notes,
        ]
        rankings["raw."] = [rank(raw, "raw")]
    else:
        rankings[""] = [rank(raw, "raw")]
        notes = [_NOTE, *notes]
    for name, transform in (("centred", _centred), ("whitened", _whitened)):
        rankings[f"{name}."] = [rank(transform(raw, raw[:corpus]), name)]
    return _result(collection, rankings, seed, notes)


def _result(
    collection: RetrievalCollection, rankings: Mapping[str, Sequence[Ranking]], seed: int, notes: Sequence[str]
) -> EvaluationResult:
    measures: dict[str, Callable[[Sequence[str], Mapping[str, int]], float]] = {
        "ndcg_at_10": lambda ranked, grades: _ndcg(ranked[:10], grades),
        "recall_at_10": lambda ranked, grades: _recall(ranked[:10], grades),
        "recall_at_100": lambda ranked, grades: _recall(ranked[:100], grades),
        "mrr_at_10": lambda ranked, grades: _reciprocal_rank(ranked[:10], grades),
    }
    if collection.candidates is not None:
        measures = {"ndcg_at_10": measures["ndcg_at_10"], "map": _average_precision}
    scores = {}
    for prefix, runs in rankings.items():
        ordered = [
            {
                query: [key for key, _ in sorted(found.items(), key=lambda item: -item[1])]
                for query, found in run.items()
            }
            for run in runs
        ]
        for name, measure in measures.items():
            if prefix and name != MAIN:
                continue
            values = [
                [round(measure(run.get(query, []), collection.relevance[query]), 6) for query in collection.queries]
                for run in ordered
            ]
            scores[prefix + name] = Scores(list(collection.queries), values)
    metrics = {name: metric(each, seed) for name, each in scores.items()}
    return EvaluationResult(metrics, main=MAIN, notes=notes, scores=scores)


def _rank(collection: RetrievalCollection, model: Any, key: str, folder: Path) -> Ranking:
    """Scores of the documents of each query, by mteb."""
    # mteb keeps results apart by model and data but names predictions by task alone.
    predictions = folder / "predictions" / f"{key}-{revision(collection)}"
    run_task(_task(collection), model, folder, predictions)
    for path in predictions.rglob("*.json"):
        found: Ranking | None = json.loads(path.read_text(encoding="utf-8")).get("default", {}).get("test")
        if found:
            return found
    raise DataError(f"mteb left no predictions of '{collection.name}' below {predictions}")


def _task(collection: RetrievalCollection) -> Any:
    with quiet():
        from datasets import Dataset
        from mteb.abstasks.retrieval import AbsTaskRetrieval

    relevant = {query: dict(grades) for query, grades in collection.relevance.items()}
    name = "".join(part[:1].upper() + part[1:] for part in collection.name.replace(".", "_").split("_"))
    reranking = collection.candidates is not None
    kind = "Reranking" if reranking else "Retrieval"
    top_ranked = None if collection.candidates is None else {q: list(c) for q, c in collection.candidates.items()}

    class LocalRetrieval(AbsTaskRetrieval):
        metadata = metadata(kind, name, f"Local task {collection.name}.", MAIN, revision(collection))

        def load_data(self, *args: Any, **kwargs: Any) -> None:
            if getattr(self, "data_loaded", False):
                return
            corpus = [{"id": key, "title": "", "text": text} for key, text in collection.corpus.items()]
            queries = [{"id": key, "text": text} for key, text in collection.queries.items()]
            self.dataset = {
                "default": {
                    "test": {
                        "corpus": Dataset.from_list(corpus), "queries": Dataset.from_list(queries),
                        "relevant_docs": relevant, "top_ranked": top_ranked,
                    }
                }
            }  # fmt: skip
            self.data_loaded = True

    return LocalRetrieval()


def _tuned(
    pairs: Sequence[tuple[str, str]], model: HuggingFaceEncoder, budget: FineTuning, rate: float, seed: int
) -> HuggingFaceEncoder:
    from rexplug.evaluation.finetune import tune_ranking

    queries, documents = (model.tokenize([pair[side] for pair in pairs], budget.max_tokens) for side in (0, 1))
    return tune_ranking(model, queries, documents, [pair[0] for pair in pairs], budget, rate=rate, seed=seed)


def _choose_rate(collection: RetrievalCollection, model: HuggingFaceEncoder, budget: FineTuning, seed: int) -> float:
    """The learning rate whose tuned model best finds the documents of training queries that it was not shown."""
    if len(budget.learning_rates) == 1:
        return budget.learning_rates[0]
    queries = sorted({pair[0] for pair in collection.training}, key=lambda text: _hash([text]))
    held = set(queries[: max(1, min(_DEV_PAIRS, len(queries) // 5))])
    learnt = [pair for pair in collection.training if pair[0] not in held]
    asked = list({pair[0]: pair for pair in collection.training if pair[0] in held}.values())
    if len(learnt) < 2 or len(asked) < 2:
        return budget.learning_rates[0]

    def found(rate: float) -> float:
        tuned = _tuned(learnt, model, budget, rate, seed)
        sides = [tuned.encode([pair[side] for pair in asked], budget.max_tokens) for side in (0, 1)]
        one, two = (side / np.linalg.norm(side, axis=1, keepdims=True) for side in sides)
        similar = one @ two.T
        ranks = (similar >= np.diag(similar)[:, None]).sum(1)
        return float((1 / ranks).mean())

    return max(budget.learning_rates, key=found)


def _centred(vectors: Vectors, corpus: Vectors) -> Vectors:
    return np.asarray(vectors - corpus.mean(0), np.float32)


def _whitened(vectors: Vectors, corpus: Vectors) -> Vectors:
    """Take the corpus' mean off and give all its directions equal weight (BERT-whitening, arXiv 2103.15316)."""
    centre = corpus.mean(0)
    _, sizes, directions = np.linalg.svd(corpus - centre, full_matrices=False)
    kept = sizes > sizes[0] * 1e-4
    return np.asarray((vectors - centre) @ (directions[kept].T / sizes[kept]), np.float32)


def _ndcg(ranked: Sequence[str], grades: Mapping[str, int]) -> float:
    gain = sum(grades.get(key, 0) / np.log2(place + 2) for place, key in enumerate(ranked))
    best = sum(grade / np.log2(place + 2) for place, grade in enumerate(sorted(grades.values(), reverse=True)[:10]))
    return float(gain / best) if best else 0.0


def _recall(ranked: Sequence[str], grades: Mapping[str, int]) -> float:
    relevant = {key for key, grade in grades.items() if grade > 0}
    return len(relevant & set(ranked)) / len(relevant) if relevant else 0.0


def _reciprocal_rank(ranked: Sequence[str], grades: Mapping[str, int]) -> float:
    return next((1 / (place + 1) for place, key in enumerate(ranked) if grades.get(key, 0) > 0), 0.0)


def _average_precision(ranked: Sequence[str], grades: Mapping[str, int]) -> float:
    hits, total = 0, 0.0
    for place, key in enumerate(ranked):
        if grades.get(key, 0) > 0:
            hits += 1
            total += hits / (place + 1)
    relevant = sum(grade > 0 for grade in grades.values())
    return total / relevant if relevant else 0.0


def _hash(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:12]
