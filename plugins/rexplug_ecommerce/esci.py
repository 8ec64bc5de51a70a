"""Product search on ESCI judgments (Shopping Queries Dataset) from local files."""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, ClassVar, Literal

from rexplug import DataError, EvaluationContext, EvaluationResult, Evaluator, RetrievalCollection

GAINS = {"E": 3, "S": 2, "C": 1, "I": 0}
"""Exact, substitute, complement, irrelevant as whole grades."""


class Esci(Evaluator):
    """Search among the judged products with ESCI's queries, graded exact 3, substitute 2, complement 1, irrelevant 0.

    Products nobody judged for a query count as irrelevant. The official files have their own split; here queries
    are divided by a hash of their text, so that dev and test never share one whatever sample is used.
    """

    name: ClassVar[str] = "ecommerce.esci"

    products: Path
    """Products as .jsonl or .csv (.gz or .zst too), with `asin` or `product_id`, and `title` or `product_title`."""
    judgments: Path
    """Judgments in the same formats, with `query`, `docId` or `product_id`, and `esci_label` (E, S, C or I)."""
    split: Literal["dev", "test"] = "dev"
    """`dev` (half of the queries) to choose by, `test` (the other half) to report."""

    def inputs(self) -> Sequence[Path]:
        """Both files."""
        return (self.products, self.judgments)

    def check(self) -> None:
        """See that both files are there and their first rows have the columns.

        Raises:
            DataError: a file is missing or lacks a column.
        """
        for path, columns in (
            (self.products, (("asin", "product_id"), ("title", "product_title"))),
            (self.judgments, (("query",), ("docId", "product_id"), ("esci_label",))),
        ):
            first = next(_rows(path), None)
            if first is None:
                raise DataError(f"{self.name}: {path} is empty")
            for names in columns:
                _column(first, names, path)

    def collection(self) -> RetrievalCollection:
        """The judged products, and this split's queries that have at least one relevant product.

        Raises:
            DataError: a file cannot be read, a label is unknown, or no query is left.
        """
        self.check()
        graded: dict[str, dict[str, int]] = {}
        judged: set[str] = set()
        for row in _rows(self.judgments):
            product = str(_column(row, ("docId", "product_id"), self.judgments))
            label = str(row["esci_label"])[:1].upper()
            if label not in GAINS:
                raise DataError(f"{self.name}: {self.judgments}: label {row['esci_label']!r} is none of E, S, C, I")
            judged.add(product)
            graded.setdefault(str(row["query"]), {})[product] = GAINS[label]
        corpus = {}
        for row in _rows(self.products):
            key = str(_column(row, ("asin", "product_id"), self.products))
            if key in judged:
                corpus[key] = _text(row)
        queries, relevance = {}, {}
        for query, grades in graded.items():
            known = {key: value for key, value in grades.items() if key in corpus and value}
            if split_of(query) == self.split and known:
                key = hashlib.sha256(query.encode()).hexdigest()[:12]
                queries[key], relevance[key] = query, known
        if not queries:
            raise DataError(
                f"{self.name}: no {self.split} query of {self.judgments} has a relevant product in {self.products}"
            )
        return RetrievalCollection(f"Esci-{self.split}", corpus, queries, relevance)

    def texts(self) -> Mapping[str, str]:
        """Products and queries."""
        return self.collection().texts()

    def evaluate(self, context: EvaluationContext) -> EvaluationResult:
        """Retrieval with `ndcg_at_10`."""
        return context.retrieval(self.collection())


def split_of(query: str) -> str:
    """`dev` or `test`, by the query's text without case and outer blanks."""
    digest = hashlib.sha256(query.strip().lower().encode()).digest()
    return "dev" if digest[0] % 2 == 0 else "test"


def _text(row: dict[str, Any]) -> str:
    """Title, brand, colour and bullet points as one text; missing fields are left out."""
    parts = [
        row.get(f) or row.get(f"product_{f}") for f in ("title", "brand", "color", "bullet_points", "bullet_point")
    ]
    return "\n".join(str(part) for part in parts if part)


def _column(row: dict[str, Any], names: tuple[str, ...], path: Path) -> Any:
    for name in names:
        if name in row:
            return row[name]
    raise DataError(f"ecommerce.esci: {path} has no column {' or '.join(names)}; it has {', '.join(map(str, row))}")


@contextmanager
def _open(path: Path) -> Iterator[IO[str]]:
    if path.suffix == ".zst":
        import zstandard

        with path.open("rb") as raw, zstandard.ZstdDecompressor().stream_reader(raw) as stream:
            yield io.TextIOWrapper(stream, encoding="utf-8", newline="")
    elif path.suffix == ".gz":
        with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
            yield file
    else:
        with path.open(encoding="utf-8", newline="") as file:
            yield file


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    suffixes = [suffix for suffix in path.suffixes if suffix not in {".gz", ".zst"}]
    kind = suffixes[-1] if suffixes else ""
    if kind not in {".jsonl", ".csv"}:
        raise DataError(f"ecommerce.esci: {path} is neither .jsonl nor .csv (.gz and .zst may follow)")
    try:
        with _open(path) as file:
            if kind == ".csv":
                yield from csv.DictReader(file)
            else:
                for line in file:
                    yield json.loads(line)
    except (OSError, UnicodeDecodeError, ValueError) as error:
        raise DataError(f"ecommerce.esci: cannot read {path}: {error}") from None
