"""Precision and recall of the spans that `ecommerce.attributes` marks, against annotated product titles.

    python tests/benchmarks/measure_attributes.py [--data DATA/attribute-extraction] [--taxonomies DATA/taxonomies]
        [--show 30]

AE-110K and OA-Mine (ExtractGPT's subsets) name the values of some attributes of each title; a value counts wherever
it occurs in the title. A marked span is right by *overlap* when it shares a character with a value, *exact* when it
begins and ends with one. Three readings:

- `any attribute`: right if the value belongs to any attribute. What guided masking needs: is the span a value at all?
- `same attribute`: right if the value belongs to an attribute that means what we call it (COUNTERPARTS). Only spans
  of titles that name a value of such an attribute are judged: the sets leave most attributes of most titles out.
- `recall`: annotated values of the counterparts that a span of any attribute overlaps.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import zstandard

from rexplug_ecommerce.attributes import AttributeSalience, Span

DATA = Path(os.environ.get("REXPLUG_DATA", Path(__file__).parents[2] / "../shared/data"))
SETS = {"ae-110k train (tuned on)": "ae-110k__train", "ae-110k test": "ae-110k__test", "oa-mine": "oa-mine__train"}
ROW = "category of the row"
COUNTERPARTS = {
    "brand": ("Brand Name", "Brand", "Sub brand"),
    "colour": ("Color", "Frame Color", "Lenses Color"),
    "size": ("Size", "Age", "Age range"),
    "material": (
        "Material", "Fabric Type", "Body Material", "Back / Side Material", "Fingerboard Material", "Bow Material",
        "Frame Material", "Lenses Material",
    ),
    "measure": (
        "Weight", "Length", "Net content", "Volume", "Pack size", "Quantity", "Dosage", "Load size", "Size", "Power",
        "Head Circumference", "Protection level", "Supply size", "Layer", "Lens Height", "Lens Width", "Section",
    ),
    "model_number": ("Model Number", "Model", "Model name"),
    "category": (
        "Item", "Type", "Shoe type", "Mask type", "Lure Type", "Eyewear Type", "Stove Type", "Supplement type",
        "Tea variety", "Cereal type", "Item form", "Name", "Function", "Description", ROW,
    ),
}  # fmt: skip


class Title(NamedTuple):
    """A title, its values as (start, end, attribute)."""

    text: str
    values: list[tuple[int, int, str]]


class Score(NamedTuple):
    """Correct and judged spans of one reading."""

    right: int
    exact: int
    total: int

    def __str__(self) -> str:
        if not self.total:
            return "-"
        return f"{self.right / self.total:.3f} overlap, {self.exact / self.total:.3f} exact (n = {self.total})"


def titles(path: Path) -> Iterator[Title]:
    with path.open("rb") as raw:
        for line in io.TextIOWrapper(zstandard.ZstdDecompressor().stream_reader(raw), encoding="utf-8"):
            row = json.loads(line)
            text, lower = row["input"], row["input"].lower()
            values = _places(row["category"].lower(), lower, ROW)
            for attribute, scores in row["target_scores"].items():
                for value in scores:
                    if value != "n/a":
                        values += _places(value.strip().lower(), lower, attribute)
            yield Title(text, values)


def _places(value: str, text: str, attribute: str) -> list[tuple[int, int, str]]:
    """Where a value occurs in a text as whole words, with or without a plural s."""
    if not any(char.isalnum() for char in value):
        return []  # "-" is a mistake of the annotation
    pattern = re.compile(rf"(?<!\w){re.escape(value.rstrip('s'))}s?(?!\w)")
    return [(*match.span(), attribute) for match in pattern.finditer(text)]


def judge(span: Span, values: list[tuple[int, int, str]]) -> tuple[bool, bool]:
    return (
        any(span.start < end and start < span.end for start, end, _ in values),
        any((span.start, span.end) == (start, end) for start, end, _ in values),
    )


def measure(scorer: AttributeSalience, path: Path) -> dict[str, dict[str, Score]]:
    """Reading -> attribute, or `overall` -> score."""
    counts: dict[str, dict[str, list[int]]] = defaultdict(lambda: defaultdict(lambda: [0, 0, 0]))

    def book(reading: str, attribute: str, right: bool, exact: bool) -> None:
        for name in (attribute, "overall"):
            for place, value in enumerate((right, exact, True)):
                counts[reading][name][place] += value

    for title in titles(path):
        spans = scorer.spans(title.text)
        for span in spans:
            book("any attribute", span.attribute, *judge(span, title.values))
            same = [value for value in title.values if value[2] in COUNTERPARTS[span.attribute]]
            if any(value[2] != ROW for value in same):
                book("same attribute", span.attribute, *judge(span, same))
        for attribute, names in COUNTERPARTS.items():
            for start, end, _ in [value for value in title.values if value[2] in names]:
                value = Span(start, end, attribute)
                book("recall", attribute, *judge(value, [(s.start, s.end, s.attribute) for s in spans]))
    return {reading: {name: Score(*values) for name, values in by_name.items()} for reading, by_name in counts.items()}


def mistakes(scorer: AttributeSalience, path: Path) -> Counter[tuple[str, str]]:
    found: Counter[tuple[str, str]] = Counter()
    for title in titles(path):
        for span in scorer.spans(title.text):
            if not judge(span, title.values)[0]:
                found[span.attribute, title.text[span.start : span.end].lower()] += 1
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description="Precision of ecommerce.attributes.")
    parser.add_argument("--data", type=Path, default=DATA / "attribute-extraction")
    parser.add_argument("--taxonomies", type=Path, help="folder with the Google and Shopify files to add")
    parser.add_argument("--show", type=int, default=0, help="print the commonest spans that no value overlaps")
    options = parser.parse_args()
    files = sorted(options.taxonomies.glob("*taxonomy*.csv.gz")) if options.taxonomies else []
    files += sorted(options.taxonomies.glob("*categories.txt.gz")) if options.taxonomies else []
    values = sorted(options.taxonomies.glob("*attribute_values.txt.gz")) if options.taxonomies else []
    scorer = AttributeSalience(taxonomies=tuple(files), values=tuple(values))
    for name, file in SETS.items():
        print(f"\n{name}")
        for reading, scores in measure(scorer, options.data / f"{file}.jsonl.zst").items():
            print(f"  {reading}")
            for attribute in ("overall", *COUNTERPARTS):
                if attribute in scores:
                    print(f"    {attribute:<14}{scores[attribute]}")
        if options.show and "train" in file:
            for (attribute, text), count in mistakes(scorer, options.data / f"{file}.jsonl.zst").most_common(
                options.show
            ):
                print(f"      {count:>4} {attribute}: {text}")


if __name__ == "__main__":
    main()
