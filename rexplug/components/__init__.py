"""Base classes and records for plugin authors."""

from rexplug.components.base import NAME_PATTERN, Component, Components, Use
from rexplug.components.corpus_filter import CorpusFilter, CorpusSample, Verdict
from rexplug.components.document import Document, Unreadable
from rexplug.components.document_source import DocumentSource, Shard
from rexplug.components.evaluated_items import EvaluatedItem, MaskedWord, RankedDocument
from rexplug.components.evaluation_tasks import (
    Budget,
    Example,
    ExampleTask,
    FineTuning,
    RetrievalCollection,
    Scores,
    TaggedText,
    TaggingTask,
    split_of,
)
from rexplug.components.evaluator import Encoder, EvaluationContext, EvaluationResult, Evaluator, Metric
from rexplug.components.fine_tuning_task import FineTuned, FineTuningTask, TrainableEncoder
from rexplug.components.labeller import Candidate, Labeller, LabellingContext
from rexplug.components.masking_policy import MaskingPolicy, TokenBatch, random_tokens
from rexplug.components.mixing_schedule import MixingSchedule
from rexplug.components.quantities import Quantity, parse_quantity
from rexplug.components.report_section import ReportSection
from rexplug.components.salience_scorer import Reason, SalienceScorer, TokenizedDocument

__all__ = [
    "NAME_PATTERN",
    "Budget",
    "Candidate",
    "Component",
    "Components",
    "CorpusFilter",
    "CorpusSample",
    "Document",
    "DocumentSource",
    "Encoder",
    "EvaluatedItem",
    "EvaluationContext",
    "EvaluationResult",
    "Evaluator",
    "Example",
    "ExampleTask",
    "FineTuned",
    "FineTuning",
    "FineTuningTask",
    "Labeller",
    "LabellingContext",
    "MaskedWord",
    "MaskingPolicy",
    "Metric",
    "MixingSchedule",
    "Quantity",
    "RankedDocument",
    "Reason",
    "ReportSection",
    "RetrievalCollection",
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
    "parse_quantity",
    "random_tokens",
    "split_of",
]
