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
from rexplug.text.words import lower_words, split_words

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
    "RecipeError",
    "RetrievalCollection",
    "RexplugError",
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
    "hookimpl",
    "lower_words",
    "random_tokens",
    "read_lines",
    "read_records",
    "split_of",
    "split_words",
]
