"""The harness that evaluators run in."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rexplug.evaluation.harness import EvaluationData, EvaluatorsFailed, evaluate, read_scores
    from rexplug.evaluation.models import ModelSpec, distinct

__all__ = ["EvaluationData", "EvaluatorsFailed", "ModelSpec", "distinct", "evaluate", "read_scores"]

_PLACES = {
    "EvaluatorsFailed": "harness",
    "EvaluationData": "harness",
    "ModelSpec": "models",
    "distinct": "models",
    "evaluate": "harness",
    "read_scores": "harness",
}


def __getattr__(name: str) -> Any:
    # The evaluators beside it are imported whenever plugins are listed, and must not bring torch along.
    if name in _PLACES:
        return getattr(import_module(f"rexplug.evaluation.{_PLACES[name]}"), name)
    raise AttributeError(name)
