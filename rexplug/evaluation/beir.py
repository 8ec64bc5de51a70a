"""Retrieval tasks on disk, in BEIR's layout."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rexplug.components import RetrievalCollection
from rexplug.errors import DataError
from rexplug.io.compression import read_lines
from rexplug.io.tabular import BadRecord, json_records

FILES = ("corpus.jsonl", "queries.jsonl", "qrels.tsv")
OPTIONAL = ("candidates.jsonl", "train.jsonl")


def read_collection(folder: Path) -> RetrievalCollection:
    """Read and check a task.

    Raises:
        DataError: a file is missing, or a line does not hold what it should; with file and line.
    """
    for name in FILES:
        if not (folder / name).is_file():
            raise DataError(f"retrieval: {folder / name} is missing; a task is {', '.join(FILES)}")
    corpus = _texts(folder / FILES[0])
    queries = _texts(folder / FILES[1])
    relevance: dict[str, dict[str, int]] = {}
    path = folder / FILES[2]
    for number, line in read_lines(path):
        fields = line.split("\t")
        if number == 1 and fields[-1] == "score":
            continue
        if len(fields) != 3 or not re.fullmatch(r"-?[0-9]+", fields[2]):
            raise DataError(f"{path}:{number}: expected query-id, corpus-id and a whole number, separated by tabs")
        query, document, score = fields
        _known(path, number, query, queries, document, corpus)
        relevance.setdefault(query, {})[document] = int(score)
    judged = {query: text for query, text in queries.items() if any(v > 0 for v in relevance.get(query, {}).values())}
    if not judged:
        raise DataError(f"{path}: no query has a relevant document")
    return RetrievalCollection(
        folder.name, corpus, judged, {query: relevance[query] for query in judged},
        candidates=_candidates(folder / OPTIONAL[0], judged, queries, corpus),
        training=_training(folder / OPTIONAL[1], set(judged.values())),
    )  # fmt: skip


def _candidates(
    path: Path, judged: dict[str, str], queries: dict[str, str], corpus: dict[str, str]
) -> dict[str, list[str]] | None:
    if not path.exists():
        return None
    found: dict[str, list[str]] = {}
    for number, entry in _entries(path, '{"query-id": ..., "corpus-ids": [...]}', ("query-id", "corpus-ids")):
        query, documents = str(entry["query-id"]), entry["corpus-ids"]
        if not isinstance(documents, list) or not documents:
            raise DataError(f"{path}:{number}: corpus-ids is a list of at least one document")
        for document in documents:
            _known(path, number, query, queries, str(document), corpus)
        found[query] = [str(document) for document in documents]
    for query in judged:
        if query not in found:
            raise DataError(f"{path}: the query '{query}' has no candidates")
    return {query: found[query] for query in judged}


def _training(path: Path, asked: set[str]) -> list[tuple[str, str]]:
    if not path.exists():
        return []
    pairs = []
    for number, entry in _entries(path, '{"query": ..., "text": ...}', ("query", "text")):
        if str(entry["query"]) in asked:
            raise DataError(f"{path}:{number}: the query '{entry['query']}' is among those that are measured")
        pairs.append((str(entry["query"]), str(entry["text"])))
    return pairs


def _known(path: Path, number: int, query: str, queries: dict[str, str], document: str, corpus: dict[str, str]) -> None:
    if query not in queries:
        raise DataError(f"{path}:{number}: there is no query '{query}' in {FILES[1]}")
    if document not in corpus:
        raise DataError(f"{path}:{number}: there is no document '{document}' in {FILES[0]}")


def _texts(path: Path) -> dict[str, str]:
    found: dict[str, str] = {}
    for number, entry in _entries(path, '{"_id": ..., "text": ...}', ("_id", "text")):
        key = str(entry["_id"])
        if key in found:
            raise DataError(f"{path}:{number}: the _id '{key}' occurs twice")
        title = str(entry.get("title") or "")
        found[key] = f"{title} {entry['text']}".strip()
    return found


def _entries(path: Path, expected: str, keys: tuple[str, ...]) -> Iterator[tuple[int, dict[str, Any]]]:
    for number, entry in json_records(read_lines(path)):
        if isinstance(entry, BadRecord) or any(key not in entry for key in keys):
            raise DataError(f"{path}:{number}: expected {expected}")
        yield number, entry
