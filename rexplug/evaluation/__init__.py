"""Evaluation of encoders: evaluators, the models they run on, and the harness that runs them."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rexplug.evaluation.harness import EvaluationData, EvaluatorsFailed, evaluate, read_scores
    from rexplug.evaluation.models import ModelSpec, distinct

__all__ = ["EvaluationData", "EvaluatorsFailed", "ModelSpec", "distinct", "evaluate", "read_scores"]

_MODULE_OF = {
    "EvaluationData": "harness",
    "EvaluatorsFailed": "harness",
    "ModelSpec": "models",
    "distinct": "models",
    "evaluate": "harness",
    "read_scores": "harness",
}


def __getattr__(name: str) -> Any:
    # The modules with evaluators are imported whenever plugins are listed, which must not import numpy or torch.
    if name in _MODULE_OF:
        return getattr(import_module(f"rexplug.evaluation.{_MODULE_OF[name]}"), name)
    raise AttributeError(name)
