"""Runs evaluators on a model and writes their results; a stored result whose inputs are unchanged is not computed again."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from rexplug.components import (
    Budget,
    Document,
    EvaluationResult,
    Evaluator,
    ExampleTask,
    FineTuned,
    FineTuning,
    FineTuningTask,
    RetrievalCollection,
    SalienceScorer,
    TaggingTask,
)
from rexplug.errors import DataError, NotApplicable, RexplugError
from rexplug.evaluation.activity import Activity, EvaluatorProgress, device_of
from rexplug.evaluation.given_tasks import require_collection, require_examples, require_tagged, require_task
from rexplug.evaluation.identity import computed_by, model_identity, result_key
from rexplug.evaluation.lexical import LEXICAL_KINDS
from rexplug.evaluation.process_state import same_process_state
from rexplug.evaluation.result_files import result_path, valid_results, write_result
from rexplug.evaluation.statistics import resamples_of
from rexplug.io.atomic import remove
from rexplug.io.file_content import content_hashes, files_below
from rexplug.plugins.calls import evaluate_model, evaluator_at_budget, evaluator_label, option_files, score_document
from rexplug.plugins.fingerprint import PluginCode
from rexplug.progress import Progress

if TYPE_CHECKING:
    from rexplug.evaluation.models import Model, ModelSpec

R = TypeVar("R")


class EvaluationObserver(Protocol):
    """Receives what is measured on a model, and how long it took."""

    def before(self, model: Model, evaluators: Sequence[Evaluator], data: EvaluationData) -> Mapping[str, float]:
        """The model is loaded; `evaluators` run now, the results of the others are stored already.

        Returns:
            Label of the evaluator -> seconds that it is expected to take, as far as that is known.
        """
        ...

    def after(self, model: Model, evaluator: Evaluator, seconds: float) -> None:
        """An evaluator ran."""
        ...


class EvaluatorsFailed(DataError):
    """Some evaluators could not measure a model; `results` holds those of the others."""

    def __init__(self, message: str, results: Mapping[str, Mapping[str, Any]]) -> None:
        super().__init__(message)
        self.results = results


@dataclass(frozen=True)
class EvaluationData:
    """The data that evaluators measure on, the same for every model: held-out documents, and a scorer of salient words.

    `tokenizer` is the recipe's, whose tokens the scorer marks; not that of the model under evaluation.
    """

    held_out: Mapping[str, Sequence[Document]]
    seed: int
    scorer: SalienceScorer | None = None
    tokenizer: Path | None = None

    def fingerprint(self) -> str:
        """Hash of documents, seed and scorer, with the files that the scorer reads."""
        content: list[Any] = [self.seed]
        if self.scorer is not None:
            content += [
                self.scorer.dump(),
                PluginCode({}).of([self.scorer]),
                content_hashes(option_files([self.scorer])),
            ]
            content += content_hashes(files_below(self.tokenizer), self.tokenizer) if self.tokenizer else []
        digest = hashlib.sha256(json.dumps(content).encode())
        for name, documents in self.held_out.items():
            digest.update(name.encode())
            for document in documents:
                fields = [document.id, document.text, document.url, document.metadata]
                digest.update(hashlib.sha256(json.dumps(fields, default=str).encode()).digest())
        return digest.hexdigest()[:16]


@dataclass(frozen=True)
class Context:
    """A model and the data to measure it on; implements `rexplug.EvaluationContext`."""

    encoder: Model
    data: EvaluationData
    folder: Path

    @property
    def held_out(self) -> Mapping[str, Sequence[Document]]:
        """Per source, kept documents that no phase trains on."""
        return self.data.held_out

    @property
    def seed(self) -> int:
        """Seed of everything random in an evaluation."""
        return self.data.seed

    def salience(self, texts: Sequence[str]) -> list[NDArray[np.uint8]] | None:
        """Salience of each character, `[len(text)]` per text: the highest of the tokens that cover it; None without a scorer."""
        scorer, tokenizer = self.data.scorer, self.data.tokenizer
        if scorer is None or tokenizer is None:
            return None
        from rexplug.tokens.tokenize import encode

        documents = [Document(str(number), text) for number, text in enumerate(texts)]
        salience: list[NDArray[np.uint8]] = []
        for document in encode(tokenizer, documents):
            marks = np.zeros(len(document.text), np.uint8)
            for (start, end), score in zip(document.offsets, score_document(scorer, document), strict=True):
                marks[start:end] = np.maximum(marks[start:end], score)
            salience.append(marks)
        return salience

    def retrieval(
        self, collection: RetrievalCollection, tuning: FineTuning | None = None, *, max_tokens: int | None = None
    ) -> EvaluationResult:
        """Rank on mteb and score; see `EvaluationContext.retrieval`."""
        from rexplug.evaluation.retrieval import evaluate_retrieval

        require_collection(collection)
        return evaluate_retrieval(collection, self.encoder, self.folder, self.seed, tuning, max_tokens)

    def similarity(self, task: ExampleTask, tuning: FineTuning) -> EvaluationResult:
        """Measure degrees of similarity; see `EvaluationContext.similarity`."""
        from rexplug.evaluation import finetune_tasks

        require_examples(task, degrees=True, pairs=True)
        return finetune_tasks.similarity(task, self.encoder, tuning, self.seed)

    def classification(self, task: ExampleTask, tuning: FineTuning) -> EvaluationResult:
        """Classify texts; see `EvaluationContext.classification`."""
        from rexplug.evaluation import finetune_tasks

        require_examples(task)
        return finetune_tasks.classification(task, self.encoder, tuning, self.seed)

    def pair_classification(self, task: ExampleTask, tuning: FineTuning, positive: str) -> EvaluationResult:
        """Classify pairs of texts; see `EvaluationContext.pair_classification`."""
        from rexplug.evaluation import finetune_tasks

        require_examples(task, pairs=True)
        return finetune_tasks.pair_classification(task, self.encoder, tuning, positive, self.seed)

    def tagging(self, task: TaggingTask, tuning: FineTuning) -> EvaluationResult:
        """Label spans; see `EvaluationContext.tagging`."""
        from rexplug.evaluation import finetune_tasks

        require_tagged(task)
        return finetune_tasks.tagging(task, self.encoder, tuning, self.seed)

    def fine_tune(self, task: FineTuningTask[R], tuning: FineTuning) -> FineTuned[R]:
        """Fine-tune with a loss and a head of the evaluator's own; see `EvaluationContext.fine_tune`."""
        from rexplug.evaluation.plugin_fine_tunes import fine_tune_task

        require_task(task, tuning)
        return fine_tune_task(task, self.encoder, tuning, self.seed)


def evaluate(
    evaluators: Sequence[Evaluator],
    spec: ModelSpec,
    data: EvaluationData,
    *,
    name: str,
    folder: Path,
    progress: Progress,
    tokenizer: Path | None = None,
    observer: EvaluationObserver | None = None,
    budget: Budget = "standard",
    processor: str = "",
    fresh: bool = False,
    load: Callable[[ModelSpec, Path | None], Model] | None = None,
) -> dict[str, dict[str, Any]]:
    """Run every evaluator on a model.

    Writes `folder/<evaluator>.json`, scores of single items to `folder/<evaluator>.scores`, and items for reading to
    `folder/<evaluator>.items`. A result that is stored there already is used if nothing that decides it has changed
    (`rexplug.evaluation.identity`). A result whose evaluator does not apply to the model holds `not_applicable`, the reason,
    instead of metrics.

    Args:
        evaluators: what is measured.
        spec: the model. One in a folder is not loaded if all results are stored.
        data: what it is measured on.
        name: of the model, or the moment in a run.
        folder: where results go.
        progress: receives what an evaluator is doing, and what it measured.
        tokenizer: the folder of the model's tokenizer, if it is not its own.
        observer: receives what is measured and how long it took.
        budget: how much the evaluators may take; `standard` is what their options say.
        processor: the name of this machine's, for the results of models that do not run on a GPU.
        fresh: compute every result, also one that is stored.
        load: loads the model in place of `ModelSpec.load`.

    Returns:
        Label of the evaluator -> the content of its file.

    Raises:
        EvaluatorsFailed: some evaluators could not measure, for a reason that the user can repair; the others did.
        RexplugError: the only evaluator could not.
        DataError: the model cannot be loaded.
    """
    folder.mkdir(parents=True, exist_ok=True)
    results: dict[str, dict[str, Any]] = {}
    if not evaluators:
        return results
    evaluators = [evaluator_at_budget(evaluator, budget) for evaluator in evaluators]
    labels = [evaluator_label(evaluator) for evaluator in evaluators]
    results_exist = not fresh and all(result_path(folder, label).exists() for label in labels)
    # The files of a hub model are known only once it is loaded. A model in a folder need not be loaded if all results are stored.
    load = load or (lambda spec, tokenizer: spec.load(tokenizer))
    model = None if results_exist and isinstance(spec.place, Path) else load(spec, tokenizer)
    identity, data_hash = model_identity(spec, tokenizer, _device_of(spec)), data.fingerprint()
    failed: dict[str, RexplugError] = {}
    keys = {
        label: result_key(identity, evaluator, data_hash, budget)
        for label, evaluator in zip(labels, evaluators, strict=True)
    }
    stored = {} if fresh else valid_results(folder, keys)
    missing = [evaluator for label, evaluator in zip(labels, evaluators, strict=True) if label not in stored]
    expected: Mapping[str, float] = {}
    if missing:
        model = model or load(spec, tokenizer)
        for note in getattr(model, "notes", ()):
            progress.note(f"{name}: {note}")
        if observer is not None:
            expected = observer.before(model, missing, data)
    shown = EvaluatorProgress(progress, name, labels, stored, expected)
    for label, evaluator in zip(labels, evaluators, strict=True):
        if label in stored:
            results[label] = stored[label]
        else:
            assert model is not None
            conditions = {
                "budget": budget,
                "device": device_of(model, processor),
                "trained_here": spec.trained_here,
            }
            try:
                with shown.during(label, model):
                    results[label] = _measure(evaluator, model, data, name, folder, keys[label], fresh, conditions)
            except RexplugError as error:
                failed[label] = error
                shown.after(label)
                continue
            if observer is not None:
                observer.after(model, evaluator, results[label]["seconds"])
        shown.after(label, _main_metrics(results[label]))
    if failed:
        if len(evaluators) == 1:
            raise failed[labels[0]]
        lines = [f"{label}: {str(error).removeprefix(f'{label}: ')}" for label, error in failed.items()]
        raise EvaluatorsFailed("; ".join(lines), results)
    return results


def run_evaluator(evaluator: Evaluator, context: Context, budget: Budget) -> EvaluationResult:
    """Run an evaluator, which is `at_budget(budget)` already, on the model of a context, and store nothing.

    Raises:
        NotApplicable: the model cannot do what is measured.
        PluginError: the evaluator raised, or its result breaks the contract.
    """
    exact = nullcontext() if context.encoder.precision is None else _exact_products()
    with exact, same_process_state(), resamples_of(budget):
        return evaluate_model(evaluator, context)


def _exact_products() -> AbstractContextManager[None]:
    # Imports torch, which a lexical baseline does not need.
    from rexplug.evaluation.exact_products import exact_products

    return exact_products()


def _device_of(spec: ModelSpec) -> str:
    """The kind of device that a model runs on; empty for baselines and embeddings, which are the same on all."""
    if spec.what in LEXICAL_KINDS or spec.is_embeddings:
        return ""
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def _main_metrics(result: Mapping[str, Any]) -> dict[str, float]:
    """Name -> value of a result's main metric and those beside it; empty if the evaluator does not apply."""
    if "not_applicable" in result:
        return {}
    names = [result["main"], *result.get("headlines", ())]
    return {f"{result['label']} {name}": result["metrics"][name]["value"] for name in names}


def _measure(
    evaluator: Evaluator,
    model: Model,
    data: EvaluationData,
    name: str,
    folder: Path,
    key: str,
    fresh: bool,
    conditions: Mapping[str, Any],
) -> dict[str, Any]:
    started = time.monotonic()
    # What mteb or a plugin keeps from one call to the next is of use only while the key is the same.
    files = folder / "files" / evaluator_label(evaluator)
    context = Context(model, data, files / key)
    for path in files.iterdir() if files.is_dir() else ():
        if fresh or path.name != key:
            remove(path)
    context.folder.mkdir(parents=True, exist_ok=True)
    content: dict[str, Any] = {
        "evaluator": evaluator.name,
        "label": evaluator_label(evaluator),
        "options": evaluator.dump(),
        "moment": name,
        "revision": model.revision,
        "key": key,
        "computed_by": computed_by(evaluator),
        **conditions,
    }
    if model.precision is not None:
        content["precision"] = model.precision
    result: EvaluationResult | None = None
    try:
        result = run_evaluator(evaluator, context, conditions["budget"])
    except NotApplicable as reason:
        content["not_applicable"] = str(reason)
    content["seconds"] = round(time.monotonic() - started, 2)
    if isinstance(activity := getattr(model, "activity", None), Activity):
        content["work"] = activity.counts()
    return write_result(folder, evaluator, content, result)
