"""Retail: filters, attribute salience, evaluators and sample data for shop text."""

from __future__ import annotations

from rexplug import CorpusFilter, DocumentSource, Evaluator, Labeller, SalienceScorer, hookimpl
from rexplug_ecommerce.attributes import AttributeSalience
from rexplug_ecommerce.catalogue_tasks import (
    AttributeTagging,
    ProductClassification,
    ProductMatching,
    QueryClassification,
)
from rexplug_ecommerce.domains import Domains
from rexplug_ecommerce.esci import EsciSearch, EsciSimilarity
from rexplug_ecommerce.icecat import IcecatSearch
from rexplug_ecommerce.product_page import ProductPage
from rexplug_ecommerce.product_search import ProductSearch
from rexplug_ecommerce.product_text import ProductText
from rexplug_ecommerce.relevance import Retail
from rexplug_ecommerce.sample_pages import SamplePages
from rexplug_ecommerce.spam import Spam


@hookimpl
def rexplug_document_sources() -> list[type[DocumentSource]]:
    """The source of synthetic sample pages."""
    return [SamplePages]


@hookimpl
def rexplug_corpus_filters() -> list[type[CorpusFilter]]:
    """Filters by domain, by product signals, of spam, and the one that writes product data into the text."""
    return [Domains, ProductPage, ProductText, Spam]


@hookimpl
def rexplug_labellers() -> list[type[Labeller]]:
    """The labeller of relevance to retail: a rule, and an instruction for language models."""
    return [Retail]


@hookimpl
def rexplug_salience_scorers() -> list[type[SalienceScorer]]:
    """The scorer of product attributes."""
    return [AttributeSalience]


@hookimpl
def rexplug_evaluators() -> list[type[Evaluator]]:
    """Search, similarity, matching, classification and tagging on shop text."""
    return [
        EsciSearch, EsciSimilarity, IcecatSearch, ProductSearch, ProductMatching, ProductClassification,
        QueryClassification, AttributeTagging,
    ]  # fmt: skip
