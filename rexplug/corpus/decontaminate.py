"""Decontamination: drops training documents that contain text of an evaluator, by word n-grams."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from rexplug.components import CorpusFilter, Document, Evaluator, FineTuning, Verdict
from rexplug.corpus.rolling_hash import Hashes, powers, prefix_sums, window_hashes
from rexplug.document_files import files_in
from rexplug.io.atomic import replacing, write_json
from rexplug.plugins.declarations import test_texts, why_no_test_texts
from rexplug.recipe.schema import Decontamination
from rexplug.run_directory import read_json
from rexplug.text.words import lower_words, word_spans

_TABLE_BITS = 22
_MOST_WORDS = 1_000_000
"""Words whose hashes are kept."""


class _Words(dict[str, int]):
    """Word -> 64-bit hash, computed when a word is first looked up."""

    def __missing__(self, word: str) -> int:
        from xxhash import xxh3_64_intdigest

        if len(self) > _MOST_WORDS:
            self.clear()
        value = self[word] = xxh3_64_intdigest(word.encode("utf-8", "replace"))
        return value


_WORDS = _Words()


def word_hashes(text: str) -> Hashes:
    """A hash per word of the lower-cased text, `[num_words]`; punctuation is left out."""
    words = lower_words(text)
    return np.fromiter(map(_WORDS.__getitem__, words), np.uint64, len(words))


def ngram_hashes(words: Hashes, length: int) -> Hashes:
    """A hash of every `length` words in a row, `[len(words) - length + 1]`; empty if there are fewer words."""
    if len(words) < length:
        return np.empty(0, np.uint64)
    inverse, weights = powers(len(words) + 1)  # exchanged, so that an index of an earlier version stays valid
    return window_hashes(prefix_sums(words, weights[:-1]), inverse, length)


@dataclass(frozen=True)
class Match:
    """What a document shares with an evaluator: number and share of its n-grams, and the evaluator's text with most of them."""

    evaluator: str
    text: str
    num_hits: int
    share: float
    excerpt: str


class Index:
    """The n-grams of the evaluators' texts, in the folder that `build_index` wrote."""

    def __init__(self, folder: Path) -> None:
        about = read_json(folder / "about.json")
        self.words: int = about["words"]
        self.texts: list[list[str]] = about["texts"]
        self.hashes = {n: np.load(folder / f"hashes-{n}.npy", mmap_mode="r") for n in about["lengths"]}
        self.owners = {n: np.load(folder / f"owners-{n}.npy", mmap_mode="r") for n in about["lengths"]}
        # Most n-grams of a document occur in no evaluator; a look-up in a small table is enough for those.
        self.tables = {n: np.zeros(1 << _TABLE_BITS, np.bool_) for n in about["lengths"]}
        for n, table in self.tables.items():
            table[self.hashes[n] >> np.uint64(64 - _TABLE_BITS)] = True

    def hits(self, texts: Sequence[str]) -> list[list[tuple[int, int, int]]]:
        """For each text, its hits as (first word, length in words, index of the evaluator's text)."""
        parts = [word_hashes(text) for text in texts]
        words = np.concatenate([np.empty(0, np.uint64), *parts])
        owner = np.repeat(np.arange(len(parts)), [len(part) for part in parts])
        starts = np.concatenate([[0], np.cumsum([len(part) for part in parts])])
        hits: list[list[tuple[int, int, int]]] = [[] for _ in texts]
        for length, known in self.hashes.items():
            if not len(known) or len(words) < length:
                continue
            grams = ngram_hashes(words, length)
            inside = owner[: len(grams)] == owner[length - 1 :]
            maybe = np.flatnonzero(self.tables[length][grams >> np.uint64(64 - _TABLE_BITS)] & inside)
            if not len(maybe):
                continue
            place = np.minimum(np.searchsorted(known, grams[maybe]), len(known) - 1)
            for at, index in zip(maybe.tolist(), place.tolist(), strict=True):
                if known[index] == grams[at]:
                    number = int(owner[at])
                    hits[number].append((at - int(starts[number]), length, int(self.owners[length][index])))
        return hits

    def matches(self, texts: Sequence[str], least: int) -> list[list[Match]]:
        """For each text, its matches with at least `least` hits or with the whole of a short evaluator's text; most hits first."""
        return [
            self._matches(text, hits, least) if hits else [] for text, hits in zip(texts, self.hits(texts), strict=True)
        ]

    def _matches(self, text: str, hits: Sequence[tuple[int, int, int]], least: int) -> list[Match]:
        spans = word_spans(text.lower())
        grams = max(1, len(spans) - self.words + 1)
        by_evaluator: dict[str, list[tuple[int, int, int]]] = {}
        for hit in hits:
            by_evaluator.setdefault(self.texts[hit[2]][0], []).append(hit)
        matches = []
        for evaluator, own in by_evaluator.items():
            places = len({(first, length) for first, length, _ in own})
            if places < least and all(length == self.words for _, length, _ in own):
                continue
            numbers = [number for _, _, number in own]
            most = max(dict.fromkeys(numbers), key=numbers.count)
            first, length, _ = next(hit for hit in own if hit[2] == most)
            excerpt = text[spans[first][0] : spans[first + length - 1][1]]
            matches.append(Match(evaluator, self.texts[most][1], places, round(min(1.0, places / grams), 4), excerpt))
        return sorted(matches, key=lambda match: (-match.num_hits, match.evaluator))


def build_index(evaluators: Sequence[Evaluator], options: Decontamination, folder: Path) -> Path:
    """Hash the n-grams of every evaluator's texts once and write them to `folder`."""
    texts: list[list[str]] = []
    grams: dict[int, tuple[list[Hashes], list[NDArray[np.uint32]]]] = {options.words: ([], [])}
    counts: dict[str, dict[str, int]] = {}
    for evaluator in evaluators:
        count = counts[evaluator.label] = {"texts": 0, "whole": 0, "too_short": 0}
        for key, text in test_texts(evaluator).items():
            words = word_hashes(text)
            count["texts"] += 1
            if len(words) < options.shortest:
                count["too_short"] += 1
                continue
            length = min(options.words, len(words))
            count["whole"] += length < options.words
            distinct = np.unique(ngram_hashes(words, length))
            hashes, owners = grams.setdefault(length, ([], []))
            hashes.append(distinct)
            owners.append(np.full(len(distinct), len(texts), np.uint32))
            texts.append([evaluator.label, str(key)])
    with replacing(folder) as temporary:
        temporary.mkdir(parents=True)
        for length, (parts, numbers) in grams.items():
            every, first = np.unique(np.concatenate([np.empty(0, np.uint64), *parts]), return_index=True)
            np.save(temporary / f"hashes-{length}.npy", every)
            np.save(temporary / f"owners-{length}.npy", np.concatenate([np.empty(0, np.uint32), *numbers])[first])
        about = {"words": options.words, "lengths": sorted(grams, reverse=True), "texts": texts, "evaluators": counts}
        write_json(temporary / "about.json", about)
    return folder


class Decontaminate(CorpusFilter):
    """Drops documents that contain text of an evaluator; `curation.decontaminate` adds it after the filters of every source."""

    name: ClassVar[str] = "decontaminate"

    index: Path
    """The folder that `build_index` wrote."""
    hits: int = 1
    """How many n-grams of one evaluator make a document contaminated."""

    def judge(self, document: Document) -> Verdict:
        """Reason: `text of <evaluator>`; the score is the share of the document's n-grams that occur in the evaluator's texts."""
        return self.judge_batch([document])[0]

    def judge_batch(self, documents: Sequence[Document]) -> list[Verdict]:
        """Look up the n-grams of all documents at once."""
        matches = _index(str(self.index)).matches([document.text for document in documents], self.hits)
        return [
            Verdict(False, f"text of {document_matches[0].evaluator}", document_matches[0].share)
            if document_matches
            else Verdict(True)
            for document_matches in matches
        ]


@lru_cache(maxsize=2)
def _index(folder: str) -> Index:
    return Index(Path(folder))


def list_hits(corpus: Path, source: str, filter_: Decontaminate) -> Iterator[dict[str, Any]]:
    """Yield every dropped document of a source with each evaluator's text that it matches."""
    import pyarrow.dataset as ds

    files = files_in(corpus / source / "dropped")
    if not files:
        return
    index = _index(str(filter_.index))
    rows = ds.dataset(files).to_batches(
        columns=["id", "text", "metadata"], filter=ds.field("step") == Decontaminate.name
    )
    for batch in rows:
        for row in batch.to_pylist():
            [matches] = index.matches([row["text"]], filter_.hits)
            for match in matches:
                place = json.loads(row["metadata"]).get("place")
                yield {"source": source, "id": row["id"], "place": place, **vars(match)}


def evaluators_with_texts(evaluators: Sequence[Evaluator], which: str | Sequence[str]) -> list[Evaluator]:
    """The evaluators that have test texts and that `curation.decontaminate` names."""
    left_out = why_not_compared(evaluators, which)
    return [evaluator for evaluator in evaluators if evaluator.label not in left_out]


def why_not_compared(evaluators: Sequence[Evaluator], which: str | Sequence[str]) -> dict[str, str]:
    """The other evaluators with the reason why training text is not compared with their texts: label -> reason."""
    reasons = {}
    for evaluator in evaluators:
        if which == "none":
            reasons[evaluator.label] = "curation.decontaminate is none"
        elif which != "evaluators" and not {evaluator.name, evaluator.label} & set(which):
            reasons[evaluator.label] = "curation.decontaminate does not name it"
        elif (why := why_no_test_texts(evaluator)) is not None:
            reasons[evaluator.label] = why
    return reasons


def text_options(evaluator: Evaluator) -> dict[str, Any]:
    """The options that its texts depend on: all but the budget of a fine-tune, a change of which must not repeat the curation."""
    return {
        name: value
        for name, value in evaluator.dump().items()
        if not isinstance(getattr(evaluator, name, None), FineTuning)
    }


def decontamination_summary(
    index: Path | None, not_compared: Mapping[str, str], hits: Mapping[str, Sequence[Mapping[str, Any]]], shown: int
) -> dict[str, Any]:
    """The entry in `statistics.json`: counts of the evaluators' texts, and the first `shown` hits of each source."""
    about = read_json(index / "about.json") if index is not None else {"words": None, "evaluators": {}}
    return {
        "words": about["words"],
        "evaluators": about["evaluators"],
        "not_compared": dict(not_compared),
        "sources": {
            name: {
                "documents": len({hit["id"] for hit in source_hits}),
                "hits": [dict(hit) for hit in source_hits[:shown]],
            }
            for name, source_hits in hits.items()
        },
    }
