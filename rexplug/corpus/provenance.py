"""The provenance of a document: where it was read, where it is now, which filter decided, and the verdict of each filter."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rexplug.components import CorpusFilter, Document
from rexplug.corpus.decontaminate import Decontaminate, list_hits
from rexplug.corpus.filters_setup import decontamination, with_classifier
from rexplug.document_files import document_of, files_in
from rexplug.errors import DataError
from rexplug.plugins.calls import judge_document, step_name
from rexplug.recipe import Recipe
from rexplug.run_directory import RunDirectory
from rexplug.text.fold import folded_words

PARTS = ("kept", "held_out", "dropped")
_SHINGLE = 5


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
    for part in PARTS:
        for path in files_in(run.corpus / source / part):
            for values in _rows_of(path, id):
                document = document_of(values)
                step = values.get("step")
                hits: tuple[Mapping[str, Any], ...] = ()
                if step == Decontaminate.name:
                    hits = tuple(list_hits(run.corpus, source, decontamination(recipe, run), id))
                yield DocumentOutcome(
                    source, part, document, path, values["row"], step, values.get("reason"), values.get("score"),
                    twin=_twin(run.corpus, document, values) if step == "deduplicate" else None,
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
            yield step_name(corpus_filter), "fitted on the corpus, not asked again", None
        else:
            verdict = judge_document(corpus_filter, document)
            yield step_name(corpus_filter), "keep" if verdict.keep else f"drop: {verdict.reason}", verdict.score
            if not verdict.keep and step_name(corpus_filter) == decided:
                return


def _twin(corpus: Path, document: Document, values: Mapping[str, Any]) -> dict[str, Any] | None:
    """The document that a duplicate repeats, as deduplication noted it; None in a corpus from before it did."""
    source, id = values.get("twin_source"), values.get("twin")
    if source is None or id is None:
        return None
    for part in PARTS:
        for path in files_in(corpus / source / part):
            for twin in _rows_of(path, id):
                alike = values["score"]
                if alike is None:  # their addresses were compared, not their texts
                    alike = _similarity(document.text, twin["text"])
                return {"source": source, "id": id, "part": part, "alike": round(alike, 3)}
    return None


def _rows_of(path: Path, id: str) -> Iterator[dict[str, Any]]:
    """The rows of a file with an id, each with its number as `row`; one group of rows is in memory at a time."""
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    first = 0
    with pq.ParquetFile(path) as reader:
        for group in range(reader.num_row_groups):
            ids = reader.read_row_group(group, columns=["id"])["id"]
            rows = pc.indices_nonzero(pc.equal(ids, id)).to_pylist()
            table: Any = reader.read_row_group(group) if rows else None
            for row in rows:
                yield {**table.slice(row, 1).to_pylist()[0], "row": first + row}
            first += len(ids)


def _similarity(text: str, other: str) -> float:
    """Jaccard similarity of the word shingles of two texts."""
    if text == other:
        return 1.0
    a, b = _shingles(text), _shingles(other)
    return len(a & b) / len(a | b)


def _shingles(text: str) -> frozenset[int]:
    words = folded_words(text)
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
