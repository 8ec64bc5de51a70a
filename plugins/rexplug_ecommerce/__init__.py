"""Retail: filters, attribute salience, evaluators and sample data for shop text."""

from __future__ import annotations

from rexplug import CorpusFilter, DocumentSource, Evaluator, SalienceScorer, hookimpl
from rexplug_ecommerce.attributes import AttributeSalience
from rexplug_ecommerce.catalogue_tasks import (
    AttributeTagging,
    ProductClassification,
    ProductMatching,
    QueryClassification,
)
from rexplug_ecommerce.esci import EsciSearch, EsciSimilarity
from rexplug_ecommerce.product_page import ProductPage
from rexplug_ecommerce.product_search import ProductSearch
from rexplug_ecommerce.relevance import Relevance
from rexplug_ecommerce.sample_pages import SamplePages
from rexplug_ecommerce.spam import Spam


@hookimpl
def rexplug_document_sources() -> list[type[DocumentSource]]:
    """Sample pages."""
    return [SamplePages]


@hookimpl
def rexplug_corpus_filters() -> list[type[CorpusFilter]]:
    """Product pages, relevance to retail, spam."""
    return [ProductPage, Relevance, Spam]


@hookimpl
def rexplug_salience_scorers() -> list[type[SalienceScorer]]:
    """Attributes."""
    return [AttributeSalience]


@hookimpl
def rexplug_evaluators() -> list[type[Evaluator]]:
    """Search, similarity, matching, classification and tagging on shop text."""
    return [
        EsciSearch, EsciSimilarity, ProductSearch, ProductMatching, ProductClassification, QueryClassification,
        AttributeTagging,
    ]  # fmt: skip
