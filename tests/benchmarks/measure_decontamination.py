"""What decontamination finds and keeps on real products: `python measure_decontamination.py DATA`.

Half of the ESCI products, by a hash, are the texts of an evaluator; edited copies of them should be dropped, and the documents of
other data sets should not.
"""

from __future__ import annotations

import hashlib
import random
import sys
import tempfile
import time
import unicodedata
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

from rexplug import Document, Evaluator
from rexplug.corpus.decontaminate import Decontaminate, build_index
from rexplug.io.tabular import read_records
from rexplug.recipe.schema import Decontamination

FIELDS = ("title", "bullet_points", "description", "brand", "color")
OPTIONS: tuple[dict[str, Any], ...] = (
    *({"share": share} for share in (0, 0.1, 0.2, 0.5)),
    *({"fuzzy": fuzzy} for fuzzy in ({}, {"words": 5, "share": 0.5}, {"words": 3, "share": 0.5})),
    {"share": 0.2, "fuzzy": {}},
)
TEXTS: dict[str, str] = {}


class Half(Evaluator):
    """Half of the products."""

    name: ClassVar[str] = "measure.half"

    def evaluate(self, context: Any) -> Any:
        raise NotImplementedError

    def test_texts(self) -> Mapping[str, str]:
        return TEXTS


def rows(path: Path) -> Iterator[dict[str, Any]]:
    return (row for _, row in read_records(path, kind=".jsonl"))


def main(data: Path) -> None:
    products = {
        row["asin"]: "\n".join(str(row[name]) for name in FIELDS if row.get(name))
        for row in rows(data / "esci-us-sample/products.jsonl.zst")
    }
    others = []
    for key, text in products.items():
        if int(hashlib.md5(key.encode()).hexdigest(), 16) % 2:
            TEXTS[key] = text
        else:
            others.append(text)
    icecat = [
        " ".join(value for value in row.values() if isinstance(value, str))
        for row in rows(data / "chorus-icecat/products.jsonl.zst")
    ]
    rng = random.Random(1)
    words = [word for text in others[:300] for word in text.split()]

    def edit(every: int, change: Callable[[str], list[str]]) -> Callable[[str], str]:
        def edited(text: str) -> str:
            first = rng.randrange(every)
            return " ".join(
                new for n, word in enumerate(text.split()) for new in (change(word) if n % every == first else [word])
            )

        return edited

    edits = {
        f"{name} 1 in {every}": edit(every, change)
        for every in (10, 7, 5)
        for name, change in (
            ("insert", lambda word: [word, rng.choice(words)]),
            ("replace", lambda word: [rng.choice(words)]),
            ("remove", lambda word: []),
        )
    }
    chosen = sorted(text for text in TEXTS.values() if len(text.split()) >= 25)
    rng.shuffle(chosen)
    sets = {"other ESCI products": others, "Icecat": icecat}
    sets |= {name: [change(text) for text in chosen[:400]] for name, change in edits.items()}
    sets["capitals, accents apart"] = [unicodedata.normalize("NFD", text.upper()) for text in chosen[:400]]
    for options in OPTIONS:
        block = Decontamination(**options)
        with tempfile.TemporaryDirectory() as folder:
            corpus_filter = Decontaminate(
                index=build_index({Half.name: Half()}, block, Path(folder) / "index"), options=block
            )
            for name, texts in sets.items():
                began = time.process_time()
                verdicts = [
                    verdict
                    for start in range(0, len(texts), 64)
                    for verdict in corpus_filter.judge_batch([Document("", text) for text in texts[start : start + 64]])
                ]
                speed = sum(map(len, texts)) / 1e6 / (time.process_time() - began)
                dropped = sum(not verdict.keep for verdict in verdicts)
                edited = sum((verdict.reason or "").startswith("edited") for verdict in verdicts)
                print(
                    f"{options} | {name}: {dropped} of {len(texts)} dropped, {edited} as edited, {speed:.1f} MB/s",
                    flush=True,
                )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
