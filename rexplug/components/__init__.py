"""What plugin authors subclass."""

from rexplug.components.base import NAME_PATTERN, Component, Components, Use
from rexplug.components.corpus_filter import CorpusFilter, CorpusSample, Verdict
from rexplug.components.document_source import Document, DocumentSource, Shard
from rexplug.components.evaluator import (
    Encoder,
    EvaluationContext,
    EvaluationResult,
    Evaluator,
    Metric,
    RetrievalCollection,
)
from rexplug.components.labeller import Candidate, Labeller, LabellingContext
from rexplug.components.masking_policy import MaskingPolicy, TokenBatch
from rexplug.components.mixing_schedule import MixingSchedule
from rexplug.components.quantities import Quantity, parse_quantity
from rexplug.components.salience_scorer import SalienceScorer, TokenizedDocument

__all__ = [
    "NAME_PATTERN",
    "Candidate",
    "Component",
    "Components",
    "CorpusFilter",
    "CorpusSample",
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
    "Quantity",
    "RetrievalCollection",
    "SalienceScorer",
    "Shard",
    "TokenBatch",
    "TokenizedDocument",
    "Use",
    "Verdict",
    "parse_quantity",
]
