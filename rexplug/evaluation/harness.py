"""Runs evaluators on a model and writes what they find; what was found before is not computed again."""

from __future__ import annotations

import hashlib
import json
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from rexplug.components import (
    Document,
    EvaluationResult,
    Evaluator,
    ExampleTask,
    FineTuning,
    RetrievalCollection,
    SalienceScorer,
    Scores,
    TaggingTask,
)
from rexplug.errors import DataError, NotApplicable, PluginError, RexplugError
from rexplug.io.atomic import write_json, write_text
from rexplug.plugins.fingerprint import PluginCode
from rexplug.progress import Progress
from rexplug.run_directory import read_json

if TYPE_CHECKING:
    from collections.abc import Callable

    from rexplug.evaluation.models import Model

FORMAT = 1
"""Version of how results are computed and written; results of another one are not taken."""
_PACKAGES = ("torch", "transformers", "mteb", "scikit-learn")


class EvaluatorsFailed(DataError):
    """Evaluators that could not measure a model; `results` holds what the others found."""

    def __init__(self, message: str, results: Mapping[str, Mapping[str, Any]]) -> None:
        super().__init__(message)
        self.results = results


@dataclass(frozen=True)
class EvaluationData:
    """What evaluators measure on, the same for every model: held-out documents and what marks salient words in them."""

    held_out: Mapping[str, Sequence[Document]]
    seed: int
    scorer: SalienceScorer | None = None
    tokenizer: Path | None = None
    """The recipe's tokenizer, whose tokens the scorer marks; not that of the model under evaluation."""

    def fingerprint(self) -> str:
        """Hash of all of it."""
        scorer = self.scorer.dump() if self.scorer else None
        digest = hashlib.sha256(json.dumps([self.seed, scorer, PluginCode({}).of([self.scorer])]).encode())
        for name, documents in self.held_out.items():
            digest.update(name.encode())
            for document in documents:
                digest.update(hashlib.sha256(f"{document.id}\n{document.text}".encode()).digest())
        return digest.hexdigest()[:16]


@dataclass(frozen=True)
class Context:
    """What evaluators get; implements `rexplug.EvaluationContext`."""

    encoder: Model
    material: EvaluationData
    folder: Path

    @property
    def held_out(self) -> Mapping[str, Sequence[Document]]:
        """Per source, kept documents that no phase trains on."""
        return self.material.held_out

    @property
    def seed(self) -> int:
        """Of the draws of items and fine-tunes."""
        return self.material.seed

    def salience(self, texts: Sequence[str]) -> list[NDArray[np.uint8]] | None:
        """Per character, by the recipe's scorer on the recipe's tokens."""
        scorer, tokenizer = self.material.scorer, self.material.tokenizer
        if scorer is None or tokenizer is None:
            return None
        from rexplug.tokens.tokenize import encode

        documents = [Document(str(number), text) for number, text in enumerate(texts)]
        found: list[NDArray[np.uint8]] = []
        for document in encode(tokenizer, documents):
            marks = np.zeros(len(document.text), np.uint8)
            for (start, end), value in zip(document.offsets, scorer.score(document), strict=True):
                marks[start:end] = np.maximum(marks[start:end], value)
            found.append(marks)
        return found

    def retrieval(self, collection: RetrievalCollection, tuning: FineTuning | None = None) -> EvaluationResult:
        """Run on mteb."""
        from rexplug.evaluation.retrieval import evaluate_retrieval

        return evaluate_retrieval(collection, self.encoder, self.folder, self.seed, tuning)

    def similarity(self, task: ExampleTask, tuning: FineTuning) -> EvaluationResult:
        """Degrees of similarity."""
        from rexplug.evaluation import finetune_tasks

        return finetune_tasks.similarity(task, self.encoder, tuning, self.seed)

    def classification(self, task: ExampleTask, tuning: FineTuning) -> EvaluationResult:
        """Classes of texts."""
        from rexplug.evaluation import finetune_tasks

        return finetune_tasks.classification(task, self.encoder, tuning, self.seed)

    def pair_classification(self, task: ExampleTask, tuning: FineTuning, positive: str) -> EvaluationResult:
        """Whether texts belong together."""
        from rexplug.evaluation import finetune_tasks

        return finetune_tasks.pair_classification(task, self.encoder, tuning, positive, self.seed)

    def tagging(self, task: TaggingTask, tuning: FineTuning) -> EvaluationResult:
        """Labelled spans."""
        from rexplug.evaluation import finetune_tasks

        return finetune_tasks.tagging(task, self.encoder, tuning, self.seed)


def evaluate(
    evaluators: Sequence[Evaluator],
    load: Callable[[], Model],
    material: EvaluationData,
    *,
    name: str,
    folder: Path,
    progress: Progress,
) -> dict[str, dict[str, Any]]:
    """Run every evaluator on a model; writes `folder/<evaluator>.json` (and `.scores`) and returns what they hold.

    A result that lies there already is taken if model, evaluator, data and library versions are the same. A result whose
    evaluator does not apply to the model holds `not_applicable`, the reason, instead of metrics.

    Args:
        evaluators: what is measured.
        load: makes the model.
        material: what it is measured on.
        name: of the model, or the moment in a run.
        folder: where results go.
        progress: told after each evaluator.

    Raises:
        EvaluatorsFailed: some evaluators could not measure, for a reason that the user can mend; the others did.
        RexplugError: the only one could not.
        DataError: the model cannot be loaded.
    """
    folder.mkdir(parents=True, exist_ok=True)
    results: dict[str, dict[str, Any]] = {}
    if not evaluators:
        return results
    progress.start(f"evaluate {name}", len(evaluators), "evaluators")
    model = load()
    data = material.fingerprint()
    failed: dict[str, RexplugError] = {}
    for number, evaluator in enumerate(evaluators):
        label = evaluator.label
        key = _key(model, evaluator, data)
        path = folder / f"{label}.json"
        known = read_json(path) if path.exists() else {}
        if known.get("key") == key:
            results[label] = known
        else:
            try:
                results[label] = _measure(evaluator, model, material, name, folder, key)
            except RexplugError as error:
                failed[label] = error
                progress.update(number + 1)
                continue
        found = results[label]
        figures = (
            {} if "not_applicable" in found else {f"{label} {found['main']}": found["metrics"][found["main"]]["value"]}
        )
        progress.update(number + 1, **figures)
    if failed:
        if len(evaluators) == 1:
            raise failed[evaluators[0].label]
        lines = [f"{label}: {str(error).removeprefix(f'{label}: ')}" for label, error in failed.items()]
        raise EvaluatorsFailed("; ".join(lines), results)
    return results


def _measure(
    evaluator: Evaluator, model: Model, material: EvaluationData, name: str, folder: Path, key: str
) -> dict[str, Any]:
    began = time.monotonic()
    context = Context(model, material, folder / "files" / evaluator.label)
    context.folder.mkdir(parents=True, exist_ok=True)
    written: dict[str, Any] = {
        "evaluator": evaluator.name, "label": evaluator.label, "options": evaluator.dump(), "moment": name,
        "revision": model.revision, "key": key,
    }  # fmt: skip
    scores: Mapping[str, Scores] = {}
    try:
        result = evaluator.evaluate(context)
    except NotApplicable as reason:
        written |= {"not_applicable": str(reason)}
    else:
        _check(evaluator, result)
        scores = result.scores
        written |= {
            "main": result.main, "metrics": {name: asdict(metric) for name, metric in result.metrics.items()},
            "tables": {name: [dict(row) for row in rows] for name, rows in result.tables.items()},
            "examples": [dict(each) for each in result.examples], "notes": list(result.notes),
        }  # fmt: skip
    written["seconds"] = round(time.monotonic() - began, 2)
    # Long and for machines only, hence compact and beside the result; first, so that a result never lacks its scores.
    content = {name: {k: v for k, v in asdict(each).items() if v is not None} for name, each in scores.items()}
    write_text(scores_path(folder, evaluator.label), json.dumps({"key": key, "scores": content}))
    write_json(folder / f"{evaluator.label}.json", written)
    return written


def scores_path(folder: Path, label: str) -> Path:
    """Where an evaluator's scores of single items lie."""
    return folder / f"{label}.scores"


def read_scores(folder: Path, label: str) -> dict[str, Scores]:
    """Metric -> its items' scores; empty for results without.

    Raises:
        DataError: the file is damaged.
    """
    path = scores_path(folder, label)
    if not path.exists():
        return {}
    try:
        return {name: Scores(**each) for name, each in read_json(path)["scores"].items()}
    except (TypeError, KeyError):
        raise DataError(f"{path} holds no scores; remove it and evaluate again") from None


def _key(model: Model, evaluator: Evaluator, data: str) -> str:
    """What a stored result must agree in to be taken: model, evaluator, data and what computes."""
    digest = hashlib.sha256()
    versions = [FORMAT, *(version(package) for package in _PACKAGES)]
    code = PluginCode({}).of([evaluator])
    digest.update(json.dumps([model.revision, evaluator.dump(), code, data, versions], sort_keys=True).encode())
    for path in evaluator.inputs():
        digest.update(str(path.name).encode())
        digest.update(_file_hash(path))
    return digest.hexdigest()[:16]


def _file_hash(path: Path) -> bytes:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").digest()


def _check(evaluator: Evaluator, result: EvaluationResult) -> None:
    for name, metric in result.metrics.items():
        if not math.isfinite(metric.value):
            raise PluginError(f"{evaluator.name}: the metric '{name}' is {metric.value}")
    if result.main not in result.metrics:
        raise PluginError(
            f"{evaluator.name}: the main metric '{result.main}' is not among {', '.join(result.metrics) or 'its metrics (none)'}"
        )
