"""Retail: filters, attribute salience, evaluators and sample data for shop text."""

from __future__ import annotations

from rexplug import DocumentSource, hookimpl
from rexplug_ecommerce.sample_pages import SamplePages


@hookimpl
def rexplug_document_sources() -> list[type[DocumentSource]]:
    """Sample pages."""
    return [SamplePages]
