"""Masked-word recovery in long documents, by position in the document."""

from __future__ import annotations

from itertools import pairwise
from typing import ClassVar, Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from rexplug.components import EvaluationContext, EvaluationResult, Scores
from rexplug.errors import DataError, NotApplicable
from rexplug.evaluation.document_evaluator import DocumentEvaluator


class LongDocuments(DocumentEvaluator):
    """Masked-word recovery in long documents, by position: what an extension of the context is for.

    Words anywhere in a document are masked; accuracy is reported per range of positions, counted in tokens of the
    evaluated model. The protocol is our own.
    """

    name: ClassVar[str] = "long_documents"

    documents: int = Field(default=12, ge=1)
    """Documents of each source, at most; those with fewer than `min_words` words are left out."""
    min_words: int = Field(default=1500, ge=1)
    """Shorter documents are left out: they have no distant context."""
    edges: tuple[int, ...] = (0, 512, 1024, 2048, 4096, 8192)
    """Where the ranges of positions begin and end."""
    max_tokens: int = Field(default=8192, ge=16)
    """Documents are read up to here."""
    rate: float = Field(default=0.15, gt=0, lt=1)
    """Share of the words that is masked."""

    @model_validator(mode="after")
    def _require_ascending_edges(self) -> Self:
        if len(self.edges) < 3 or list(self.edges) != sorted(set(self.edges)):
            raise PydanticCustomError("edges", "edges must be at least three ascending numbers", {})
        return self

    def evaluate(self, context: EvaluationContext) -> EvaluationResult:
        """Measure the accuracy per range of positions, with bootstrap intervals over documents.

        The context of each masked word is the document up to `max_tokens`.

        Raises:
            DataError: no document is long enough.
            NotApplicable: the model's longest input ends before the second range.
        """
        import numpy as np

        from rexplug.evaluation.masked_words import document_generator, mask_words
        from rexplug.evaluation.statistics import bootstrap_metric
        from rexplug.text.words import word_spans

        encoder = context.encoder
        limit = min(self.max_tokens, encoder.max_tokens)
        ranges = [(a, b) for a, b in pairwise(self.edges) if b <= limit]
        if len(ranges) < 2:
            raise NotApplicable(f"the model reads {encoder.max_tokens:,} tokens at most, less than two of the ranges")
        masked_texts, ids = [], []
        for documents in self.select_documents(context).values():
            for document in documents:
                words = word_spans(document.text)
                if len(words) < self.min_words:
                    continue
                count = max(1, round(self.rate * len(words)))
                generator = document_generator(context.seed, document.id)
                chosen = [words[i] for i in sorted(generator.choice(len(words), count, replace=False))]
                masked_texts.append(mask_words(document.text, chosen, encoder.tokenizer, limit))
                ids.append(document.id)
        if not masked_texts:
            raise DataError(f"{self.label}: no document has {self.min_words:,} words; lower min_words")
        predictions = encoder.predict_masked(
            [masked.token_ids for masked in masked_texts], [masked.positions for masked in masked_texts], 1
        )
        # Of each range: ids of documents, words restored and words masked.
        counts: dict[str, tuple[list[str], list[float], list[float]]] = {f"{a}-{b}": ([], [], []) for a, b in ranges}
        for document_id, masked, predicted in zip(ids, masked_texts, predictions, strict=True):
            if not len(masked.word_of):
                continue
            restored = np.array(masked.restored(predicted[:, 0], int(masked.word_of.max()) + 1))
            # The position of a word is that of its first token.
            words_in_reach, first_tokens = np.unique(masked.word_of, return_index=True)
            positions = masked.positions[first_tokens]
            for a, b in ranges:
                inside = words_in_reach[(positions >= a) & (positions < b)]
                if len(inside):
                    keys, hits, totals = counts[f"{a}-{b}"]
                    keys.append(document_id)
                    hits.append(float(restored[inside].sum()))
                    totals.append(float(len(inside)))
        scores = {name: Scores(keys, [hits], [totals]) for name, (keys, hits, totals) in counts.items() if keys}
        metrics = {name: bootstrap_metric(score, context.seed) for name, score in scores.items()}
        rows = [
            {
                "positions": name,
                "accuracy": metrics[name].value,
                "words": metrics[name].num_items,
                "documents": len(scores[name].ids),
            }
            for name in metrics
        ]
        notes = [
            f"{len(masked_texts)} documents, read up to {limit:,} tokens; positions are the evaluated model's tokens."
        ]
        return EvaluationResult(
            metrics, main=list(metrics)[-1], tables={"by position": rows}, notes=notes, scores=scores
        )
