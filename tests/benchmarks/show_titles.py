"""Real product titles with the spans that `ecommerce.attributes` marks, as Markdown.

python tests/benchmarks/show_titles.py [--data DATA/esci-us-sample] [--count 30] [--seed 5]
"""

from __future__ import annotations

import argparse
import io
import json
import os
import random
from pathlib import Path

import zstandard

from rexplug_ecommerce.attributes import AttributeSalience

DATA = Path(os.environ.get("REXPLUG_DATA", Path(__file__).parents[2] / "../shared/data"))


def main() -> None:
    parser = argparse.ArgumentParser(description="Titles with their spans.")
    parser.add_argument("--data", type=Path, default=DATA / "esci-us-sample")
    parser.add_argument("--count", type=int, default=30)
    parser.add_argument("--seed", type=int, default=5)
    options = parser.parse_args()
    with (options.data / "products.jsonl.zst").open("rb") as raw:
        lines = io.TextIOWrapper(zstandard.ZstdDecompressor().stream_reader(raw), encoding="utf-8")
        rows = [row for row in map(json.loads, lines) if not row["is_book"] and len(row["title"]) < 150]
    scorer = AttributeSalience()
    for row in random.Random(options.seed).sample(rows, options.count):
        title, text, at = row["title"], "", 0
        for span in scorer.spans(title):
            text += f"{title[at : span.start]}**{title[span.start : span.end]}** ({span.attribute})"
            at = span.end
        print(f"- {(text + title[at:]).replace('|', '/')}")


if __name__ == "__main__":
    main()
