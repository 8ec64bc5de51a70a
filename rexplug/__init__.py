"""Recipes that turn one vertical's text into a domain encoder.

The names here are what plugins may use; everything else may change without notice.
"""

from rexplug.components import (
    Candidate,
    Component,
    CorpusFilter,
    CorpusSample,
    Document,
    DocumentSource,
    Encoder,
    EvaluationContext,
    EvaluationResult,
    Evaluator,
    Labeller,
    LabellingContext,
    MaskingPolicy,
    Metric,
    MixingSchedule,
    Quantity,
    RetrievalCollection,
    SalienceScorer,
    Shard,
    TokenBatch,
    TokenizedDocument,
    Use,
    Verdict,
)
from rexplug.errors import DataError, PluginError, RecipeError, RexplugError
from rexplug.hookspecs import hookimpl
from rexplug.schedules import Ramp

__version__ = "0.1.0"

__all__ = [
    "Candidate",
    "Component",
    "CorpusFilter",
    "CorpusSample",
    "DataError",
    "Document",
    "DocumentSource",
    "Encoder",
    "EvaluationContext",
    "EvaluationResult",
    "Evaluator",
    "Labeller",
    "LabellingContext",
    "MaskingPolicy",
    "Metric",
    "MixingSchedule",
    "PluginError",
    "Quantity",
    "Ramp",
    "RecipeError",
    "RetrievalCollection",
    "RexplugError",
    "SalienceScorer",
    "Shard",
    "TokenBatch",
    "TokenizedDocument",
    "Use",
    "Verdict",
    "__version__",
    "hookimpl",
]
