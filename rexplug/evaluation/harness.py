"""Runs evaluators on a model and writes what they find."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rexplug.components import (
    Document,
    EvaluationResult,
    Evaluator,
    RetrievalCollection,
    SalienceScorer,
)
from rexplug.errors import PluginError
from rexplug.evaluation.encoder import HuggingFaceEncoder
from rexplug.progress import Progress
from rexplug.run_directory import write_json


@dataclass(frozen=True)
class Context:
    """What evaluators get; implements `rexplug.EvaluationContext`."""

    encoder: HuggingFaceEncoder
    held_out: Mapping[str, Sequence[Document]]
    folder: Path
    seed: int
    scorer: SalienceScorer | None
    tokenizer: Path

    def salience(self, texts: Sequence[str]) -> list[NDArray[np.uint8]] | None:
        """Per character, by the recipe's scorer on the recipe's tokens."""
        if self.scorer is None:
            return None
        from rexplug.tokens import encode

        documents = [Document(str(number), text) for number, text in enumerate(texts)]
        found: list[NDArray[np.uint8]] = []
        for document in encode(self.tokenizer, documents):
            marks = np.zeros(len(document.text), np.uint8)
            for (start, end), value in zip(document.offsets, self.scorer.score(document), strict=True):
                marks[start:end] = np.maximum(marks[start:end], value)
            found.append(marks)
        return found

    def retrieval(self, collection: RetrievalCollection) -> EvaluationResult:
        """Run on mteb."""
        from rexplug.evaluation.mteb_task import evaluate_retrieval

        return evaluate_retrieval(collection, self.encoder, self.folder, self.seed)


def evaluate(
    evaluators: Sequence[Evaluator],
    model: Path,
    *,
    tokenizer: Path,
    held_out: Mapping[str, Sequence[Document]],
    scorer: SalienceScorer | None,
    seed: int,
    moment: str,
    folder: Path,
    progress: Progress,
) -> dict[str, dict[str, Any]]:
    """Run every evaluator on a model folder; writes `folder/<evaluator>.json` and returns what it holds.

    Raises:
        PluginError: an evaluator returned a metric that is not finite, or a main metric that is not there.
    """
    folder.mkdir(parents=True, exist_ok=True)
    results: dict[str, dict[str, Any]] = {}
    if not evaluators:
        return results
    progress.start(f"evaluate {moment}", len(evaluators), "evaluators")
    encoder = HuggingFaceEncoder(model, tokenizer)
    for number, evaluator in enumerate(evaluators):
        began = time.monotonic()
        context = Context(encoder, held_out, folder / "files" / evaluator.name, seed, scorer, tokenizer)
        context.folder.mkdir(parents=True, exist_ok=True)
        result = evaluator.evaluate(context)
        _check(evaluator, result)
        results[evaluator.name] = {
            "evaluator": evaluator.name, "options": evaluator.dump(), "moment": moment, "revision": encoder.revision,
            "main": result.main, "metrics": {name: asdict(metric) for name, metric in result.metrics.items()},
            "tables": {name: [dict(row) for row in rows] for name, rows in result.tables.items()},
            "examples": [dict(each) for each in result.examples], "notes": list(result.notes),
            "seconds": round(time.monotonic() - began, 2),
        }  # fmt: skip
        write_json(folder / f"{evaluator.name}.json", results[evaluator.name])
        main = result.metrics[result.main].value
        progress.update(number + 1, **{f"{evaluator.name} {result.main}": main})
    return results


def _check(evaluator: Evaluator, result: EvaluationResult) -> None:
    for name, metric in result.metrics.items():
        if not math.isfinite(metric.value):
            raise PluginError(f"{evaluator.name}: the metric '{name}' is {metric.value}")
    if result.main not in result.metrics:
        raise PluginError(
            f"{evaluator.name}: the main metric '{result.main}' is not among {', '.join(result.metrics) or 'its metrics (none)'}"
        )
