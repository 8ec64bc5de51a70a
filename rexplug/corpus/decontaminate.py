"""Decontamination: drops training documents that contain text of an evaluator, by word n-grams."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from rexplug.components import CorpusFilter, Document, Evaluator, Verdict
from rexplug.corpus.index_writer import IndexWriter
from rexplug.corpus.ngram_index import VERSION, Index, Match, Thresholds
from rexplug.document_files import files_in
from rexplug.io.file_cache import cached_until_changed
from rexplug.plugins.calls import test_texts
from rexplug.recipe.schema import Decontamination, FuzzyMatches
from rexplug.run_directory import read_json


def build_index(evaluators: Mapping[str, Evaluator], options: Decontamination, folder: Path) -> Path:
    """Hash the n-grams of every evaluator's texts once and write them to `folder`; names in reports -> evaluators."""
    fuzzy = options.fuzzy
    index = IndexWriter(options.words, options.shortest, None if fuzzy is None else (fuzzy.words, fuzzy.shortest))
    for name, evaluator in evaluators.items():
        index.add(name, ((str(key), text) for key, text in test_texts(evaluator).items()))
    index.write(folder)
    return folder


def is_current(folder: Path) -> bool:
    """Whether a folder has an index of this version."""
    about = folder / "about.json"
    return about.exists() and read_json(about).get("version") == VERSION


class Decontaminate(CorpusFilter):
    """Drops documents that contain text of an evaluator; `curation.decontaminate` adds it after the filters of every source."""

    name: ClassVar[str] = "decontaminate"

    index: Path
    """The folder that `build_index` wrote."""
    options: Decontamination = Decontamination()
    """When a document counts as contaminated."""

    def judge(self, document: Document) -> Verdict:
        """Reasons: `text of <evaluator>`, `edited text of <evaluator>`; the score is the share of the document's n-grams that occur
        in the evaluator's texts."""
        return self.judge_batch([document])[0]

    def judge_batch(self, documents: Sequence[Document]) -> list[Verdict]:
        """Look up the n-grams of all documents at once."""
        matches = self.matches([document.text for document in documents])
        return [
            Verdict(False, f"{'edited text' if best[0].edited else 'text'} of {best[0].evaluator}", best[0].share)
            if best
            else Verdict(True)
            for best in matches
        ]

    def matches(self, texts: Sequence[str]) -> list[list[Match]]:
        """For each text, what it shares with each evaluator of whose texts it holds too much."""
        return _index(self.index / "about.json").matches(texts, _thresholds(self.options))


def _thresholds(options: Decontamination) -> Thresholds:
    fuzzy = options.fuzzy or FuzzyMatches()
    return Thresholds(options.hits, options.share, fuzzy.share, fuzzy.shortest)


@cached_until_changed(maxsize=2)
def _index(about: Path) -> Index:
    """The index that an `about.json` describes."""
    return Index(about.parent)


def list_hits(corpus: Path, source: str, filter_: Decontaminate, id: str | None = None) -> Iterator[dict[str, Any]]:
    """Yield every dropped document of a source (or those with an id) with each evaluator's text that it matches."""
    import pyarrow.dataset as ds

    which = ds.field("step") == Decontaminate.name
    if id is not None:
        which &= ds.field("id") == id
    for path in files_in(corpus / source / "dropped"):  # one file after the other: a dataset of all reads many ahead
        for batch in ds.dataset(path).to_batches(columns=["id", "text", "metadata"], filter=which):
            for row in batch.to_pylist():
                [matches] = filter_.matches([row["text"]])
                for match in matches:
                    place = json.loads(row["metadata"]).get("place")
                    yield {"source": source, "id": row["id"], "place": place, **vars(match)}


class HitCounts:
    """Counts the hits of a source, document by document, and keeps the first `shown`; the others are not held.

    All hits of a document come one after the other.
    """

    def __init__(self, shown: int) -> None:
        self._shown = shown
        self._first: list[dict[str, Any]] = []
        self._documents = 0
        self._edited = 0
        self._place: tuple[Any, Any] | None = None
        self._only_edited = False

    def add(self, hit: Mapping[str, Any]) -> None:
        """Count a hit, and keep it if it is one of the first."""
        if len(self._first) < self._shown:
            self._first.append(dict(hit))
        place = hit["id"], hit["place"]
        if place != self._place:
            self._place, self._only_edited = place, True
            self._documents += 1
            self._edited += 1
        if self._only_edited and not hit["edited"]:
            self._only_edited = False
            self._edited -= 1

    def to_json(self) -> dict[str, Any]:
        """The entry of the source in `statistics.json`."""
        return {"documents": self._documents, "edited": self._edited, "hits": self._first}


def decontamination_summary(
    index: Path | None, not_compared: Mapping[str, str], hits: Mapping[str, HitCounts]
) -> dict[str, Any]:
    """The entry in `statistics.json`: counts of the evaluators' texts, and of the hits of each source with the first of them."""
    about = read_json(index / "about.json") if index is not None else {"words": None, "evaluators": {}}
    return {
        "words": about["words"],
        "shortest": about.get("shortest"),
        "edited_words": about.get("edited"),
        "evaluators": about["evaluators"],
        "not_compared": dict(not_compared),
        "sources": {name: counts.to_json() for name, counts in hits.items()},
    }
