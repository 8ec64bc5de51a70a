"""A model's answers on single items: rankings, classes, degrees of similarity, spans and masked words."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rexplug.components import (
    EvaluatedItem,
    Example,
    MaskedWord,
    RankedDocument,
    RetrievalCollection,
    Scores,
    TaggedText,
)
from rexplug.evaluation.item_files import MAX_RANKED, stored_ids

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def ranking_items(
    collection: RetrievalCollection, ranking: Mapping[str, Mapping[str, float]], scores: Scores
) -> list[EvaluatedItem]:
    """The queries with their first documents and the relevant ones that are missing there.

    An answer is right if its first document is relevant.

    Args:
        collection: queries, documents and grades.
        ranking: query -> document -> score; documents of equal score keep the order that they have here.
        scores: of the queries, e.g. nDCG@10.
    """
    score_of = _means(scores)
    chosen = stored_ids(collection.queries)
    items = []
    for query, text in collection.queries.items():
        if query not in chosen:
            continue
        found = ranking.get(query, {})
        order = sorted(found, key=found.__getitem__, reverse=True)
        rank_of = {document: rank for rank, document in enumerate(order, 1)}
        grades = collection.relevance.get(query, {})
        relevant = sorted(
            (d for d, grade in grades.items() if grade > 0), key=lambda d: (-grades[d], rank_of.get(d, 0))
        )
        top = order[:MAX_RANKED]
        missed = [document for document in relevant if document not in top][:MAX_RANKED]
        described = {
            document: RankedDocument(
                document,
                collection.corpus.get(document, ""),
                grades.get(document),
                found.get(document),
                rank_of.get(document),
            )
            for document in (*top, *missed)
        }
        items.append(
            EvaluatedItem(
                query,
                text,
                score_of[query],
                correct=bool(order) and grades.get(order[0], 0) > 0,
                ranking=[described[document] for document in top],
                missed=[described[document] for document in missed],
            )
        )
    return items


def class_items(
    ids: Sequence[str], examples: Sequence[Example], predicted: Sequence[str], scores: Scores
) -> list[EvaluatedItem]:
    """Texts, or pairs of texts, with their true and predicted class; the score is the share of fine-tunes that are right.

    Args:
        ids: `[items]`, as in `scores`.
        examples: `[items]`.
        predicted: `[items]`, the classes that the first fine-tune predicts.
        scores: 1 where a fine-tune is right.
    """
    score_of = _means(scores)
    return [
        EvaluatedItem(
            key, example.text, score_of[key], str(example.label) == str(guess), example.second,
            expected=str(example.label), predicted=str(guess),
        )
        for key, example, guess in zip(ids, examples, predicted, strict=True)
    ]  # fmt: skip


def degree_items(ids: Sequence[str], examples: Sequence[Example], scores: Scores) -> list[EvaluatedItem]:
    """Pairs of texts with their degree and the similarity that the first fine-tune gives them.

    Cosines of two models may have different scales, so the score compares ranks, as Spearman's correlation does: 1 minus the
    distance between the ranks of similarity and degree among all pairs, each from 0 to 1; a mean over fine-tunes.
    """
    import numpy as np
    from scipy.stats import rankdata

    def shares(values: Any) -> NDArray[np.float64]:
        ranks = rankdata(values, axis=-1)
        return np.asarray((ranks - 1) / max(1, ranks.shape[-1] - 1), np.float64)

    agreement = 1 - np.abs(shares(scores.values) - shares(scores.targets)).mean(0)
    return [
        EvaluatedItem(key, example.text, float(value), second=example.second, expected=float(example.label),
                      predicted=float(cosine))
        for key, example, value, cosine in zip(ids, examples, agreement, scores.values[0], strict=True)
    ]  # fmt: skip


def span_items(
    texts: Sequence[TaggedText], predicted: Callable[[int], Sequence[tuple[int, int, str]]], scores: Scores
) -> list[EvaluatedItem]:
    """Texts with their true spans and those that the first fine-tune predicts; the score is F1 within the text.

    Args:
        texts: `[items]`.
        predicted: number of a text -> its predicted spans.
        scores: twice the correct spans of each text out of its true and predicted ones.
    """
    weights = scores.weights or [[1.0] * len(texts)]
    items = []
    for number, text in enumerate(texts):
        # A text without a span, true or predicted, is right.
        f1 = [
            values[number] / counts[number] if counts[number] else 1.0
            for values, counts in zip(scores.values, weights, strict=True)
        ]
        spans = sorted(predicted(number))
        items.append(
            EvaluatedItem(
                scores.ids[number], text.text, sum(f1) / len(f1), sorted(text.spans) == spans,
                expected_spans=sorted(text.spans), predicted_spans=spans,
            )
        )  # fmt: skip
    return items


def word_item(key: str, text: str, words: Sequence[MaskedWord], part: str = "") -> EvaluatedItem:
    """A text with its masked words; the score is the share of them that is predicted correctly."""
    ordered = sorted(words, key=lambda word: (word.start, word.end))
    share = sum(word.correct for word in ordered) / max(1, len(ordered))
    return EvaluatedItem(key, text, share, share == 1.0, part=part, words=ordered)


def _means(scores: Scores) -> dict[str, float]:
    """Item -> its score, the mean over fine-tunes."""
    return {
        key: float(sum(row[number] for row in scores.values) / len(scores.values))
        for number, key in enumerate(scores.ids)
    }
