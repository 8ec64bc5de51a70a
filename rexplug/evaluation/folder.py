"""Retrieval tasks on disk, in BEIR's layout."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
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
    for number, line in _lines(path):
        fields = line.split("\t")
        if number == 1 and fields[-1] == "score":
            continue
        if len(fields) != 3 or not re.fullmatch(r"-?[0-9]+", fields[2]):
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
    for number, line in _lines(path):
        try:
            entry: dict[str, Any] = json.loads(line)
            key, text = str(entry["_id"]), str(entry["text"])
        except (ValueError, KeyError, TypeError):
            raise DataError(f'{path}:{number}: expected {{"_id": ..., "text": ...}}') from None
        if key in found:
            raise DataError(f"{path}:{number}: the _id '{key}' occurs twice")
        title = str(entry.get("title") or "")
        found[key] = f"{title} {text}".strip()
    return found


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    # Not str.splitlines: it also cuts at U+2028 and U+0085, which may stand inside a JSON string.
    try:
        with path.open(encoding="utf-8") as file:
            for number, line in enumerate(file, 1):
                yield number, line.removesuffix("\n")
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not UTF-8: {error}") from None
