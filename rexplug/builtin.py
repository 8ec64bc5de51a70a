"""The core's own components, registered with the same hooks as those of a plugin."""

from __future__ import annotations

from rexplug.batches.policies import RandomMasking
from rexplug.components import CorpusFilter, DocumentSource, Evaluator, Labeller, MaskingPolicy
from rexplug.corpus.datatrove.filters import DatatroveFilter
from rexplug.corpus.datatrove.readers import DatatroveReader
from rexplug.corpus.filters import (
    Addresses,
    Boilerplate,
    C4Quality,
    FineWebQuality,
    GopherQuality,
    GopherRepetition,
    Language,
    Length,
    PersonalData,
)
from rexplug.corpus.relevance.filter import RelevanceFilter
from rexplug.corpus.relevance.labellers import LabelFile, SourceLabels
from rexplug.corpus.relevance.llm import Llm
from rexplug.corpus.sources import Csv, HtmlFiles, HuggingFace, Jsonl, Parquet, TextFiles, Warc
from rexplug.evaluation.beir import RetrievalFolder
from rexplug.evaluation.examples import Classification, PairClassification, Similarity
from rexplug.evaluation.geometry import EmbeddingGeometry
from rexplug.evaluation.long_documents import LongDocuments
from rexplug.evaluation.mteb_tasks import Mteb
from rexplug.evaluation.recovery import MaskedRecovery
from rexplug.evaluation.validation_loss import ValidationLoss
from rexplug.evaluation.value_recovery import ValueRecovery
from rexplug.plugins.hookspecs import hookimpl


@hookimpl
def rexplug_document_sources() -> list[type[DocumentSource]]:
    """Sources for files, archives and datasets, and the readers of datatrove."""
    return [Jsonl, Parquet, Csv, TextFiles, HtmlFiles, Warc, HuggingFace, DatatroveReader]


@hookimpl
def rexplug_corpus_filters() -> list[type[CorpusFilter]]:
    """Filters for any vertical, and the filters and formatters of datatrove."""
    return [
        Length, Addresses, RelevanceFilter, Language, GopherQuality, GopherRepetition, C4Quality, FineWebQuality,
        Boilerplate, PersonalData, DatatroveFilter,
    ]  # fmt: skip


@hookimpl
def rexplug_labellers() -> list[type[Labeller]]:
    """Labellers that read a file, go by the source, or ask a language model."""
    return [LabelFile, Llm, SourceLabels]


@hookimpl
def rexplug_masking_policies() -> list[type[MaskingPolicy]]:
    """The policy of random masking."""
    return [RandomMasking]


@hookimpl
def rexplug_evaluators() -> list[type[Evaluator]]:
    """Evaluators for any vertical."""
    return [
        MaskedRecovery, ValidationLoss, ValueRecovery, LongDocuments, EmbeddingGeometry, RetrievalFolder, Mteb, Similarity,
        Classification, PairClassification,
    ]  # fmt: skip
