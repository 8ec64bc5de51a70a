"""The core's own components; they enter by the same door as those of any plugin."""

from __future__ import annotations

from rexplug.batches.policies import RandomMasking
from rexplug.components import CorpusFilter, DocumentSource, Evaluator, Labeller, MaskingPolicy
from rexplug.corpus.filters import GopherQuality, GopherRepetition, Length
from rexplug.corpus.relevance.filter import RelevanceFilter
from rexplug.corpus.relevance.labellers import LabelFile, SourceLabels
from rexplug.corpus.relevance.llm import Llm
from rexplug.corpus.sources import Csv, Jsonl, Parquet, TextFiles
from rexplug.evaluation.evaluators import MaskedRecovery, RetrievalFolder
from rexplug.hookspecs import hookimpl


@hookimpl
def rexplug_document_sources() -> list[type[DocumentSource]]:
    """Files."""
    return [Jsonl, Parquet, Csv, TextFiles]


@hookimpl
def rexplug_corpus_filters() -> list[type[CorpusFilter]]:
    """Filters that serve any vertical."""
    return [Length, GopherQuality, GopherRepetition, RelevanceFilter]


@hookimpl
def rexplug_labellers() -> list[type[Labeller]]:
    """Labels from files, sources and language models."""
    return [LabelFile, Llm, SourceLabels]


@hookimpl
def rexplug_masking_policies() -> list[type[MaskingPolicy]]:
    """Plain masking."""
    return [RandomMasking]


@hookimpl
def rexplug_evaluators() -> list[type[Evaluator]]:
    """Evaluators that serve any vertical."""
    return [MaskedRecovery, RetrievalFolder]
