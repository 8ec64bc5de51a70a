"""Evaluation of encoders: evaluators, the models they run on, and the harness that runs them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rexplug.lazy import lazy_names

if TYPE_CHECKING:
    from rexplug.evaluation.harness import EvaluationData, EvaluatorsFailed, evaluate
    from rexplug.evaluation.models import ModelSpec, distinct, in_dimensions, in_precisions
    from rexplug.evaluation.result_files import read_result, read_scores

__all__ = [
    "EvaluationData", "EvaluatorsFailed", "ModelSpec", "distinct", "evaluate", "in_dimensions", "in_precisions",
    "read_result", "read_scores",
]  # fmt: skip

# The modules with evaluators are imported whenever plugins are listed, which must not import numpy or torch.
__getattr__ = lazy_names(
    __name__,
    {
        "rexplug.evaluation.harness": ("EvaluationData", "EvaluatorsFailed", "evaluate"),
        "rexplug.evaluation.models": ("ModelSpec", "distinct", "in_dimensions", "in_precisions"),
        "rexplug.evaluation.result_files": ("read_result", "read_scores"),
    },
)
