"""Runs mteb tasks on our models, without network and without output on the terminal.

mteb takes a stored result instead of computing one where name and revision of model and task are the same. The revision of a
model does not tell everything that decides its embeddings, so results and predictions are stored in a folder that the harness
keeps apart by the key of our result (`rexplug.evaluation.identity`).
"""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from rexplug.errors import DataError, one_line
from rexplug.evaluation.cosine import paired_similarities
from rexplug.evaluation.lexical import LexicalModel
from rexplug.evaluation.model_usage import Role
from rexplug.recipe.evaluation import Similarity


class Encode(Protocol):
    """A function that embeds texts."""

    def __call__(self, texts: Sequence[str], *, role: Role | None, prompt: str | None) -> NDArray[np.float32]:
        """Embeddings `[texts, dimensions]`.

        Args:
            texts: the texts.
            role: their role in a retrieval task (query or document); None in other tasks.
            prompt: put before each of them; None for the model's own prompt for this role.
        """
        ...


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


def run_task(task: Any, model: Any, folder: Path, predictions: Path | None = None, *, fresh: bool = False) -> Any:
    """Run one task; mteb's own result files go to `folder`.

    Args:
        task: an object of one of mteb's classes.
        model: an mteb model.
        folder: for results; one that is there already is used.
        predictions: a folder for predictions; None for none.
        fresh: run the task also if its result is there.

    Returns:
        mteb's `TaskResult`.

    Raises:
        DataError: mteb could not run the task or a main score is not finite.
    """
    with silenced_mteb():
        import mteb
        from mteb.cache import ResultCache

        result = mteb.evaluate(
            model,
            [task],
            cache=ResultCache(cache_path=folder),
            overwrite_strategy="always" if fresh else "only-missing",
            co2_tracker=False,
            show_progress_bar=False,
            prediction_folder=predictions,
            raise_error=False,
            # mteb's own switch does not reach its bars inside a task once encode_kwargs are given.
            encode_kwargs={"batch_size": 64, "show_progress_bar": False},
        )
    name = task.metadata.name
    if result.exceptions:
        raise DataError(f"mteb could not run '{name}': {one_line(result.exceptions[0].exception)}")
    found = result.task_results[0]
    for of_split in found.scores.values():
        for scores in of_split:
            if not np.isfinite(scores["main_score"]):
                raise DataError(
                    f"'{name}': mteb's main score is {scores['main_score']}; the embeddings may all be alike"
                )
    return found


def as_model(
    encode: Encode,
    *,
    name: str,
    revision: str,
    num_dimensions: int,
    max_tokens: int,
    similarity: Similarity = "cosine",
    prompts: Mapping[str, str] | None = None,
) -> Any:
    """An mteb model around a function from texts to embeddings.

    Args:
        encode: the function.
        name: of the model.
        revision: of the model.
        num_dimensions: of an embedding.
        max_tokens: of a text.
        similarity: how embeddings are compared.
        prompts: prompts by name; mteb takes the one of its task, kind of task, or role of the text, in this order.
    """
    import torch
    from mteb.models.abs_encoder import AbsEncoder

    class Encoder(AbsEncoder):
        def __init__(self) -> None:
            self.model_prompts: dict[str, str] = dict(prompts or {})
            self.mteb_model_meta = _model_meta(name, revision, num_dimensions, max_tokens, similarity)

        def prompt_for(self, task_metadata: Any, prompt_type: Any = None) -> str | None:
            named = self.get_prompt_name(task_metadata, prompt_type) if self.model_prompts else None
            return None if named is None else self.model_prompts[named]

        def encode(self, inputs: Any, *, task_metadata: Any, prompt_type: Any = None, **kwargs: Any) -> Any:
            return encode(
                [text for batch in inputs for text in batch["text"]],
                role=None if prompt_type is None else prompt_type.value,
                prompt=self.prompt_for(task_metadata, prompt_type),
            )

        def similarity(self, embeddings1: Any, embeddings2: Any) -> Any:
            if similarity in ("cosine", "dot"):
                return super().similarity(embeddings1, embeddings2)
            first, second = (torch.atleast_2d(torch.as_tensor(side)) for side in (embeddings1, embeddings2))
            return -torch.cdist(first, second, p=2 if similarity == "euclidean" else 1)

        def similarity_pairwise(self, embeddings1: Any, embeddings2: Any) -> Any:
            return torch.from_numpy(paired_similarities(np.asarray(embeddings1), np.asarray(embeddings2), similarity))

    return Encoder()


def as_search(model: LexicalModel) -> Any:
    """An mteb search model around BM25 or TF-IDF."""

    class Search:
        mteb_model_meta = _model_meta(f"rexplug/{model.kind}", model.revision, None, None, "cosine")

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


def _model_meta(
    name: str, revision: str, num_dimensions: int | None, max_tokens: int | None, similarity: Similarity
) -> Any:
    from mteb.models import ModelMeta
    from mteb.models.model_meta import ScoringFunction

    functions = {
        "cosine": ScoringFunction.COSINE, "dot": ScoringFunction.DOT_PRODUCT, "euclidean": ScoringFunction.EUCLIDEAN,
        "manhattan": ScoringFunction.MANHATTAN,
    }  # fmt: skip
    return ModelMeta.create_empty(
        {
            "name": name,
            "revision": revision,
            "embed_dim": num_dimensions,
            "max_tokens": max_tokens,
            "similarity_fn_name": functions[similarity],
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
