"""Applies filters to single documents, for parts other than curation that read a source."""

from __future__ import annotations

from collections.abc import Iterable

from rexplug.components import CorpusFilter, Document
from rexplug.plugins.calls import judge_document


def filtered(document: Document, filters: Iterable[CorpusFilter]) -> Document | None:
    """The document with what the filters changed in it; None if one of them drops it."""
    for corpus_filter in filters:
        verdict = judge_document(corpus_filter, document)
        if not verdict.keep:
            return None
        document = verdict.applied(document)
    return document
