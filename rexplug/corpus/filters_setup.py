"""Completes the sources' filters before curation, and the statistics after it."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from rexplug.components import CorpusFilter, DocumentSource
from rexplug.corpus.compared import Compared
from rexplug.corpus.decontaminate import (
    Decontaminate,
    HitCounts,
    build_index,
    decontamination_summary,
    is_current,
    list_hits,
)
from rexplug.document_files import files_in
from rexplug.io.atomic import replacing, write_json
from rexplug.progress import Progress
from rexplug.recipe import Recipe
from rexplug.run_directory import RunDirectory, read_json

_SHOWN = 50
_MOST_HOSTS = 1_000_000
"""Hosts whose duplicates are counted at a time."""


def resolve_filters(
    recipe: Recipe, run: RunDirectory, with_texts: Compared, progress: Progress
) -> dict[str, DocumentSource]:
    """The recipe's sources with the trained classifier in their `relevance` filters and with decontamination as the last filter.

    Notes to `progress` list the evaluators whose texts training excludes, how many of these are too short to be searched for,
    and why those of others are not excluded.
    """
    last = decontamination(recipe, run) if with_texts.evaluators else None
    if last is not None and not is_current(last.index):
        build_index(with_texts.evaluators, recipe.curation.decontamination, last.index)
    for note in _notes(with_texts, last):
        progress.note(note)
    return {
        name: source.model_copy(
            update={"filters": (*with_classifier(source.filters, run), *((last,) if last is not None else ()))}
        )
        for name, source in recipe.sources.items()
    }


def with_classifier(filters: tuple[CorpusFilter, ...], run: RunDirectory) -> tuple[CorpusFilter, ...]:
    """The filters, the `relevance` filters among them with the classifier that the run trained."""
    from rexplug.corpus.relevance.filter import RelevanceFilter

    report = None
    completed: list[CorpusFilter] = []
    for corpus_filter in filters:
        if isinstance(corpus_filter, RelevanceFilter) and corpus_filter.model is None:
            report = report or read_json(run.relevance / "relevance.json")
            model = run.relevance / report["model"]
            completed.append(corpus_filter.trained(model, report["threshold"], report["characters"]))
        else:
            completed.append(corpus_filter)
    return tuple(completed)


def decontamination(recipe: Recipe, run: RunDirectory) -> Decontaminate:
    """The filter that drops documents with text of the evaluators; `resolve_filters` builds its index."""
    return Decontaminate(index=run.fitted / "decontamination", options=recipe.curation.decontamination)


def _notes(with_texts: Compared, last: Decontaminate | None) -> list[str]:
    notes = []
    if last is not None:
        notes.append(f"decontamination: compared with the texts of {', '.join(with_texts.evaluators)}")
        about = read_json(last.index / "about.json")
        counts = {name: count for name, count in about["evaluators"].items() if count["too_short"]}
        if counts:
            listed = ", ".join(f"{name} {count['too_short']:,} of {count['texts']:,}" for name, count in counts.items())
            notes.append(
                f"decontamination: texts of fewer than {about['shortest']} words are not searched for: {listed}"
            )
    by_reason: dict[str, list[str]] = {}
    for name, why in with_texts.left_out.items():
        by_reason.setdefault(why, []).append(name)
    return [
        *notes, *(f"decontamination: not compared with {', '.join(names)}: {why}" for why, names in by_reason.items()),
    ]  # fmt: skip


def finish_statistics(
    statistics: dict[str, Any], recipe: Recipe, run: RunDirectory, with_texts: Compared
) -> dict[str, Any]:
    """Add the duplicates by domain and the hits of decontamination to the statistics, and write them.

    All hits go to `corpus/decontamination.jsonl`, the first of them to the statistics.
    """
    last = decontamination(recipe, run) if with_texts.evaluators else None
    hits: dict[str, HitCounts] = {}
    for name, source in statistics["sources"].items():
        source["duplicates_by_domain"] = _duplicates_by_domain(run.corpus / name / "dropped")
    if last is not None:
        hits = {name: HitCounts(_SHOWN) for name in statistics["sources"]}
        with replacing(run.corpus / "decontamination.jsonl") as temporary, temporary.open("w", encoding="utf-8") as out:
            for name, counts in hits.items():
                for hit in list_hits(run.corpus, name, last):
                    counts.add(hit)
                    out.write(json.dumps(hit, ensure_ascii=False) + "\n")
    if last is not None or with_texts.left_out:
        index = last.index if last is not None else None
        statistics["decontamination"] = decontamination_summary(index, with_texts.left_out, hits)
    write_json(run.corpus / "statistics.json", statistics)
    return statistics


def _duplicates_by_domain(folder: Path, most: int = 20) -> dict[str, int]:
    """Host -> number of dropped duplicates, the hosts with the most first.

    In a corpus with more than `_MOST_HOSTS` hosts the rarest are removed from time to time, so a count may be a little low.
    """
    import pyarrow.dataset as ds

    is_duplicate = ds.field("step") == "deduplicate"
    counts: Counter[str] = Counter()
    for path in files_in(folder):  # one file after the other: a dataset of all reads many ahead
        if not path.stem.endswith("-duplicates"):
            continue
        for batch in ds.dataset(path).to_batches(columns=["url"], filter=is_duplicate):
            counts.update(map(host_of, batch.column("url").to_pylist()))
        if len(counts) > _MOST_HOSTS:
            counts = Counter(dict(sorted(counts.items(), key=lambda item: (-item[1], item[0]))[: _MOST_HOSTS // 2]))
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:most])


def host_of(url: str | None) -> str:
    """The host of a URL without `www.`; `no address` if there is none."""
    try:
        return (urlsplit(url or "").hostname or "no address").removeprefix("www.")
    except ValueError:
        return "no address"
