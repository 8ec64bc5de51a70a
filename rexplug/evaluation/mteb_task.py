"""Retrieval collections as mteb tasks, run by mteb itself, without network."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from rexplug.components import EvaluationResult, Metric, RetrievalCollection
from rexplug.errors import DataError
from rexplug.evaluation.encoder import HuggingFaceEncoder
from rexplug.evaluation.statistics import mean

_MAIN = "ndcg_at_10"
# Seen on the sample recipe: after little training all texts look alike (cosines near 1), before it they do not.
_NOTE = (
    "Mean-pooled embeddings, not fine-tuned for similarity. An untrained encoder compares little more than the words in "
    "common, which can score above a masked language model after a short training."
)
_SHOWN = ("ndcg_at_10", "recall_at_10", "recall_at_100", "mrr_at_10")


def revision(collection: RetrievalCollection) -> str:
    """Hash of the data; mteb reuses a stored result only under the same one."""
    text = json.dumps([collection.corpus, collection.queries, collection.relevance], sort_keys=True, default=dict)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def evaluate_retrieval(
    collection: RetrievalCollection, encoder: HuggingFaceEncoder, folder: Path, seed: int
) -> EvaluationResult:
    """Run a retrieval task; mteb's own result files and predictions go to `folder`.

    Raises:
        DataError: mteb could not run the task or a metric is not finite.
    """
    for switch in ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE"):
        os.environ.setdefault(switch, "1")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import datasets
        import mteb
        from mteb.cache import ResultCache

        datasets.disable_progress_bars()
        logging.getLogger("mteb").setLevel(logging.ERROR)
        task, model = _task(collection), _model(encoder)
        # mteb keeps results apart by model and data but names predictions by task alone.
        predictions = folder / "predictions" / f"{encoder.revision}-{revision(collection)}"
        result = mteb.evaluate(
            model, [task], cache=ResultCache(cache_path=folder), co2_tracker=False, show_progress_bar=False,
            prediction_folder=predictions, raise_error=False,
            # mteb's own switch does not reach its bars inside a task once encode_kwargs are given.
            encode_kwargs={"batch_size": 64, "show_progress_bar": False},
        )  # fmt: skip
    if result.exceptions:
        raise DataError(f"mteb could not run '{collection.name}': {result.exceptions[0]}")
    scores = result.task_results[0].scores["test"][0]
    metrics = {
        name: Metric(float(scores[name]), num_items=len(collection.queries)) for name in _SHOWN if name in scores
    }
    if not all(np.isfinite(metric.value) for metric in metrics.values()):
        raise DataError(f"'{collection.name}': a metric is not finite: {metrics}")
    per_query = _per_query(predictions, collection)
    if per_query is not None:
        interval = mean(per_query, seed)
        metrics[_MAIN] = Metric(metrics[_MAIN].value, interval.low, interval.high, len(per_query))
    notes = [_NOTE, *(["The catalogue and the queries are synthetic."] if collection.synthetic else [])]
    return EvaluationResult(metrics, main=_MAIN, notes=notes)


def _task(collection: RetrievalCollection) -> Any:
    import mteb
    from datasets import Dataset
    from mteb.abstasks.retrieval import AbsTaskRetrieval

    relevant = {query: dict(grades) for query, grades in collection.relevance.items()}
    name = "".join(part.capitalize() for part in collection.name.replace(".", "_").split("_"))

    class LocalRetrieval(AbsTaskRetrieval):
        metadata = mteb.TaskMetadata(
            name=name, description=f"Local retrieval task {collection.name}.", type="Retrieval", category="t2t",
            eval_splits=["test"], eval_langs=["eng-Latn"], main_score=_MAIN,
            dataset={"path": f"local/{collection.name}", "revision": revision(collection)},
        )  # fmt: skip

        def load_data(self, *args: Any, **kwargs: Any) -> None:
            if getattr(self, "data_loaded", False):
                return
            corpus = [{"id": key, "title": "", "text": text} for key, text in collection.corpus.items()]
            queries = [{"id": key, "text": text} for key, text in collection.queries.items()]
            self.dataset = {
                "default": {
                    "test": {
                        "corpus": Dataset.from_list(corpus), "queries": Dataset.from_list(queries),
                        "relevant_docs": relevant, "top_ranked": None,
                    }
                }
            }  # fmt: skip
            self.data_loaded = True

    return LocalRetrieval()


def _model(encoder: HuggingFaceEncoder) -> Any:
    from mteb.models import ModelMeta
    from mteb.models.abs_encoder import AbsEncoder
    from mteb.models.model_meta import ScoringFunction

    class Encoder(AbsEncoder):
        def __init__(self) -> None:
            # Name and revision decide which stored result is reused: the hash of the weights keeps models apart.
            self.mteb_model_meta = ModelMeta.create_empty(
                {
                    "name": "rexplug/encoder", "revision": encoder.revision, "embed_dim": encoder.num_dimensions,
                    "max_tokens": encoder.max_tokens, "similarity_fn_name": ScoringFunction.COSINE,
                    "framework": ["PyTorch"],
                }
            )  # fmt: skip

        def encode(self, inputs: Any, **kwargs: Any) -> Any:
            return encoder.encode([text for batch in inputs for text in batch["text"]])

    return Encoder()


def _per_query(folder: Path, collection: RetrievalCollection) -> Any:
    """nDCG@10 of each query from mteb's predictions; None if they are not where they are looked for."""
    found = None
    for path in folder.rglob("*.json"):
        content = json.loads(path.read_text(encoding="utf-8"))
        found = content.get("default", {}).get("test") or found
    if not found:
        return None
    values = []
    for query in collection.queries:
        grades = collection.relevance[query]
        ranked = sorted(found.get(query, {}).items(), key=lambda item: -item[1])[:10]
        gain = sum(grades.get(key, 0) / np.log2(rank + 2) for rank, (key, _) in enumerate(ranked))
        best = sum(g / np.log2(rank + 2) for rank, g in enumerate(sorted(grades.values(), reverse=True)[:10]))
        values.append(gain / best if best else 0.0)
    return np.array(values)
