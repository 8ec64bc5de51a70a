"""The provenance of a document: where it was read, where it is now, which filter decided, and the verdict of each filter."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rexplug.components import CorpusFilter, Document
from rexplug.corpus.decontaminate import Decontaminate, list_hits
from rexplug.corpus.filters_setup import decontamination, with_classifier
from rexplug.document_files import document_of, files_in
from rexplug.errors import DataError
from rexplug.plugins.calls import judge_document
from rexplug.recipe import Recipe
from rexplug.run_directory import RunDirectory
from rexplug.text.words import lower_words

PARTS = ("kept", "held_out", "dropped")
_SHINGLE = 5
_MIN_SIMILARITY = 0.3
"""Share of common shingles below which no document is named as the one that a near-duplicate repeats."""


@dataclass(frozen=True)
class DocumentOutcome:
    """The outcome of curation for one document of one source.

    `part` is `kept`, `held_out` or `dropped`; `step`, `reason` and `score` are those of the decision to drop it; `file` and `row`
    say where it is stored, `place` where it was read; `twin` is the document that it repeats; `verdicts` are those of each
    filter now, as (filter, verdict in words, score).
    """

    source: str
    part: str
    document: Document
    file: Path
    row: int
    step: str | None = None
    reason: str | None = None
    score: float | None = None
    twin: Mapping[str, Any] | None = None
    matches: tuple[Mapping[str, Any], ...] = ()
    verdicts: tuple[tuple[str, str, float | None], ...] = field(default=())

    @property
    def place(self) -> str | None:
        """File and line (or row) in the source."""
        place = self.document.metadata.get("place")
        return str(place) if place is not None else None


def document_outcomes(recipe: Recipe, run: RunDirectory, id: str) -> list[DocumentOutcome]:
    """The outcomes for the documents of an id, per source.

    Raises:
        DataError: there is no corpus, or no source has such a document.
    """
    if not (run.corpus / "statistics.json").exists():
        raise DataError(f"{run.root} holds no finished corpus; rexplug run RECIPE --until curate makes one")
    outcomes = [outcome for name in recipe.sources for outcome in _find(recipe, run, name, id)]
    if not outcomes:
        known = ", ".join(f"'{example}'" for example in _some_ids(recipe, run))
        raise DataError(
            f"no document of {run.root} is called '{id}'; ids look like {known or 'none: the corpus is empty'}"
        )
    return outcomes


def _find(recipe: Recipe, run: RunDirectory, source: str, id: str) -> Iterator[DocumentOutcome]:
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    for part in PARTS:
        for path in files_in(run.corpus / source / part):
            ids = pq.read_table(path, columns=["id"])["id"]
            rows = pc.indices_nonzero(pc.equal(ids, id)).to_pylist()
            table: Any = pq.read_table(path) if rows else None  # read once, however often an id occurs in it
            for row in rows:
                values = table.slice(row, 1).to_pylist()[0]
                document = document_of(values)
                step = values.get("step")
                duplicate = step == "deduplicate"
                hits: tuple[Mapping[str, Any], ...] = ()
                if step == Decontaminate.name and (last := decontamination(recipe, run)) is not None:
                    hits = tuple(hit for hit in list_hits(run.corpus, source, last) if hit["id"] == id)
                yield DocumentOutcome(
                    source, part, document, path, row, step, values.get("reason"), values.get("score"),
                    twin=_twin(run.corpus, _sources_compared(recipe, source), document) if duplicate else None,
                    matches=hits, verdicts=tuple(_verdicts(recipe.sources[source].filters, run, document, step)),
                )  # fmt: skip


def _verdicts(
    filters: tuple[CorpusFilter, ...], run: RunDirectory, document: Document, decided: str | None
) -> Iterator[tuple[str, str, float | None]]:
    """The verdicts of the filters, up to the one that decided. Filters that were fitted on the corpus are not asked."""
    if decided == "read":
        return
    for corpus_filter in with_classifier(filters, run):
        if type(corpus_filter).fit is not CorpusFilter.fit:
            yield corpus_filter.step_name, "fitted on the corpus, not asked again", None
        else:
            verdict = judge_document(corpus_filter, document)
            yield corpus_filter.step_name, "keep" if verdict.keep else f"drop: {verdict.reason}", verdict.score
            if not verdict.keep and corpus_filter.step_name == decided:
                return


def _sources_compared(recipe: Recipe, source: str) -> list[str]:
    """The sources whose documents a duplicate of `source` may repeat, its own first."""
    others = recipe.sources if recipe.curation.deduplicate_across else ()
    return list(dict.fromkeys([source, *others]))


def _twin(corpus: Path, sources: Sequence[str], document: Document) -> dict[str, Any] | None:
    """The document in the corpus that a duplicate repeats: the one with the most word shingles in common."""
    import pyarrow.dataset as ds

    shingles = _shingles(document.text)
    plain = " ".join(document.text.lower().split())
    best: dict[str, Any] | None = None
    for source, part in ((source, part) for source in sources for part in ("kept", "held_out")):
        files = files_in(corpus / source / part)
        for batch in ds.dataset(files).to_batches(columns=["id", "text"]) if files else ():
            for row in batch.to_pylist():
                same = " ".join(row["text"].lower().split()) == plain
                alike = 1.0 if same else _similarity(shingles, row["text"], best["alike"] if best else _MIN_SIMILARITY)
                if alike > (best["alike"] if best else _MIN_SIMILARITY):
                    best = {"source": source, "id": row["id"], "part": part, "alike": round(alike, 3)}
                if same:
                    return best
    return best


def _similarity(shingles: frozenset[int], text: str, least: float) -> float:
    """Jaccard similarity of the shingles with those of `text`; 0 where it cannot reach `least`."""
    other = _shingles(text)
    if not shingles or not other or min(len(shingles), len(other)) < least * max(len(shingles), len(other)):
        return 0.0
    return len(shingles & other) / len(shingles | other)


def _shingles(text: str) -> frozenset[int]:
    words = lower_words(text)
    return frozenset(hash(tuple(words[i : i + _SHINGLE])) for i in range(max(1, len(words) - _SHINGLE + 1)))


def _some_ids(recipe: Recipe, run: RunDirectory) -> list[str]:
    import pyarrow.parquet as pq

    for source in recipe.sources:
        for part in PARTS:
            for path in files_in(run.corpus / source / part):
                ids = pq.read_table(path, columns=["id"]).slice(0, 3)["id"].to_pylist()
                if ids:
                    return [str(id) for id in ids]
    return []
