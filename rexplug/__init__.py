"""Recipes that turn one vertical's text into a domain encoder.

The names here are public: what plugins subclass and use, and the Python API (`rexplug.api` has the rest of it). Everything else
may change without notice. Functions of the API are loaded when they are first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

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
    Example,
    ExampleTask,
    FineTuning,
    Labeller,
    LabellingContext,
    MaskingPolicy,
    Metric,
    MixingSchedule,
    Quantity,
    Reason,
    RetrievalCollection,
    SalienceScorer,
    Scores,
    Shard,
    TaggedText,
    TaggingTask,
    TokenBatch,
    TokenizedDocument,
    Use,
    Verdict,
    random_tokens,
    split_of,
)
from rexplug.errors import DataError, NotApplicable, PluginError, RecipeError, RexplugError
from rexplug.io.compression import read_lines
from rexplug.io.hub import HubName
from rexplug.io.tabular import read_records
from rexplug.plugins.hookspecs import hookimpl
from rexplug.schedules import Ramp
from rexplug.version import __version__

if TYPE_CHECKING:
    from rexplug import api
    from rexplug.api import Recipe, Run, check, compare, evaluate, load_recipe, open_run, open_stream, plan, run

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
    "Example",
    "ExampleTask",
    "FineTuning",
    "HubName",
    "Labeller",
    "LabellingContext",
    "MaskingPolicy",
    "Metric",
    "MixingSchedule",
    "NotApplicable",
    "PluginError",
    "Quantity",
    "Ramp",
    "Reason",
    "Recipe",
    "RecipeError",
    "RetrievalCollection",
    "RexplugError",
    "Run",
    "SalienceScorer",
    "Scores",
    "Shard",
    "TaggedText",
    "TaggingTask",
    "TokenBatch",
    "TokenizedDocument",
    "Use",
    "Verdict",
    "__version__",
    "api",
    "check",
    "compare",
    "evaluate",
    "hookimpl",
    "load_recipe",
    "open_run",
    "open_stream",
    "plan",
    "random_tokens",
    "read_lines",
    "read_records",
    "run",
    "split_of",
]

_API = frozenset(
    {"Recipe", "Run", "check", "compare", "evaluate", "load_recipe", "open_run", "open_stream", "plan", "run"}
)
"""Names that are loaded from `rexplug.api` when they are first used."""


def __getattr__(name: str) -> Any:
    if name == "api":
        return import_module("rexplug.api")
    if name in _API:
        return getattr(import_module("rexplug.api"), name)
    raise AttributeError(f"module 'rexplug' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted(__all__)
