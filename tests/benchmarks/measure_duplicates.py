"""Precision and recall of near-duplicate search on records of real products, by settings of `curation.minhash`.

    python tests/benchmarks/measure_duplicates.py DATA [--records 4000] [--only icecat]

DATA holds the folders chorus-icecat, pc-parts and pricerunner.

- `icecat`, `pc-parts`: records of products as text, each field a line. Two records contradict each other if their names differ or
  any field that both have, the price aside. Every fifth record is there once more as another shop would show it: with a sentence
  about delivery, with a path before and another price, in capitals, with its fields in another order, with one word in forty
  missing, or with other words around the price.
- `pricerunner`: titles of offers; those of different clusters contradict each other. Titles have nine words, and clusters join
  colours and wordings that no text shows to be equal, so that no recall is to be had; the right drops are counted.

Equal texts are left out before, so that only near-duplicates are measured. Precision: drops that do not contradict the document
that they are said to repeat. Recall: copies of which such a drop leaves one document, and the same with wrong drops counted.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import io
import json
import random
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import yaml
import zstandard

from rexplug.corpus.curate import curate
from rexplug.corpus.sources import Jsonl
from rexplug.progress import Silent
from rexplug.recipe.schema import Curation, MinHash


@dataclass(frozen=True)
class Offer:
    """A document: its text, the fields of its product, and the number of the record that it shows."""

    text: str
    fields: dict[str, Any]
    record: int


RECIPE = Path(__file__).parents[2] / "recipes" / "ecommerce.yaml"


def settings() -> dict[str, MinHash]:
    recipe = MinHash(**yaml.safe_load(RECIPE.read_text(encoding="utf-8"))["curation"]["minhash"])
    return {
        "buckets alone, numbers as 0 (datatrove)": MinHash(similarity=0),
        "confirmed (the default)": MinHash(),
        "numbers: keep": MinHash(numbers="keep"),
        "numbers: keep, differ: numbers": MinHash(numbers="keep", differ="numbers"),
        "numbers: keep, differ: words": MinHash(numbers="keep", differ="words"),
        "recipes/ecommerce.yaml": recipe,
        "the same, similarity: 0.5": recipe.model_copy(update={"similarity": 0.5}),
        "0.5 and 30 buckets of 5": recipe.model_copy(update={"similarity": 0.5, "buckets": 30, "hashes": 5}),
    }


def json_lines(path: Path) -> list[dict[str, Any]]:
    stream = zstandard.ZstdDecompressor().stream_reader(path.open("rb"))
    return [json.loads(line) for line in io.TextIOWrapper(stream, encoding="utf-8")]


def icecat(data: Path) -> Iterator[dict[str, Any]]:
    for record in json_lines(data / "chorus-icecat" / "products.jsonl.zst"):
        fields = {name[7:].replace("_", " "): value for name, value in record.items() if name.startswith("attr_")}
        first = {"": record["title"], "description": record.get("short_description") or ""}
        yield {**first, **fields, "price": (record.get("price") or 0) / 100}


def pc_parts(data: Path) -> Iterator[dict[str, Any]]:
    for record in json_lines(data / "pc-parts" / "parts.jsonl.zst"):
        fields = {
            name.replace("_", " "): value for name, value in record.items() if name != "name" and value is not None
        }
        yield {"": record["name"], **fields}


def with_copies(records: Iterable[dict[str, Any]], most: int) -> list[Offer]:
    """A sample of the records as text, and every fifth of them once more as another shop shows it."""
    offers = []
    for number, record in enumerate(random.Random(1).sample(list(records), most)):
        price = record.pop("price", None)
        lines = [f"{name}: {value}" if name else str(value) for name, value in record.items()]
        if price:
            lines.append(f"Price: ${price:.2f}")
        offers.append(Offer("\n".join(lines), record, number))
        if number % 5 == 0:
            offers.append(Offer(another_shop(lines, number // 5), record, number))
    return offers


def another_shop(lines: list[str], number: int) -> str:
    draw = random.Random(number)
    text = "\n".join(lines)
    kind = number % 6
    if kind == 0:
        return f"{text}\nFree delivery on orders over $50. Returns within 30 days."
    if kind == 1:
        return "Home > Products > " + text.replace("Price: $", "Price: $1")
    if kind == 2:
        return text.upper().replace(":", " -")
    if kind == 3:
        return "\n".join([lines[0], *draw.sample(lines[1:], len(lines) - 1)])
    if kind == 4:
        words = text.split(" ")
        for _ in range(max(1, len(words) // 40)):
            words.pop(draw.randrange(len(words)))
        return " ".join(words)
    return text.replace("Price: $", "Now only $") + " Buy now!"


def pricerunner(data: Path, most: int) -> list[Offer]:
    """Offers of a sample of clusters."""
    with gzip.open(data / "pricerunner" / "pricerunner_aggregate.csv.gz", "rt", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    size = Counter(row["cluster_id"] for row in rows)
    clusters = random.Random(1).sample(sorted(size), len(size))
    taken = {
        cluster for cluster, total in zip(clusters, accumulate(size[c] for c in clusters), strict=True) if total <= most
    }
    chosen = [row for row in rows if row["cluster_id"] in taken]
    return [Offer(row["product_title"], {"": row["cluster_id"]}, number) for number, row in enumerate(chosen)]


def distinct(offers: Sequence[Offer]) -> list[Offer]:
    by_text: dict[str, Offer] = {}
    for offer in offers:
        by_text.setdefault(" ".join(offer.text.lower().split()), offer)
    return list(by_text.values())


def drops(offers: Sequence[Offer], options: MinHash, folder: Path) -> dict[int, int]:
    """Number of each document that curation drops -> number of the document that it is said to repeat."""
    with (folder / "in.jsonl").open("w", encoding="utf-8") as file:
        for number, offer in enumerate(offers):
            file.write(json.dumps({"id": str(number), "text": offer.text}) + "\n")
    corpus = folder / "corpus"
    source = Jsonl(paths=str(folder / "in.jsonl"), id="id")
    curate(
        {"shop": source}, Curation(held_out=0, minhash=options), seed=17, corpus=corpus, fitted=folder / "fitted",
        progress=Silent(),
    )  # fmt: skip
    files = (corpus / "shop" / "dropped").glob("*-duplicates.parquet")
    return {int(row["id"]): int(row["twin"]) for path in files for row in pq.read_table(path).to_pylist()}


def contradict(a: Offer, b: Offer) -> bool:
    return any(a.fields[name] != b.fields[name] for name in a.fields.keys() & b.fields.keys())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--records", type=int, default=4000)
    parser.add_argument("--only", choices=["icecat", "pc-parts", "pricerunner"])
    parser.add_argument("--wrong", type=int, default=0, help="print so many wrong drops of each setting")
    options = parser.parse_args()
    makers: dict[str, Callable[[], list[Offer]]] = {
        "icecat": lambda: with_copies(icecat(options.data), options.records),
        "pc-parts": lambda: with_copies(pc_parts(options.data), options.records),
        "pricerunner": lambda: pricerunner(options.data, options.records),
    }
    for name, make in makers.items():
        if options.only not in (None, name):
            continue
        offers = distinct(make())
        shown = Counter(offer.record for offer in offers)
        copies = {record for record, count in shown.items() if count > 1}
        print(f"\n{name}: {len(offers)} documents, {len(copies)} of them copies")
        print("| settings | dropped | right | precision | recall | wrong drops counted |\n" + "| --- |" + " ---: |" * 5)
        for title, minhash in settings().items():
            with tempfile.TemporaryDirectory() as folder:
                found = drops(offers, minhash, Path(folder))
            wrong = [pair for pair in found.items() if contradict(offers[pair[0]], offers[pair[1]])]
            right = found.items() - set(wrong)
            gone = {offers[number].record for number, _ in right} & copies
            any_gone = {offers[number].record for number in found} & copies
            precision = f"{1 - len(wrong) / len(found):.3f}" if found else ""
            recall, with_wrong = (f"{len(part) / len(copies):.3f}" if copies else "" for part in (gone, any_gone))
            print(f"| {title} | {len(found)} | {len(right)} | {precision} | {recall} | {with_wrong} |", flush=True)
            for a, b in wrong[: options.wrong]:
                print(f"    {offers[a].text[:300]!r}\n    {offers[b].text[:300]!r}")


if __name__ == "__main__":
    main()
