"""Labelled spans of a text as tags of its tokens, and back."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

OUTSIDE, IGNORED = 0, -1
"""Tags of tokens outside any span, and of special tokens."""


def tags_of_spans(
    spans: Sequence[tuple[int, int, str]], offsets: Sequence[tuple[int, int]], labels: Sequence[str]
) -> NDArray[np.int64]:
    """A tag per token `[tokens]`: 0 outside of spans, 1 + 2k begins a span of `labels[k]`, 2 + 2k continues it, -1 special.

    Args:
        spans: first character, end and label of each span.
        offsets: first character and end of each token; both are equal for special tokens.
        labels: the labels, in the order of their tags.
    """
    tags = np.full(len(offsets), OUTSIDE, np.int64)
    for token, (start, end) in enumerate(offsets):
        if start == end:
            tags[token] = IGNORED
    for first, last, label in spans:
        inside = [token for token, (start, end) in enumerate(offsets) if start < last and end > first and start < end]
        for order, token in enumerate(inside):
            tags[token] = 1 + 2 * labels.index(label) + (order > 0)
    return tags


def spans_of_tags(
    text: str, offsets: Sequence[tuple[int, int]], tags: NDArray[np.int64], labels: Sequence[str]
) -> set[tuple[int, int, str]]:
    """The spans that `tags` `[tokens]` describe, without white space at their ends; the inverse of `tags_of_spans`."""
    spans: set[tuple[int, int, str]] = set()
    open_span: list[int] | None = None
    for (start, end), tag in zip([*offsets, (0, 0)], [*tags.tolist(), OUTSIDE], strict=True):
        label = (int(tag) - 1) // 2 if tag > 0 and start < end else -1
        begins = tag > 0 and tag % 2 == 1
        if open_span is not None and (label != open_span[2] or begins):
            first, last, number = open_span
            piece = text[first:last]
            first, last = first + len(piece) - len(piece.lstrip()), last - (len(piece) - len(piece.rstrip()))
            if first < last:
                spans.add((first, last, labels[number]))
            open_span = None
        if label >= 0:
            if open_span is None:
                open_span = [start, end, label]
            else:
                open_span[1] = end
    return spans
