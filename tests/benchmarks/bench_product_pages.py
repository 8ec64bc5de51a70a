"""Recall of product fields on the page corpus of the tests, and what reading structured data costs.

    PYTHONPATH=tests python tests/benchmarks/bench_product_pages.py

Prints, for each field, how many of the pages that state it have it in their text and metadata: by trafilatura alone, and with
`structured_data: true` and `ecommerce.product_text`. Then pages per second, medians of five alternating rounds.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from pathlib import Path

from shop_pages.pages import SHAPES
from shop_pages.recall import FIELDS, composed, read_pages, recall, write_pages

from rexplug_ecommerce.product_page import ProductPage

SIDES = (
    ("precision", {"extract": "precision"}),
    ("recall", {"extract": "recall"}),
    ("precision + data", {"extract": "precision", "structured_data": True}),
)


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_pages(folder)
        tables = {}
        for side, options in SIDES:
            documents = {name: composed(document) for name, document in read_pages(folder, **options).items()}
            tables[side] = recall(documents)
            kept = sum(ProductPage().judge(document).keep for document in documents.values())
            empty = sum(not document.text for document in documents.values())
            print(f"{side}: {len(documents)} pages, {empty} without text, {kept} kept by ecommerce.product_page")
        print(f"| field | {' | '.join(tables)} | metadata |")
        for field in FIELDS:
            cells = [f"{table[field][0]}/{table[field][2]}" for table in tables.values()]
            last = tables["precision + data"][field]
            print(f"| {field} | {' | '.join(cells)} | {last[1]}/{last[2]} |")
        seconds: dict[str, list[float]] = {side: [] for side, _ in SIDES}
        for _ in range(5):
            for side, options in SIDES:
                began = time.perf_counter()
                for document in read_pages(folder, **options).values():
                    composed(document)
                seconds[side].append(time.perf_counter() - began)
        for side, times in seconds.items():
            print(f"{side}: {len(SHAPES) / statistics.median(times):.0f} pages a second")


if __name__ == "__main__":
    main()
