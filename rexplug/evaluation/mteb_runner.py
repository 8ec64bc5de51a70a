"""Runs mteb tasks on our models, without network and without output on the terminal.

mteb takes a stored result instead of computing one where name and revision of model and task are the same: the revision
of a model is the hash of its weights, that of a task the hash of its data.
"""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rexplug.errors import DataError
from rexplug.evaluation.lexical import LexicalModel

Encode = Callable[[Sequence[str]], NDArray[np.float32]]
"""Texts -> embeddings, `[texts, dimensions]`."""


@contextmanager
def silenced_mteb() -> Iterator[None]:
    """Keep warnings, log lines and progress bars of mteb and datasets off the terminal, and both off the network.

    Sets HF_HUB_OFFLINE and HF_DATASETS_OFFLINE for the process unless the user has set them.
    """
    for switch in ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE"):
        os.environ.setdefault(switch, "1")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import datasets

        datasets.disable_progress_bars()
        logging.getLogger("mteb").setLevel(logging.CRITICAL)  # its errors are raised as ours
        yield


def run_task(task: Any, model: Any, folder: Path, predictions: Path | None = None) -> dict[str, Any]:
    """Run one task; mteb's own result files go to `folder`. Returns the scores of its (first) evaluation split.

    Raises:
        DataError: mteb could not run the task or its main score is not finite.
    """
    with silenced_mteb():
        import mteb
        from mteb.cache import ResultCache

        result = mteb.evaluate(
            model,
            [task],
            cache=ResultCache(cache_path=folder),
            co2_tracker=False,
            show_progress_bar=False,
            prediction_folder=predictions,
            raise_error=False,
            # mteb's own switch does not reach its bars inside a task once encode_kwargs are given.
            encode_kwargs={"batch_size": 64, "show_progress_bar": False},
        )
    name = task.metadata.name
    if result.exceptions:
        raise DataError(f"mteb could not run '{name}': {result.exceptions[0].exception}")
    scores: dict[str, Any] = next(iter(result.task_results[0].scores.values()))[0]
    if not np.isfinite(scores["main_score"]):
        raise DataError(f"'{name}': mteb's main score is {scores['main_score']}; the embeddings may all be alike")
    return scores


def as_model(encode: Encode, *, name: str, revision: str, num_dimensions: int, max_tokens: int) -> Any:
    """An mteb model around a function from texts to embeddings."""
    from mteb.models.abs_encoder import AbsEncoder

    class Encoder(AbsEncoder):
        def __init__(self) -> None:
            self.mteb_model_meta = _model_meta(name, revision, num_dimensions, max_tokens)

        def encode(self, inputs: Any, **kwargs: Any) -> Any:
            return encode([text for batch in inputs for text in batch["text"]])

    return Encoder()


def as_search(model: LexicalModel) -> Any:
    """An mteb search model around BM25 or TF-IDF."""

    class Search:
        mteb_model_meta = _model_meta(f"rexplug/{model.kind}", model.revision, None, None)

        def index(self, corpus: Any, **kwargs: Any) -> None:
            self._corpus = {row["id"]: f"{row.get('title') or ''} {row['text']}".strip() for row in corpus}

        def search(self, queries: Any, *, top_k: int, top_ranked: Any = None, **kwargs: Any) -> Any:
            texts = {row["id"]: row["text"] for row in queries}
            if top_ranked is None:
                return model.rank(self._corpus, texts, top_k)
            # Candidates alone are ranked, but document frequencies are those of the whole corpus.
            ranking = model.rank(self._corpus, texts, len(self._corpus))
            return {query: {key: ranking[query][key] for key in top_ranked[query]} for query in texts}

    return Search()


def _model_meta(name: str, revision: str, num_dimensions: int | None, max_tokens: int | None) -> Any:
    from mteb.models import ModelMeta
    from mteb.models.model_meta import ScoringFunction

    return ModelMeta.create_empty(
        {
            "name": name,
            "revision": revision,
            "embed_dim": num_dimensions,
            "max_tokens": max_tokens,
            "similarity_fn_name": ScoringFunction.COSINE,
            "framework": ["PyTorch"],
        }
    )


def task_name(name: str) -> str:
    """A name as mteb writes its tasks' names: `shop.product_search` becomes `ShopProductSearch`."""
    return "".join(part[:1].upper() + part[1:] for part in name.replace(".", "_").split("_"))


def task_metadata(kind: str, name: str, description: str, main: str, revision: str, language: str = "eng-Latn") -> Any:
    """mteb's metadata of a local task."""
    import mteb

    return mteb.TaskMetadata(
        name=name,
        description=description,
        type=kind,
        category="t2c" if kind == "Classification" else "t2t",
        eval_splits=["test"],
        eval_langs=[language],
        main_score=main,
        dataset={"path": f"local/{name}", "revision": revision},
    )
