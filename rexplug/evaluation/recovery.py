"""Masked-token recovery: ours on whole words, and the published protocol."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from rexplug.components import Document, Encoder, EvaluationContext, EvaluationResult, Metric
from rexplug.errors import DataError
from rexplug.evaluation.statistics import ratio

if TYPE_CHECKING:
    from rexplug.evaluation.evaluators import MaskedRecovery

_WORD = re.compile(r"\w+")
_EXAMPLES = 6
_BLOCK = 128
_PUBLISHED_RATE = 0.15
_PUBLISHED_SEED = 42


@dataclass(frozen=True)
class _Item:
    """A document's excerpt and the words that are masked in it (characters); `salient` tells which matter."""

    text: str
    words: list[tuple[int, int]]
    salient: list[bool]


def evaluate_recovery(evaluator: MaskedRecovery, context: EvaluationContext) -> EvaluationResult:
    """Run the protocols on the held-out documents of each source.

    Raises:
        DataError: a source that was asked for does not exist, or nothing was held out.
    """
    metrics: dict[str, Metric] = {}
    examples: list[dict[str, Any]] = []
    sources = evaluator.sources or tuple(context.held_out)
    for source in sources:
        if source not in context.held_out:
            raise DataError(
                f"masked_recovery: there is no source '{source}'; the sources are {', '.join(context.held_out)}"
            )
        documents = context.held_out[source][: evaluator.documents]
        if not documents:
            raise DataError(f"masked_recovery: nothing of '{source}' was held out; raise curation.held_out")
        items = choose_words(documents, evaluator.words, evaluator.rate, context)
        if not items:
            raise DataError(f"masked_recovery: no held-out document of '{source}' has two words")
        right = recover(items, context.encoder, examples, source)
        metrics |= _ours(source, items, right, context.seed)
        if evaluator.published:
            metrics |= published(source, documents, context.encoder, context.seed)
    return EvaluationResult(metrics, main=f"{sources[-1]}.words", examples=examples)


def choose_words(documents: Sequence[Document], limit: int, rate: float, context: EvaluationContext) -> list[_Item]:
    """Which words are masked: drawn by document id, on text, so they are the same for every model and tokenizer."""
    excerpts = []
    for document in documents:
        words = [match.span() for match in _WORD.finditer(document.text)][:limit]
        if len(words) >= 2:
            excerpts.append((document, document.text[: words[-1][1]], words))
    salience = context.salience([text for _, text, _ in excerpts])
    items = []
    for number, (document, text, words) in enumerate(excerpts):
        key = hashlib.blake2b(f"{context.seed}/{document.id}".encode(), digest_size=8).digest()
        generator = np.random.default_rng(int.from_bytes(key, "little"))
        count = max(1, round(rate * len(words)))
        chosen = [words[i] for i in sorted(generator.choice(len(words), count, replace=False))]
        marks = salience[number] if salience is not None else None
        items.append(_Item(text, chosen, [bool(marks[a:b].any()) if marks is not None else False for a, b in chosen]))
    return items


def recover(items: Sequence[_Item], encoder: Encoder, examples: list[dict[str, Any]], source: str) -> list[list[bool]]:
    """Per item and masked word whether all its tokens were predicted; a few examples are added."""
    tokenizer = encoder.tokenizer
    rows: list[NDArray[np.int64]] = []
    positions: list[NDArray[np.int64]] = []
    of_word: list[list[int]] = []
    truths: list[NDArray[np.int64]] = []
    limit = min(encoder.max_tokens, 1024)
    for item in items:
        encoded = tokenizer(item.text, truncation=True, max_length=limit, return_offsets_mapping=True)
        ids = np.array(encoded["input_ids"], np.int64)
        places: list[int] = []
        words: list[int] = []
        for place, (start, end) in enumerate(encoded["offset_mapping"]):
            for number, (a, b) in enumerate(item.words):
                if start < b and end > a:
                    places.append(place)
                    words.append(number)
                    break
        where = np.array(places, np.int64)
        truths.append(ids[where])
        masked = ids.copy()
        masked[where] = tokenizer.mask_token_id
        rows.append(masked)
        positions.append(where)
        of_word.append(words)
    predicted = encoder.fill(rows, positions, 1)
    result = []
    for index, item in enumerate(items):
        hit = predicted[index][:, 0] == truths[index] if len(positions[index]) else np.zeros(0, bool)
        seen = set(of_word[index])
        wrong = {word for word, ok in zip(of_word[index], hit, strict=True) if not ok}
        result.append([number in seen and number not in wrong for number in range(len(item.words))])
        if index < _EXAMPLES // 2:
            examples.append(_example(item, predicted[index], of_word[index], tokenizer, source))
    return result


def _example(
    item: _Item, predicted: NDArray[np.int64], words: Sequence[int], tokenizer: Any, source: str
) -> dict[str, Any]:
    shown, last = [], 0
    for start, end in item.words[:6]:
        shown.append(item.text[last:start] + "[MASK]")
        last = end
    pairs = []
    for number, (start, end) in enumerate(item.words[:6]):
        ids = [
            int(token)
            for token, word in zip(predicted[:, 0] if len(predicted) else [], words, strict=True)
            if word == number
        ]
        pairs.append(
            {"truth": item.text[start:end], "predicted": tokenizer.decode(ids).strip(), "salient": item.salient[number]}
        )
    return {"source": source, "text": "".join(shown), "words": pairs}


def _ours(source: str, items: Sequence[_Item], right: Sequence[Sequence[bool]], seed: int) -> Mapping[str, Metric]:
    groups: dict[str, tuple[list[float], list[float]]] = {name: ([], []) for name in ("words", "salient", "plain")}
    for item, hits in zip(items, right, strict=True):
        for name, (good, count) in groups.items():
            inside = [h for h, s in zip(hits, item.salient, strict=True) if name == "words" or s == (name == "salient")]
            good.append(float(sum(inside)))
            count.append(float(len(inside)))
    found = {}
    for name, (good, count) in groups.items():
        if sum(count) and (name == "words" or any(any(item.salient) for item in items)):
            found[f"{source}.{name}"] = ratio(np.array(good), np.array(count), seed)
    return found


def published(source: str, documents: Sequence[Document], encoder: Encoder, seed: int) -> Mapping[str, Metric]:
    """acc@1, @3, @5 of bajajra/RexBERT `eval/mlm`: texts joined into 128-token blocks, 15 % of the tokens, 80/10/10.

    Its limits, kept: a tenth of the scored positions shows the true token, blocks mix documents, and targets depend on
    the tokenizer, so that only models that share one can be compared.
    """
    tokenizer = encoder.tokenizer
    limit = 8 * _BLOCK
    flat = np.concatenate(
        [
            np.array(ids[:limit], np.int64)
            for ids in tokenizer([each.text[: 8 * limit] for each in documents])["input_ids"]
        ]
    )
    blocks = flat[: len(flat) // _BLOCK * _BLOCK].reshape(-1, _BLOCK)
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
    predicted = encoder.fill(list(shown), positions, 5)
    found = {}
    for top in (1, 3, 5):
        hits = np.array(
            [
                (guess[:, :top] == block[place][:, None]).any(1).sum()
                for guess, block, place in zip(predicted, blocks, positions, strict=True)
            ],
            np.float64,
        )
        found[f"{source}.published_acc@{top}"] = ratio(hits, np.array([len(p) for p in positions], np.float64), seed)
    return found
