"""Chooses which of near-duplicate documents are dropped, so that each repeats a document that stays."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from rexplug.corpus.deduplicate.pairs import PAIR, Pairs, best_first, distinct

Edges = NDArray[np.void]


def choose(edges: Edges, keep: str) -> tuple[Edges, Pairs]:
    """The edges by which documents are dropped, one for each, and the pairs that are worth comparing as well.

    Documents are taken best first. One with an edge to a document that stays is dropped, in favour of the most similar of
    those. So a chain of documents, each a little unlike the last, does not vanish into its first. A document all of whose
    better ones are dropped stays for now; whether it repeats what stays in their place is what the further pairs ask.

    Args:
        edges: confirmed pairs, each once.
        keep: which document of a pair is better: the `first` or the `longest`.
    """
    edges = edges[np.lexsort(best_first(keep, edges["length"], edges["worse"]))]
    nodes, numbers = np.unique(np.concatenate([edges["worse"], edges["better"]]), return_inverse=True)
    worse, better = numbers[: len(edges)].tolist(), numbers[len(edges) :].tolist()
    alike = edges["alike"].tolist()
    stands_for = list(range(len(nodes)))
    """For each document itself, or the one that stays in its place."""
    chosen: list[int] = []
    further: list[tuple[int, int]] = []
    for start, stop in _runs(worse):
        staying = [edge for edge in range(start, stop) if stands_for[better[edge]] == better[edge]]
        if staying:
            best = max(staying, key=lambda edge: (alike[edge], -better[edge]))
            stands_for[worse[start]] = better[best]
            chosen.append(best)
        else:
            further += [(edge, stands_for[better[edge]]) for edge in range(start, stop)]
    pairs = np.zeros(len(further), PAIR)
    if further:
        rows, others = np.array(further).T
        pairs["worse"], pairs["better"], pairs["length"] = edges["worse"][rows], nodes[others], edges["length"][rows]
    return edges[chosen], distinct(pairs)


def _runs(values: list[int]) -> Iterator[tuple[int, int]]:
    """Start and end of each run of equal values."""
    start = 0
    for place in range(1, len(values) + 1):
        if place == len(values) or values[place] != values[start]:
            yield start, place
            start = place
