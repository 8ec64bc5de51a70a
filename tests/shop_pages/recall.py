"""How many fields of the products of the page corpus are in texts and metadata."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

from shop_pages.pages import SHAPES
from shop_pages.parts import Truth

from rexplug import Document, Shard
from rexplug.corpus.sources import HtmlFiles
from rexplug_ecommerce import ProductText

FIELDS = ("name", "brand", "price", "currency", "gtin", "sku", "attributes", "description")


def write_pages(folder: Path) -> None:
    for name, make in SHAPES.items():
        (folder / f"{name}.html").write_text(make()[0], encoding="utf-8")


def read_pages(folder: Path, **options: Any) -> dict[str, Document]:
    documents = HtmlFiles(paths=str(folder), **options).documents(Shard(0, 1))
    return {document.id.removesuffix(".html"): document for document in documents}


def composed(document: Document) -> Document:
    """The document after `ecommerce.product_text`."""
    return ProductText().judge(document).applied(document)


def in_text(truth: Truth, field: str, text: str) -> bool:
    folded = _folded(text)
    if field == "price":
        return any(_folded(written) in folded for written in (truth.price, truth.shown))
    if field == "currency":
        return any(_folded(written) in folded for written in (f"{truth.price} {truth.currency}", truth.shown))
    if field == "attributes":
        return all(_folded(part) in folded for pair in truth.attributes.items() for part in pair)
    return _folded(getattr(truth, field)[:200]) in folded


def in_metadata(truth: Truth, field: str, metadata: Mapping[str, Any]) -> bool:
    value = metadata.get("product", {}).get(field)
    if value is None:
        return False
    if field == "price":
        try:
            return Decimal(value) == Decimal(truth.price)
        except InvalidOperation:
            return False
    if field == "attributes":
        return all(value.get(label) == wanted for label, wanted in truth.attributes.items())
    return bool(_folded(value) == _folded(getattr(truth, field)))


def recall(documents: Mapping[str, Document]) -> dict[str, tuple[int, int, int]]:
    """Field -> (pages whose text has it, pages whose metadata have it, pages that say it)."""
    texts, metadata, said = Counter[str](), Counter[str](), Counter[str]()
    for name, make in SHAPES.items():
        _, truth, fields = make()
        for field in fields:
            said[field] += 1
            texts[field] += in_text(truth, field, documents[name].text)
            metadata[field] += in_metadata(truth, field, documents[name].metadata)
    return {field: (texts[field], metadata[field], said[field]) for field in FIELDS}


def _folded(text: str) -> str:
    """Ignores case and white space: extraction may break lines, and writes no-break spaces as spaces."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())
