"""Items of an evaluator in a file beside its result, `<evaluator>.items`, bounded in number and length."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rexplug.components import EvaluatedItem, MaskedWord, RankedDocument
from rexplug.errors import DataError
from rexplug.io.atomic import write_text
from rexplug.run_directory import read_json

MAX_ITEMS = 1000
"""Items of an evaluator that are stored."""
MAX_TEXT = 2000
"""Characters of an item's text that are stored."""
MAX_DOCUMENT = 400
"""Characters of a ranked document that are stored."""
MAX_RANKED = 10
"""Documents of a ranking, and missed ones, that are stored."""
_DIGITS = 5


@dataclass(frozen=True)
class StoredItems:
    """The stored items of an evaluator on one model, and the number of items that they were chosen from."""

    items: Sequence[EvaluatedItem]
    total: int


def items_path(folder: Path, label: str) -> Path:
    """The file with an evaluator's items."""
    return folder / f"{label}.items"


def stored_ids(ids: Iterable[str], limit: int = MAX_ITEMS) -> set[str]:
    """The ids of the items that are stored: by a hash of the id, so that they are the same ones for every model."""
    distinct = set(ids)
    if len(distinct) <= limit:
        return distinct
    return set(sorted(distinct, key=lambda key: hashlib.blake2b(key.encode("utf-8", "replace")).digest())[:limit])


def write_items(folder: Path, label: str, key: str, items: Sequence[EvaluatedItem]) -> int:
    """Write the items of a result and return how many were stored. Of several items with the same id the first is stored.

    Args:
        folder: of the results of one model.
        label: of the evaluator.
        key: of the result; `read_items` ignores items of a result with another key.
        items: all of them.
    """
    first: dict[str, EvaluatedItem] = {}
    for item in items:
        first.setdefault(str(item.id), item)
    chosen = stored_ids(first)
    documents: dict[str, str] = {}
    rows = [_to_json(item, documents) for item_id, item in first.items() if item_id in chosen]
    content = {"key": key, "total": len(first), "documents": documents, "items": rows}
    write_text(
        items_path(folder, label), json.dumps(content, ensure_ascii=False, separators=(",", ":"), default=_plain)
    )
    return len(rows)


def read_items(folder: Path, label: str, key: str) -> StoredItems | None:
    """The stored items of a result; None if there are none, or only those of a result with another key.

    Raises:
        DataError: the file is damaged.
    """
    path = items_path(folder, label)
    if not path.exists():
        return None
    content = read_json(path)
    try:
        if content["key"] != key:
            return None
        items = [_from_json(row, content["documents"]) for row in content["items"]]
        return StoredItems(items, int(content["total"])) if items else None
    except (TypeError, KeyError, ValueError, AttributeError):
        raise DataError(f"{path} holds no items; remove it and evaluate again") from None


def _to_json(item: EvaluatedItem, documents: dict[str, str]) -> dict[str, Any]:
    text = _cut(item.text, MAX_TEXT)
    row: dict[str, Any] = {"id": _clean(item.id), "text": text, "score": round(float(item.score), _DIGITS)}
    for name in ("correct", "second", "part", "expected", "predicted"):
        value = getattr(item, name)
        if value is not None and value != "":
            row[name] = _cut(value, MAX_TEXT) if isinstance(value, str) else value
    if item.ranking is not None:
        row["ranking"] = [_ranked_to_json(document, documents) for document in item.ranking[:MAX_RANKED]]
    if item.missed:
        row["missed"] = [_ranked_to_json(document, documents) for document in item.missed[:MAX_RANKED]]
    for name in ("expected_spans", "predicted_spans"):
        spans = getattr(item, name)
        if spans is not None:
            row[name] = [[int(a), int(b), _clean(label)] for a, b, label in sorted(spans) if b <= MAX_TEXT]
    if item.words is not None:
        row["words"] = [
            [word.start, word.end, _cut(word.predicted, MAX_DOCUMENT), bool(word.correct)]
            for word in item.words
            if word.end <= MAX_TEXT
        ]
    return row


def _ranked_to_json(document: RankedDocument, documents: dict[str, str]) -> list[Any]:
    documents.setdefault(_clean(document.id), _cut(document.text, MAX_DOCUMENT))
    score = None if document.score is None else float(f"{float(document.score):.{_DIGITS}g}")
    return [_clean(document.id), document.grade, score, document.rank]


def _from_json(row: Mapping[str, Any], documents: Mapping[str, str]) -> EvaluatedItem:
    fields = dict(row)
    for name in ("expected_spans", "predicted_spans"):
        if name in row:
            fields[name] = [(int(start), int(end), str(label)) for start, end, label in row[name]]
    for name in ("ranking", "missed"):
        if name in row:
            fields[name] = [
                RankedDocument(key, documents[key], grade, score, rank) for key, grade, score, rank in row[name]
            ]
    if "words" in row:
        fields["words"] = [MaskedWord(*word) for word in row["words"]]
    return EvaluatedItem(**fields)


def _cut(text: str, limit: int) -> str:
    """The first `limit` characters of a text, with an ellipsis if it was cut, encodable as UTF-8."""
    text = str(text)
    return _clean(text if len(text) <= limit else f"{text[:limit]}…")


def _clean(text: str) -> str:
    """A text without lone surrogates, which UTF-8 has no bytes for; a question mark takes their place."""
    return str(text).encode("utf-8", "replace").decode()


def _plain(value: Any) -> Any:
    """A number of NumPy or of another class as one of Python, which JSON can hold."""
    return value.item() if hasattr(value, "item") else float(value)
