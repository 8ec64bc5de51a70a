"""Draws the documents that are labelled from those that would reach the classifier; the same draw every time."""

from __future__ import annotations

import hashlib
import heapq
from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import islice

from rexplug.components import Candidate, CorpusFilter, Document, DocumentSource
from rexplug.corpus.filtered import filtered
from rexplug.corpus.relevance.filter import sources_to_classify
from rexplug.corpus.shard_jobs import shard_documents
from rexplug.corpus.sources import ERROR
from rexplug.plugins.calls import count_shards, labelled_ids, own_documents
from rexplug.progress import Progress
from rexplug.recipe.schema import Relevance


def hash_fraction(text: str, seed: int, purpose: str) -> float:
    """A pseudo-random number in [0, 1) that depends on text, seed and purpose alone."""
    digest = hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=8, key=f"{seed} {purpose}".encode()[:64])
    return int.from_bytes(digest.digest(), "big") / 2**64


def draw_candidates(
    sources: Mapping[str, DocumentSource], options: Relevance, seed: int, progress: Progress
) -> list[Candidate]:
    """The candidates without repetitions, in an order that depends on neither workers nor the order of sources.

    Of each source the first `pool` documents, evenly over its shards, go through the filters that come before `relevance`;
    of those that pass, the ones with the lowest hashes are taken. If the labeller has documents of its own, all of them are taken
    instead.
    """
    brought = own_documents(options.labels)
    if brought is not None:
        return _different(
            Candidate("labels", replace(document, text=document.text[: options.characters])) for document in brought
        )
    names = options.sources or sources_to_classify(sources)
    labelled = labelled_ids(options.labels)
    candidates: list[Candidate] = []
    for name in names:
        progress.start(f"sample {name}")
        documents = _passing(sources[name], options, labelled)
        lowest = heapq.nsmallest(
            options.documents,
            (
                (hash_fraction(document.text, seed, "sample"), number, document)
                for number, document in enumerate(documents)
            ),
        )
        candidates += [
            Candidate(name, replace(document, text=document.text[: options.characters])) for _, _, document in lowest
        ]
    return _different(candidates)


def _passing(source: DocumentSource, options: Relevance, labelled: frozenset[str] | None) -> Iterator[Document]:
    before: list[CorpusFilter] = []
    for corpus_filter in source.filters:
        if corpus_filter.name == "relevance":
            break
        if type(corpus_filter).fit is CorpusFilter.fit:  # one that learns from the corpus has not learnt yet
            before.append(corpus_filter)
    count = count_shards(source)
    pool = options.pool or 10 * options.documents
    for index in range(count):
        share = pool // count + (index < pool % count)
        for document in islice(shard_documents(source, index, count), share):
            if ERROR in document.metadata or (labelled is not None and document.id not in labelled):
                continue
            passed = filtered(document, before)
            if passed is not None:
                yield passed


def _different(candidates: Iterator[Candidate] | list[Candidate]) -> list[Candidate]:
    """One candidate per text and source, sorted by text."""
    seen = {
        (candidate.document.text, candidate.source): candidate
        for candidate in candidates
        if candidate.document.text.strip()
    }
    return [seen[key] for key in sorted(seen)]
