"""Retrieval tasks on disk, in BEIR's layout."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from rexplug.components import RetrievalCollection
from rexplug.errors import DataError

FILES = ("corpus.jsonl", "queries.jsonl", "qrels.tsv")


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
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        fields = line.split("\t")
        if number == 1 and fields[-1] == "score":
            continue
        if len(fields) != 3 or not fields[2].lstrip("-").isdigit():
            raise DataError(f"{path}:{number}: expected query-id, corpus-id and a whole number, separated by tabs")
        query, document, score = fields
        if query not in queries:
            raise DataError(f"{path}:{number}: there is no query '{query}' in {FILES[1]}")
        if document not in corpus:
            raise DataError(f"{path}:{number}: there is no document '{document}' in {FILES[0]}")
        relevance.setdefault(query, {})[document] = int(score)
    judged = {query: text for query, text in queries.items() if any(v > 0 for v in relevance.get(query, {}).values())}
    if not judged:
        raise DataError(f"{path}: no query has a relevant document")
    return RetrievalCollection(folder.name, corpus, judged, {query: relevance[query] for query in judged})


def _texts(path: Path) -> dict[str, str]:
    found: dict[str, str] = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        try:
            entry: dict[str, Any] = json.loads(line)
            key, text = str(entry["_id"]), str(entry["text"])
        except (ValueError, KeyError, TypeError):
            raise DataError(f'{path}:{number}: expected {{"_id": ..., "text": ...}}') from None
        title = str(entry.get("title") or "")
        found[key] = f"{title} {text}".strip()
    return found
