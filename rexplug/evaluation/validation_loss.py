"""Validation loss of masked language modelling, and pseudo-perplexity."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from math import exp
from typing import TYPE_CHECKING, ClassVar, Literal, NamedTuple, Self

from pydantic import Field

from rexplug.components import Budget, Document, Encoder, EvaluationContext, EvaluationResult, Metric, Scores
from rexplug.components.evaluation_tasks import scaled_items
from rexplug.errors import DataError, NotApplicable
from rexplug.evaluation.document_evaluator import DocumentEvaluator

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from rexplug.evaluation.text_tokens import TextTokens

_MAX_TOKENS = 1024
"""Of a document of few words: strings without a word's end can have any number of tokens."""
_TOKENS_PER_WORD = 4
_ROWS = 4096
"""Rows that are in memory at once."""
_NATS_PER_BIT = 0.6931471805599453


class ValidationLoss(DocumentEvaluator):
    """Masked-LM validation loss and pseudo-perplexity, on held-out documents or on files of your own; lower is better.

    `loss` is the cross-entropy in nats per masked token, with 15 % of the tokens masked at random, each by [MASK]. Masks depend
    on the seed and the text alone, so that models with one tokenizer see the same ones. `loss_per_byte` divides by the bytes of
    the masked tokens.

    `pseudo_loss` is the mean of -log P of each token when it is masked, in nats, and `pseudo_perplexity` its exponential (Salazar
    et al., 2020, arXiv 1910.14659). By default the later tokens of its word are masked with it (PLL-word-l2r: Kauf and Ivanova,
    2023, arXiv 2305.10588): words that a tokenizer splits would seem easy otherwise. `pseudo_bits_per_byte` is the same loss in
    bits per byte of text, on the same words for every tokenizer; compare models with different tokenizers by it.
    """

    name: ClassVar[str] = "validation_loss"

    title: str | None = Field(default=None, pattern=r"^[a-z0-9_-]+$")
    """Tells several uses of this evaluator apart (held-out documents, files of your own); part of the result's name."""
    words: int = Field(default=128, ge=2)
    """Words of a document that are read, from its start."""
    rate: float = Field(default=0.15, gt=0, lt=1)
    """Share of the tokens that is masked for `loss`."""
    pseudo_words: int | None = Field(default=240, ge=0)
    """Words of each source that pseudo-perplexity is measured on, drawn by the seed from all that are read; `null` for all of
    them, 0 for no pseudo-perplexity. Every token of these words costs a forward pass over its document's text."""
    word_pieces: Literal["l2r", "alone"] = "l2r"
    """What is masked beside a token for pseudo-perplexity: `l2r` the later tokens of its word, `alone` nothing, as first
    published."""

    def at_budget(self, budget: Budget) -> Self:
        """A third of the documents and words for `quick`, three times as many for `full`."""
        scaled = super().at_budget(budget)
        if not self.pseudo_words:
            return scaled
        return scaled.model_copy(update={"pseudo_words": scaled_items(self.pseudo_words, budget)})

    @property
    def label(self) -> str:
        """`validation_loss.<title>`; the name alone without a title."""
        return f"{self.name}.{self.title}" if self.title else self.name

    def evaluate(self, context: EvaluationContext) -> EvaluationResult:
        """Measure `SOURCE.loss`, `SOURCE.pseudo_perplexity` and both by byte, with bootstrap intervals over documents.

        Raises:
            DataError: a source that was asked for does not exist, or nothing was held out.
            NotApplicable: the model has no masked-LM head, or its tokenizer has no mask token.
        """
        from rexplug.evaluation.statistics import bootstrap_metric

        tokenizer = context.encoder.tokenizer
        if tokenizer.mask_token_id is None:
            raise NotApplicable("the model's tokenizer has no mask token, so it predicts no masked words")
        scores: dict[str, Scores] = {}
        unknown = _Share()
        documents_of = self.select_documents(context)
        for source, documents in documents_of.items():
            excerpts = _excerpts(documents, self.words, context)
            if not excerpts:
                raise DataError(f"{self.label}: no document of '{source}' has text")
            for name, score in self._of_source(excerpts, context.encoder, unknown):
                scores[f"{source}.{name}"] = score
        metrics = {}
        for name, score in scores.items():
            metrics[name] = bootstrap_metric(score, context.seed)
            if name.endswith(".pseudo_loss"):
                metrics[f"{name.removesuffix('loss')}perplexity"] = _exponential(metrics[name])
        notes = ["Lower is better. Losses by token compare models that share a tokenizer."]
        if self.pseudo_words != 0:
            masked_too = (
                "with the later tokens of its word (PLL-word-l2r)" if self.word_pieces == "l2r" else "by itself"
            )
            notes.append(f"Pseudo-perplexity: each token is masked {masked_too}.")
        if unknown.part:
            notes.append(
                f"{unknown.part / unknown.whole:.1%} of the tokens are unknown to the tokenizer; the loss on them is that of its "
                "token for unknown text."
            )
        main = f"{list(documents_of)[-1]}.loss"
        shown = [name for name in scores if name.endswith((".loss", ".pseudo_bits_per_byte")) and name != main]
        return EvaluationResult(
            metrics, main=main, notes=notes, scores=scores, headlines=shown, lower_is_better=tuple(metrics)
        )

    def _of_source(
        self, excerpts: Sequence[_Excerpt], encoder: Encoder, unknown: _Share
    ) -> Iterator[tuple[str, Scores]]:
        """The scores of each metric."""
        totals = _sums(_random_targets(excerpts, encoder, self.rate), encoder, unknown)
        yield "loss", totals.by_token()
        yield "loss_per_byte", totals.by_byte()
        if self.pseudo_words == 0:
            return
        chosen = _choose_words(excerpts, self.pseudo_words)
        totals = _sums(_word_targets(excerpts, chosen, encoder, self.word_pieces == "l2r"), encoder, unknown)
        if totals.losses:
            yield "pseudo_loss", totals.by_token()
            yield "pseudo_bits_per_byte", totals.by_byte(unit=_NATS_PER_BIT)


def _exponential(of: Metric) -> Metric:
    """The exponential of a metric and of its interval, whose ends are quantiles and so keep their order."""
    low, high = (None if end is None else exp(end) for end in (of.low, of.high))
    return replace(of, value=exp(of.value), low=low, high=high)


@dataclass
class _Share:
    """How many tokens of those looked at have a property."""

    part: int = 0
    whole: int = 0


@dataclass(frozen=True)
class _Excerpt:
    """The start of a document.

    Attributes:
        document_id: the document's id.
        text: its start.
        words: the word of each character, `[len(text)]`.
        chances: a random number for each character; a token is masked if that of its first one is low, `[len(text)]`.
        order: a random number for each word; the lowest are chosen for pseudo-perplexity, `[words]`.
        max_tokens: it is cut at so many tokens, or where the model's input ends.
    """

    document_id: str
    text: str
    words: NDArray[np.int64]
    chances: NDArray[np.float64]
    order: NDArray[np.float64]
    max_tokens: int

    def tokens(self, encoder: Encoder) -> TextTokens:
        """Its tokens."""
        from rexplug.evaluation.text_tokens import TextTokens

        return TextTokens.of(self.text, self.words, encoder.tokenizer, min(encoder.max_tokens, self.max_tokens))


def _excerpts(documents: Sequence[Document], limit: int, context: EvaluationContext) -> list[_Excerpt]:
    """The first `limit` words of each document that has some."""
    from rexplug.evaluation.masked_words import document_generator
    from rexplug.evaluation.text_tokens import words_of_characters
    from rexplug.text.words import word_spans

    excerpts = []
    for document in documents:
        spans = word_spans(document.text)[:limit]
        if not spans:
            continue
        text = document.text[: spans[-1][1]]
        words = words_of_characters(text)
        generator = document_generator(context.seed, document.id)
        chances, order = generator.random(len(text)), generator.random(int(words.max(initial=-1)) + 1)
        max_tokens = max(_MAX_TOKENS, _TOKENS_PER_WORD * limit)
        excerpts.append(_Excerpt(document.id, text, words, chances, order, max_tokens))
    return excerpts


class _Target(NamedTuple):
    """A row with masks, and the tokens to predict in it."""

    document_id: str
    row: NDArray[np.int64]
    positions: NDArray[np.int64]
    ids: NDArray[np.int64]
    num_bytes: float


@dataclass(frozen=True)
class _Sums:
    """Sums over the predicted tokens of each document: losses in nats, tokens, bytes."""

    losses: Mapping[str, float]
    tokens: Mapping[str, float]
    num_bytes: Mapping[str, float]

    def by_token(self) -> Scores:
        """Mean loss of a token, in nats."""
        ids = list(self.losses)
        return Scores(ids, [list(self.losses.values())], [[self.tokens[i] for i in ids]])

    def by_byte(self, unit: float = 1.0) -> Scores:
        """Mean loss of a byte in units of this many nats."""
        ids = list(self.losses)
        return Scores(ids, [[loss / unit for loss in self.losses.values()]], [[self.num_bytes[i] for i in ids]])


def _random_targets(excerpts: Sequence[_Excerpt], encoder: Encoder, rate: float) -> Iterator[_Target]:
    """A row per document in which each token is masked with a probability of `rate`, and at least one."""
    import numpy as np

    mask = encoder.tokenizer.mask_token_id
    for excerpt in excerpts:
        tokens = excerpt.tokens(encoder)
        chances = excerpt.chances[tokens.first_character]
        if len(chances):
            chosen = np.flatnonzero(chances < max(rate, np.nextafter(chances.min(), 1)))
            yield _Target(
                excerpt.document_id, tokens.masked(chosen, mask), tokens.positions[chosen], tokens.ids(chosen),
                float(tokens.num_bytes[chosen].sum()),
            )  # fmt: skip


def _choose_words(excerpts: Sequence[_Excerpt], limit: int | None) -> list[NDArray[np.int64]]:
    """Numbers of words of each excerpt: at most `limit` of all together, every word with the same probability."""
    import numpy as np

    every = np.concatenate([excerpt.order for excerpt in excerpts])
    if limit is None or limit >= len(every):
        return [np.arange(len(excerpt.order)) for excerpt in excerpts]
    highest = np.partition(every, limit - 1)[limit - 1]
    return [np.flatnonzero(excerpt.order <= highest) for excerpt in excerpts]


def _word_targets(
    excerpts: Sequence[_Excerpt], chosen: Sequence[NDArray[np.int64]], encoder: Encoder, to_the_right: bool
) -> Iterator[_Target]:
    """A row for every token of the chosen words, masked alone or with the later tokens of its word."""
    mask = encoder.tokenizer.mask_token_id
    for excerpt, words in zip(excerpts, chosen, strict=True):
        tokens = excerpt.tokens(encoder) if len(words) else None
        for word in words.tolist():
            assert tokens is not None
            of_word = tokens.of_word(word)
            for place in range(len(of_word)):
                token = of_word[place : place + 1]
                hidden = of_word[place:] if to_the_right else token
                yield _Target(
                    excerpt.document_id, tokens.masked(hidden, mask), tokens.positions[token], tokens.ids(token),
                    float(tokens.num_bytes[token].sum()),
                )  # fmt: skip


def _sums(targets: Iterator[_Target], encoder: Encoder, unknown: _Share) -> _Sums:
    """Predict all targets, some thousand rows at a time."""
    losses: dict[str, float] = {}
    tokens: dict[str, float] = {}
    num_bytes: dict[str, float] = {}
    while batch := list(islice(targets, _ROWS)):
        log_probs = encoder.token_log_probs(
            [target.row for target in batch], [target.positions for target in batch], [target.ids for target in batch]
        )
        for target, of_target in zip(batch, log_probs, strict=True):
            key = target.document_id
            losses[key] = losses.get(key, 0.0) - float(of_target.sum(dtype=float))
            tokens[key] = tokens.get(key, 0.0) + len(target.ids)
            num_bytes[key] = num_bytes.get(key, 0.0) + target.num_bytes
            unknown.part += int((target.ids == encoder.tokenizer.unk_token_id).sum())
            unknown.whole += len(target.ids)
    return _Sums(losses, tokens, num_bytes)
