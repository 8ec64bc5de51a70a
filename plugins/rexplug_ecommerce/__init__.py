"""Retail: filters, attribute salience, evaluators and sample data for shop text."""

from __future__ import annotations

from rexplug import CorpusFilter, DocumentSource, hookimpl
from rexplug_ecommerce.product_page import ProductPage
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
