"""Masked-token recovery: ours on whole words, and the published protocol."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from rexplug.components import Document, Encoder, EvaluationContext, EvaluationResult, Scores, Shard, split_of
from rexplug.errors import DataError
from rexplug.evaluation.statistics import metric
from rexplug.text.words import word_spans

if TYPE_CHECKING:
    from rexplug.evaluation.evaluators import MaskedRecovery, _OnTexts

_EXAMPLES = 6
_BLOCK = 128
_PUBLISHED_RATE = 0.15
_PUBLISHED_SEED = 42
_MAP_BATCH = 1000
"""Documents that are joined before the tail that fills no block is dropped."""


@dataclass(frozen=True)
class _Item:
    """A document's excerpt and the words that are masked in it (characters); `salient` tells which matter."""

    id: str
    text: str
    words: list[tuple[int, int]]
    salient: list[bool]


def evaluate_recovery(evaluator: MaskedRecovery, context: EvaluationContext) -> EvaluationResult:
    """Run the protocols on the held-out documents of each source.

    Raises:
        DataError: a source that was asked for does not exist, or nothing was held out.
    """
    scores: dict[str, Scores] = {}
    examples: list[dict[str, Any]] = []
    texts = texts_of(evaluator, context)
    for source, documents in texts.items():
        items = choose_words(documents, evaluator.words, evaluator.rate, context, evaluator.draws)
        if not items:
            raise DataError(f"{evaluator.label}: no held-out document of '{source}' has two words")
        right = recover(items, context.encoder, examples, source)
        scores |= _ours(source, items, right)
        if evaluator.published:
            scores |= published(source, documents, context.encoder, evaluator.published_limit)
    metrics = {name: metric(each, context.seed) for name, each in scores.items()}
    return EvaluationResult(metrics, main=f"{list(texts)[-1]}.words", examples=examples, scores=scores)


def texts_of(evaluator: _OnTexts, context: EvaluationContext) -> dict[str, Sequence[Document]]:
    """The documents to measure on: those of the evaluator's own `texts`, else what the run held out.

    Raises:
        DataError: a source that was asked for does not exist, or there are no documents.
    """
    if evaluator.texts:
        return own_texts(evaluator)
    if not context.held_out:
        raise DataError(
            f"{evaluator.label}: there are no held-out documents; evaluate with the recipe of a run, or give it 'texts'"
        )
    return _chosen(evaluator, {name: list(documents) for name, documents in context.held_out.items()})


def own_texts(evaluator: _OnTexts) -> dict[str, Sequence[Document]]:
    """The documents of the evaluator's own `texts` that are measured on, by source.

    Raises:
        DataError: a source that was asked for does not exist, or there are no documents.
    """
    own = {name: list(source.documents(Shard(0, 1))) for name, source in evaluator.texts.items()}
    kept = {
        name: sorted(documents, key=lambda d: hashlib.blake2b(d.text.encode(), digest_size=8).digest())
        for name, documents in own.items()
    }
    return _chosen(evaluator, kept)


def _chosen(evaluator: _OnTexts, kept: Mapping[str, Sequence[Document]]) -> dict[str, Sequence[Document]]:
    found: dict[str, Sequence[Document]] = {}
    for name in evaluator.sources or tuple(kept):
        if name not in kept:
            raise DataError(f"{evaluator.label}: there is no source '{name}'; the sources are {', '.join(kept)}")
        documents = kept[name]
        if evaluator.part != "all":
            documents = [each for each in documents if split_of(each.text, dev=0.5, test=0.5) == evaluator.part]
        found[name] = documents[: evaluator.documents]
        if not found[name]:
            raise DataError(f"{evaluator.label}: nothing of '{name}' was held out; raise curation.held_out")
    return found


def choose_words(
    documents: Sequence[Document], limit: int, rate: float, context: EvaluationContext, draws: int = 1
) -> list[_Item]:
    """Which words are masked: drawn by document id, on text, so they are the same for every model and tokenizer.

    Each document is masked `draws` times, no word twice; the items of a document lie side by side.
    """
    excerpts = []
    for document in documents:
        words = word_spans(document.text)[:limit]
        if len(words) >= 2:
            excerpts.append((document, document.text[: words[-1][1]], words))
    salience = context.salience([text for _, text, _ in excerpts])
    items = []
    for number, (document, text, words) in enumerate(excerpts):
        key = hashlib.blake2b(f"{context.seed}/{document.id}".encode(), digest_size=8).digest()
        generator = np.random.default_rng(int.from_bytes(key, "little"))
        count = max(1, round(rate * len(words)))
        marks = salience[number] if salience is not None else None
        order = generator.choice(len(words), min(draws * count, len(words)), replace=False)
        for first in range(0, len(order), count):
            chosen = [words[i] for i in sorted(order[first : first + count])]
            salient = [bool(marks[a:b].any()) if marks is not None else False for a, b in chosen]
            items.append(_Item(document.id, text, chosen, salient))
    return items


@dataclass(frozen=True)
class Masked:
    """A text with words behind [MASK]: `row` `[n]` token ids, `positions` `[m]` of the masked tokens, `word_of` `[m]` the
    word that each belongs to, `truth` `[m]` what stood there."""

    row: NDArray[np.int64]
    positions: NDArray[np.int64]
    word_of: NDArray[np.int64]
    truth: NDArray[np.int64]

    def found(self, predicted: NDArray[np.int64], num_words: int) -> list[bool]:
        """Per word whether all its tokens are right; words that were cut off are wrong."""
        right = np.zeros(num_words, bool)
        right[self.word_of] = True
        right[self.word_of[predicted != self.truth]] = False
        return [bool(each) for each in right]


def mask_words(text: str, words: Sequence[tuple[int, int]], tokenizer: Any, limit: int) -> Masked:
    """Put every token that shares a character with one of `words` (characters, in order) behind [MASK]."""
    encoded = tokenizer(text, truncation=True, max_length=limit, return_offsets_mapping=True)
    row = np.array(encoded["input_ids"], np.int64)
    positions: list[int] = []
    word_of: list[int] = []
    number = 0
    for place, (start, end) in enumerate(encoded["offset_mapping"]):
        while number < len(words) and words[number][1] <= start:
            number += 1
        if number < len(words) and start < words[number][1] and end > words[number][0]:
            positions.append(place)
            word_of.append(number)
    where = np.array(positions, np.int64)
    truth = row[where]
    row[where] = tokenizer.mask_token_id
    return Masked(row, where, np.array(word_of, np.int64), truth)


def recover(items: Sequence[_Item], encoder: Encoder, examples: list[dict[str, Any]], source: str) -> list[list[bool]]:
    """Per item and masked word whether all its tokens were predicted; a few examples are added."""
    tokenizer = encoder.tokenizer
    limit = min(encoder.max_tokens, 1024)
    masked = [mask_words(item.text, item.words, tokenizer, limit) for item in items]
    predicted = encoder.predict_masked([each.row for each in masked], [each.positions for each in masked], 1)
    result = []
    shown: set[str] = set()
    for item, each, guess in zip(items, masked, predicted, strict=True):
        best = guess[:, 0] if len(guess) else np.zeros(0, np.int64)
        result.append(each.found(best, len(item.words)))
        if item.id not in shown and len(shown) < _EXAMPLES // 2:
            shown.add(item.id)
            examples.append(_example(item, best, each.word_of, tokenizer, source))
    return result


def _example(
    item: _Item, predicted: NDArray[np.int64], word_of: NDArray[np.int64], tokenizer: Any, source: str
) -> dict[str, Any]:
    shown, last = [], 0
    for start, end in item.words[:6]:
        shown.append(item.text[last:start] + "[MASK]")
        last = end
    pairs = [
        {
            "truth": item.text[start:end], "predicted": tokenizer.decode(predicted[word_of == number].tolist()).strip(),
            "salient": item.salient[number],
        }
        for number, (start, end) in enumerate(item.words[:6])
    ]  # fmt: skip
    return {"source": source, "text": "".join(shown), "words": pairs}


def _ours(source: str, items: Sequence[_Item], right: Sequence[Sequence[bool]]) -> Mapping[str, Scores]:
    """Words of a document that came back, out of those masked: all, salient and plain ones."""
    found = {}
    some_salient = any(any(item.salient) for item in items)
    for name in ("words", "salient", "plain"):
        good: dict[str, float] = {}
        count: dict[str, float] = {}
        for item, hits in zip(items, right, strict=True):
            inside = [h for h, s in zip(hits, item.salient, strict=True) if name == "words" or s == (name == "salient")]
            if inside:
                # The draws of a document are one item: what is judged again and again in one text is not independent.
                good[item.id] = good.get(item.id, 0.0) + sum(inside)
                count[item.id] = count.get(item.id, 0.0) + len(inside)
        if good and (name == "words" or some_salient):
            found[f"{source}.{name}"] = Scores(list(good), [list(good.values())], [list(count.values())])
    return found


def published(
    source: str, documents: Sequence[Document], encoder: Encoder, limit: int | None = None
) -> Mapping[str, Scores]:
    """acc@1, @3, @5 of bajajra/RexBERT `eval/mlm`: texts joined into 128-token blocks, 15 % of the tokens, 80/10/10.

    Its limits, kept: a tenth of the scored positions shows the true token and a tenth a random one, blocks mix documents,
    and targets depend on the tokenizer, so that only models that share one can be compared. `limit` cuts documents, which
    the protocol does not.
    """
    tokenizer = encoder.tokenizer
    parts = []
    for start in range(0, len(documents), _MAP_BATCH):
        texts = [
            each.text if limit is None else each.text[: 8 * limit] for each in documents[start : start + _MAP_BATCH]
        ]
        flat = np.concatenate([np.array(ids[:limit], np.int64) for ids in tokenizer(texts)["input_ids"]])
        parts.append(flat[: len(flat) // _BLOCK * _BLOCK].reshape(-1, _BLOCK))
    blocks = np.concatenate(parts)
    if not len(blocks):
        return {}
    generator = np.random.default_rng(_PUBLISHED_SEED)
    special = np.isin(blocks, tokenizer.all_special_ids)
    chosen = (generator.random(blocks.shape) < _PUBLISHED_RATE) & ~special
    kind = generator.random(blocks.shape)
    shown = np.where(chosen & (kind < 0.8), tokenizer.mask_token_id, blocks)
    random_ids = generator.integers(len(tokenizer), size=blocks.shape)
    shown = np.where(chosen & (kind >= 0.8) & (kind < 0.9), random_ids, shown)
    positions = [np.flatnonzero(line) for line in chosen]
    predicted = encoder.predict_masked(list(shown), positions, 5)
    found = {}
    for top in (1, 3, 5):
        hits = np.array(
            [
                (guess[:, :top] == block[place][:, None]).any(1).sum()
                for guess, block, place in zip(predicted, blocks, positions, strict=True)
            ],
            np.float64,
        )
        ids = [str(number) for number in range(len(blocks))]
        counts = [float(len(each)) for each in positions]
        found[f"{source}.published_acc@{top}"] = Scores(ids, [hits.tolist()], [counts])
    return found
