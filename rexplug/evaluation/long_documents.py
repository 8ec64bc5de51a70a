"""Masked words of long documents, by where they stand."""

from __future__ import annotations

import hashlib
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from rexplug.components import EvaluationContext, EvaluationResult, Scores
from rexplug.errors import DataError, NotApplicable
from rexplug.evaluation.recovery import mask_words, texts_of
from rexplug.evaluation.statistics import metric
from rexplug.text.words import word_spans

if TYPE_CHECKING:
    from rexplug.evaluation.evaluators import LongDocuments


def evaluate_long_documents(evaluator: LongDocuments, context: EvaluationContext) -> EvaluationResult:
    """Accuracy per stretch of positions; the whole document up to `max_tokens` is the context of each word.

    Raises:
        DataError: no document is long enough.
        NotApplicable: the model's longest input ends before the second stretch.
    """
    encoder = context.encoder
    limit = min(evaluator.max_tokens, encoder.max_tokens)
    stretches = [(a, b) for a, b in pairwise(evaluator.edges) if b <= limit]
    if len(stretches) < 2:
        raise NotApplicable(f"the model reads {encoder.max_tokens:,} tokens at most, less than two of the stretches")
    hits: dict[str, tuple[list[str], list[float], list[float]]] = {f"{a}-{b}": ([], [], []) for a, b in stretches}
    masked, ids = [], []
    for documents in texts_of(evaluator, context).values():
        for document in documents:
            words = word_spans(document.text)
            if len(words) < evaluator.min_words:
                continue
            key = hashlib.blake2b(f"{context.seed}/{document.id}".encode(), digest_size=8).digest()
            generator = np.random.default_rng(int.from_bytes(key, "little"))
            count = max(1, round(evaluator.rate * len(words)))
            chosen = [words[i] for i in sorted(generator.choice(len(words), count, replace=False))]
            masked.append(mask_words(document.text, chosen, encoder.tokenizer, limit))
            ids.append(document.id)
    if not masked:
        raise DataError(f"{evaluator.label}: no document has {evaluator.min_words:,} words; lower min_words")
    predicted = encoder.predict_masked([each.row for each in masked], [each.positions for each in masked], 1)
    for name, each, guess in zip(ids, masked, predicted, strict=True):
        if not len(each.word_of):
            continue
        right = np.array(each.found(guess[:, 0], int(each.word_of.max()) + 1))
        # A word stands where its first token does.
        numbers, first = np.unique(each.word_of, return_index=True)
        places = each.positions[first]
        for a, b in stretches:
            inside = numbers[(places >= a) & (places < b)]
            if len(inside):
                found = hits[f"{a}-{b}"]
                found[0].append(name)
                found[1].append(float(right[inside].sum()))
                found[2].append(float(len(inside)))
    scores = {name: Scores(keys, [good], [count]) for name, (keys, good, count) in hits.items() if keys}
    metrics = {name: metric(each, context.seed) for name, each in scores.items()}
    rows = [
        {"positions": name, "accuracy": metrics[name].value, "words": metrics[name].num_items, "documents": len(scores[name].ids)}
        for name in metrics
    ]  # fmt: skip
    notes = [f"{len(masked)} documents, read up to {limit:,} tokens; positions are the evaluated model's tokens."]
    return EvaluationResult(metrics, main=list(metrics)[-1], tables={"by position": rows}, notes=notes, scores=scores)
