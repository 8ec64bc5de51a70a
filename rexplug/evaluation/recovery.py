"""Masked-word recovery: the share of masked words that a model predicts correctly."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from rexplug.components import (
    Document,
    Encoder,
    EvaluatedItem,
    EvaluationContext,
    EvaluationResult,
    MaskedWord,
    Scores,
)
from rexplug.components.evaluator import DETAIL
from rexplug.errors import DataError
from rexplug.evaluation.document_evaluator import DocumentEvaluator
from rexplug.evaluation.item_files import stored_ids
from rexplug.evaluation.items import word_item

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_EXAMPLES = 3
"""Documents of each source that the report shows."""
_EXAMPLE_WORDS = 6
_MAX_TOKENS = 1024


class MaskedRecovery(DocumentEvaluator):
    """Masks words of held-out documents and counts those that the model predicts correctly.

    Two protocols: ours masks whole words, the same words for every tokenizer, and reports salient and plain words
    apart; `published` follows bajajra/RexBERT `eval/mlm` (128-token blocks, 15 %, 80/10/10, top 1, 3 and 5).
    """

    name: ClassVar[str] = "masked_recovery"

    words: int = Field(default=128, ge=8)
    """Words of a document to choose from, from its start."""
    rate: float = Field(default=0.15, gt=0, lt=1)
    """Share of the words that is masked."""
    draws: int = Field(default=1, ge=1)
    """How many times each document is masked, no word twice; more masked words narrow the intervals of few documents."""
    published: bool = True
    """Run the published protocol too."""
    published_limit: int | None = Field(default=1024, ge=128)
    """Tokens of a document that the published protocol reads here; the protocol itself has no limit (`null`)."""

    @model_validator(mode="after")
    def _words_suffice(self) -> Self:
        if self.draws * self.rate > 1:
            raise PydanticCustomError(
                "draws", "draws times rate is above 1: there are not that many words to mask; lower one of them", {}
            )
        return self

    def evaluate(self, context: EvaluationContext) -> EvaluationResult:
        """Measure the accuracy per source, with bootstrap intervals over documents.

        Raises:
            DataError: a source that was asked for does not exist, or nothing was held out.
        """
        from rexplug.evaluation.published_protocol import published_accuracy
        from rexplug.evaluation.statistics import bootstrap_metric

        scores: dict[str, Scores] = {}
        tags: dict[str, Sequence[str]] = {}
        examples: list[dict[str, Any]] = []
        items: list[EvaluatedItem] = []
        documents_of = self.select_documents(context)
        for source, documents in documents_of.items():
            excerpts = choose_words(documents, self.words, self.rate, context, self.draws)
            if not excerpts:
                raise DataError(f"{self.label}: no held-out document of '{source}' has two words")
            restored = _recover(excerpts, context.encoder, examples, items, source)
            for part, of_part in word_scores(excerpts, restored).items():
                scores[f"{source}.{part}"] = of_part
                tags[f"{source}.{part}"] = (DETAIL, part)
            if self.published:
                scores |= published_accuracy(source, documents, context.encoder, self.published_limit)
        metrics = {
            name: bootstrap_metric(score, context.seed, tags=tags.get(name, ())) for name, score in scores.items()
        }
        main = f"{list(documents_of)[-1]}.words"
        return EvaluationResult(metrics, main=main, examples=examples, scores=scores, items=items)


@dataclass(frozen=True)
class Excerpt:
    """The start of a document and the words to mask in it.

    Attributes:
        document_id: the document's id.
        text: the excerpt.
        words: first character and end of each masked word, in order.
        salient: per masked word, whether the recipe's scorer marks it.
    """

    document_id: str
    text: str
    words: list[tuple[int, int]]
    salient: list[bool]


def choose_words(
    documents: Sequence[Document], limit: int, rate: float, context: EvaluationContext, draws: int = 1
) -> list[Excerpt]:
    """Choose the words to mask, by document id and on text: the same words for every model and tokenizer.

    Args:
        documents: those with fewer than two words are left out.
        limit: words of a document to choose from, from its start.
        rate: share of these words that is masked.
        context: gives the seed and the salience of characters.
        draws: excerpts of each document, no word masked twice; they are next to each other in the result.
    """
    from rexplug.evaluation.masked_words import document_generator
    from rexplug.text.words import word_spans

    starts = []
    for document in documents:
        words = word_spans(document.text)[:limit]
        if len(words) >= 2:
            starts.append((document.id, document.text[: words[-1][1]], words))
    salience = context.salience([text for _, text, _ in starts])
    excerpts = []
    for number, (document_id, text, words) in enumerate(starts):
        count = max(1, round(rate * len(words)))
        marks = salience[number] if salience is not None else None
        generator = document_generator(context.seed, document_id)
        order = generator.choice(len(words), min(draws * count, len(words)), replace=False)
        for first in range(0, len(order), count):
            chosen = [words[i] for i in sorted(order[first : first + count])]
            salient = [bool(marks[a:b].any()) if marks is not None else False for a, b in chosen]
            excerpts.append(Excerpt(document_id, text, chosen, salient))
    return excerpts


def _recover(
    excerpts: Sequence[Excerpt],
    encoder: Encoder,
    examples: list[dict[str, Any]],
    items: list[EvaluatedItem],
    source: str,
) -> list[list[bool]]:
    """Per excerpt and masked word whether all its tokens are predicted correctly; appends a few examples, and the items."""
    from rexplug.evaluation.masked_words import mask_words

    tokenizer = encoder.tokenizer
    limit = min(encoder.max_tokens, _MAX_TOKENS)
    masked_texts = [mask_words(excerpt.text, excerpt.words, tokenizer, limit) for excerpt in excerpts]
    predictions = encoder.predict_masked(
        [masked.token_ids for masked in masked_texts], [masked.positions for masked in masked_texts], 1
    )
    restored = []
    shown: set[str] = set()
    chosen = stored_ids(f"{source}/{excerpt.document_id}" for excerpt in excerpts)
    words: dict[str, tuple[str, list[MaskedWord]]] = {}
    for excerpt, masked, predicted in zip(excerpts, masked_texts, predictions, strict=True):
        best = predicted[:, 0]
        restored.append(masked.restored(best, len(excerpt.words)))
        key = f"{source}/{excerpt.document_id}"
        if key in chosen:
            # All draws of a document are one item.
            words.setdefault(key, (excerpt.text, []))[1].extend(
                MaskedWord(start, end, tokenizer.decode(best[masked.word_of == number].tolist()).strip(), correct)
                for number, ((start, end), correct) in enumerate(zip(excerpt.words, restored[-1], strict=True))
            )
        if excerpt.document_id not in shown and len(shown) < _EXAMPLES:
            shown.add(excerpt.document_id)
            examples.append(_example(excerpt, best, masked.word_of, tokenizer, source))
    items.extend(word_item(key, text, of_text, source) for key, (text, of_text) in words.items())
    return restored


def _example(
    excerpt: Excerpt, predicted: NDArray[np.int64], word_of: NDArray[np.int64], tokenizer: Any, source: str
) -> dict[str, Any]:
    pieces, end_of_last = [], 0
    for start, end in excerpt.words[:_EXAMPLE_WORDS]:
        pieces.append(excerpt.text[end_of_last:start] + "[MASK]")
        end_of_last = end
    words = [
        {
            "truth": excerpt.text[start:end],
            "predicted": tokenizer.decode(predicted[word_of == number].tolist()).strip(),
            "salient": excerpt.salient[number],
        }
        for number, (start, end) in enumerate(excerpt.words[:_EXAMPLE_WORDS])
    ]
    return {"source": source, "text": "".join(pieces), "words": words}


def word_scores(excerpts: Sequence[Excerpt], restored: Sequence[Sequence[bool]]) -> Mapping[str, Scores]:
    """Restored words of each document out of those masked: `words` of all, and `salient` and `plain` ones apart."""
    scores = {}
    some_salient = any(any(excerpt.salient) for excerpt in excerpts)
    for name in ("words", "salient", "plain"):
        correct: dict[str, float] = {}
        count: dict[str, float] = {}
        for excerpt, hits in zip(excerpts, restored, strict=True):
            counted = [
                hit
                for hit, salient in zip(hits, excerpt.salient, strict=True)
                if name == "words" or salient == (name == "salient")
            ]
            if counted:
                # All draws of a document are one item: words of the same text are not independent.
                key = excerpt.document_id
                correct[key] = correct.get(key, 0.0) + sum(counted)
                count[key] = count.get(key, 0.0) + len(counted)
        if correct and (name == "words" or some_salient):
            scores[name] = Scores(list(correct), [list(correct.values())], [list(count.values())])
    return scores
