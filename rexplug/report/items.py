"""`items.html`: a self-contained page with the models' answers on single items side by side, and search."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from rexplug.components import EvaluatedItem, RankedDocument
from rexplug.evaluation.item_files import MAX_DOCUMENT, MAX_ITEMS, MAX_TEXT, StoredItems, read_items, stored_ids
from rexplug.io.atomic import remove, write_text
from rexplug.report.results import ModelResults
from rexplug.report.templates import template

MAX_BYTES = 40_000_000
"""Approximate limit of a page's size; if all evaluators together need more, fewer items of each are shown."""
_ESCAPES = {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"}
"""Characters that could end a script element or open a comment in it, as JSON escapes."""


@dataclass(frozen=True)
class _Evaluator:
    """The stored items of an evaluator by the number of the model."""

    label: str
    metric: str
    values: Mapping[int, float]
    stored: Mapping[int, StoredItems]


def items_path_beside(page: Path) -> Path:
    """Where the items of a page are: `items.html` beside `comparison.html` and `report.html`, else `<page>-items.html`."""
    return page.with_name("items.html" if page.stem in ("comparison", "report") else f"{page.stem}-items.html")


def write_items_page(page: Path, models: Sequence[ModelResults], title: str, max_bytes: int = MAX_BYTES) -> Path | None:
    """Write the items of `models` to a page beside `page`; None, and no file, if none are stored.

    Args:
        page: the page that links to this one, and this one to it.
        models: with distinct labels.
        title: of the page.
        max_bytes: approximate limit of the size of the items in the page.

    Raises:
        DataError: a file with items is damaged.
    """
    path = items_path_beside(page)
    evaluators = _stored(models)
    if not evaluators:
        remove(path)
        return None
    limit = MAX_ITEMS
    while True:
        blocks = [_block(evaluator, limit) for evaluator in evaluators]
        texts = [_to_json(block) for block in blocks]
        if limit == 1 or sum(len(text.encode()) for text in texts) <= max_bytes:
            break
        limit //= 2
    index = {
        "models": [model.label for model in models],
        "evaluators": [
            {
                "label": of_evaluator.label,
                "metric": of_evaluator.metric,
                "values": of_evaluator.values,
                "items": len(block["items"]),
                "total": max(stored.total for stored in of_evaluator.stored.values()),
            }
            for of_evaluator, block in zip(evaluators, blocks, strict=True)
        ],
    }
    text = template("items.html.j2").render(
        title=title,
        back=quote(page.name),
        back_text=page.stem,
        index=_to_json(index),
        blocks=texts,
        max_items=limit,
        max_text=MAX_TEXT,
        max_document=MAX_DOCUMENT,
    )
    write_text(path, text)
    return path


def item_links(page: Path | None, models: Sequence[ModelResults]) -> dict[str, str]:
    """Evaluator -> address of its items in the page that `write_items_page` wrote, relative to its folder."""
    if page is None:
        return {}
    labels = dict.fromkeys(name for model in models for name, result in model.results.items() if result.get("items"))
    return {label: f"{quote(page.name)}#{urlencode({'evaluator': label})}" for label in labels}


def _stored(models: Sequence[ModelResults]) -> list[_Evaluator]:
    """The evaluators that stored items of at least one model."""
    evaluators = []
    for label in dict.fromkeys(name for model in models for name in model.results):
        stored: dict[int, StoredItems] = {}
        values: dict[int, float] = {}
        metric = ""
        for number, model in enumerate(models):
            result = model.results.get(label, {})
            if model.folder is None or not result.get("items"):
                continue
            items = read_items(model.folder, label, result["key"])
            if items is not None:
                stored[number] = items
                metric = metric or result["main"]
                if metric in result["metrics"]:
                    values[number] = result["metrics"][metric]["value"]
        if stored:
            evaluators.append(_Evaluator(label, metric, values, stored))
    return evaluators


def _block(evaluator: _Evaluator, limit: int) -> dict[str, Any]:
    """The items of an evaluator as the page's script reads them: what all models share once, then each model's answer."""
    documents: dict[str, int] = {}
    texts: list[list[str]] = []

    def ranked(documents_of_query: Sequence[RankedDocument]) -> list[list[Any]]:
        entries: list[list[Any]] = []
        for document in documents_of_query:
            if document.id not in documents:
                documents[document.id] = len(texts)
                texts.append([document.id, document.text])
            entries.append([documents[document.id], document.grade, document.score, document.rank])
        return entries

    chosen = stored_ids((item.id for of_model in evaluator.stored.values() for item in of_model.items), limit)
    items: dict[str, dict[str, Any]] = {}
    for number, of_model in evaluator.stored.items():
        for item in of_model.items:
            if item.id in chosen:
                entry = items.setdefault(item.id, _shared(item))
                entry["m"][number] = _answer(item, ranked)
    return {"models": list(evaluator.stored), "documents": texts, "items": list(items.values())}


def _shared(item: EvaluatedItem) -> dict[str, Any]:
    fields = {
        "id": item.id,
        "t": item.text,
        "s": item.second,
        "part": item.part or None,
        "e": item.expected,
        "x": item.expected_spans,
    }
    return {**{name: value for name, value in fields.items() if value is not None}, "m": {}}


def _answer(item: EvaluatedItem, ranked: Any) -> dict[str, Any]:
    fields = {
        "v": item.score,
        "c": item.correct,
        "p": item.predicted,
        "r": None if item.ranking is None else ranked(item.ranking),
        "k": ranked(item.missed) if item.missed else None,
        "g": item.predicted_spans,
        "w": None
        if item.words is None
        else [[word.start, word.end, word.predicted, word.correct] for word in item.words],
    }
    return {name: value for name, value in fields.items() if value is not None}


def _to_json(value: Any) -> str:
    """JSON that is safe inside a script element."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    for character, escape in _ESCAPES.items():
        text = text.replace(character, escape)
    return text
