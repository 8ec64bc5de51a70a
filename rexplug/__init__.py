"""Recipes that turn one vertical's text into a domain encoder.

The names here are public: what plugins subclass and use, and the Python API (`rexplug.api` has the rest of it). Everything else
may change without notice. Names are loaded when they are first used, so that `import rexplug` costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from rexplug.lazy import lazy_names

if TYPE_CHECKING:
    from rexplug import api
    from rexplug.api import Recipe, Run, check, compare, evaluate, load_recipe, open_run, open_stream, plan, run
    from rexplug.components import (
        Budget,
        Candidate,
        Component,
        CorpusFilter,
        CorpusSample,
        Document,
        DocumentSource,
        Encoder,
        EvaluatedItem,
        EvaluationContext,
        EvaluationResult,
        Evaluator,
        Example,
        ExampleTask,
        FineTuned,
        FineTuning,
        FineTuningTask,
        Labeller,
        LabellingContext,
        MaskedWord,
        MaskingPolicy,
        Metric,
        MixingSchedule,
        Quantity,
        RankedDocument,
        Reason,
        ReportSection,
        RetrievalCollection,
        SalienceScorer,
        Scores,
        Shard,
        TaggedText,
        TaggingTask,
        TokenBatch,
        TokenizedDocument,
        TrainableEncoder,
        Unreadable,
        Use,
        Verdict,
        random_tokens,
        split_of,
    )
    from rexplug.corpus.sources.fields import Fields
    from rexplug.corpus.sources.files import FileSource, InputFile, Piece
    from rexplug.errors import DataError, NotApplicable, PluginError, RecipeError, RexplugError
    from rexplug.evaluation.statistics import Difference, bootstrap_metric, holm_correction, paired_test
    from rexplug.io.compression import read_lines
    from rexplug.io.hub import HubName
    from rexplug.io.tabular import read_records
    from rexplug.plugins.hookspecs import hookimpl
    from rexplug.renamed import Renamed
    from rexplug.schedules import Ramp
    from rexplug.text.fold import fold
    from rexplug.text.words import lower_words, split_words
    from rexplug.version import __version__

__all__ = [
    "Budget",
    "Candidate",
    "Component",
    "CorpusFilter",
    "CorpusSample",
    "DataError",
    "Difference",
    "Document",
    "DocumentSource",
    "Encoder",
    "EvaluatedItem",
    "EvaluationContext",
    "EvaluationResult",
    "Evaluator",
    "Example",
    "ExampleTask",
    "Fields",
    "FileSource",
    "FineTuned",
    "FineTuning",
    "FineTuningTask",
    "HubName",
    "InputFile",
    "Labeller",
    "LabellingContext",
    "MaskedWord",
    "MaskingPolicy",
    "Metric",
    "MixingSchedule",
    "NotApplicable",
    "Piece",
    "PluginError",
    "Quantity",
    "Ramp",
    "RankedDocument",
    "Reason",
    "Recipe",
    "RecipeError",
    "Renamed",
    "ReportSection",
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
    "TrainableEncoder",
    "Unreadable",
    "Use",
    "Verdict",
    "__version__",
    "api",
    "bootstrap_metric",
    "check",
    "compare",
    "evaluate",
    "fold",
    "holm_correction",
    "hookimpl",
    "load_recipe",
    "lower_words",
    "open_run",
    "open_stream",
    "paired_test",
    "plan",
    "random_tokens",
    "read_lines",
    "read_records",
    "run",
    "split_of",
    "split_words",
]

_MODULES = {
    "rexplug.api": (
        "Recipe", "Run", "check", "compare", "evaluate", "load_recipe", "open_run", "open_stream", "plan",
        "run",
    ),
    "rexplug.components": (
        "Budget", "Candidate", "Component", "CorpusFilter", "CorpusSample", "Document", "DocumentSource", "Encoder",
        "EvaluatedItem", "EvaluationContext", "EvaluationResult", "Evaluator", "Example", "ExampleTask", "FineTuned",
        "FineTuning", "FineTuningTask", "Labeller", "LabellingContext", "MaskedWord", "MaskingPolicy", "Metric",
        "MixingSchedule", "Quantity", "RankedDocument", "Reason", "ReportSection", "RetrievalCollection",
        "SalienceScorer", "Scores", "Shard", "TaggedText", "TaggingTask", "TokenBatch", "TokenizedDocument",
        "TrainableEncoder", "Unreadable", "Use", "Verdict", "random_tokens", "split_of",
    ),
    "rexplug.corpus.sources.fields": ("Fields",),
    "rexplug.corpus.sources.files": ("FileSource", "InputFile", "Piece"),
    "rexplug.errors": ("DataError", "NotApplicable", "PluginError", "RecipeError", "RexplugError"),
    "rexplug.evaluation.statistics": ("Difference", "bootstrap_metric", "holm_correction", "paired_test"),
    "rexplug.io.compression": ("read_lines",),
    "rexplug.io.hub": ("HubName",),
    "rexplug.io.tabular": ("read_records",),
    "rexplug.plugins.hookspecs": ("hookimpl",),
    "rexplug.renamed": ("Renamed",),
    "rexplug.schedules": ("Ramp",),
    "rexplug.text.fold": ("fold",),
    "rexplug.text.words": ("lower_words", "split_words"),
    "rexplug.version": ("__version__",),
}  # fmt: skip
"""Module -> the public names that it defines."""
_load = lazy_names(__name__, _MODULES)


def __getattr__(name: str) -> Any:
    if name == "api":
        return import_module("rexplug.api")
    return _load(name)


def __dir__() -> list[str]:
    return sorted(__all__)
