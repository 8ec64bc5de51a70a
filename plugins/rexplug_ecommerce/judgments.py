"""Base classes of evaluators on judged products: pairs of a query and a product with a grade, from local files."""

from __future__ import annotations

import hashlib
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal, NamedTuple

from rexplug import (
    DataError,
    EvaluationContext,
    EvaluationResult,
    Evaluator,
    FineTuning,
    RetrievalCollection,
    read_records,
    split_of,
)

HIGHEST = 3
"""The grade of a product that is exactly what the query asks for."""
_KEYS = ("asin", "product_id", "id")
_TITLES = ("title", "product_title")
_JUDGED = ("docId", "docid", "product_id")


class Judgment(NamedTuple):
    """The grade of a product for a query, from 0 (irrelevant) to `HIGHEST`."""

    query: str
    product: str
    grade: int


class JudgedProducts(Evaluator):
    """Base class of evaluators on judgments of products; queries are divided into test, dev and train by a hash of their text."""

    label_column: ClassVar[str]
    """The column of the judgments that has the labels."""

    products: Path
    """Products as .jsonl or .csv (.gz or .zst too), with `asin` or `product_id`, and `title` or `product_title`."""
    judgments: Path
    """Judgments in the same formats, each row with a query, a product and a label."""
    dev: float = 0.15
    """Share of the queries in the dev split, to choose by."""
    test: float = 0.3
    """Share of the queries in the test split, to report."""

    @abstractmethod
    def grade(self, label: str) -> int:
        """The grade that a label means.

        Raises:
            ValueError: there is no such label.
        """

    def inputs(self) -> Sequence[Path]:
        """The files of products and judgments."""
        return (self.products, self.judgments)

    def check(self) -> None:
        """Check that both files exist and their first rows have the columns.

        Raises:
            DataError: a file is missing or lacks a column.
        """
        for path, columns in (
            (self.products, (_KEYS, _TITLES)),
            (self.judgments, (("query",), _JUDGED, (self.label_column,))),
        ):
            first = next(read_records(path), None)
            if first is None:
                raise DataError(f"{self.name}: {path} is empty")
            for names in columns:
                self._column(first[1], names, path, first[0])

    def judged(self) -> list[Judgment]:
        """All judgments.

        Raises:
            DataError: a file cannot be read or a label is unknown.
        """
        judgments = []
        for number, row in read_records(self.judgments):
            query, product, label = (
                str(self._column(row, names, self.judgments, number))
                for names in (("query",), _JUDGED, (self.label_column,))
            )
            try:
                judgments.append(Judgment(query, product, self.grade(label)))
            except ValueError as error:
                raise DataError(f"{self.name}: {self.judgments}:{number}: {error}") from None
        return judgments

    def texts(self, products: set[str], fields: Sequence[str]) -> dict[str, str]:
        """Product -> text of its `fields`, for those of the products that the file has."""
        texts = {}
        for number, row in read_records(self.products):
            key = str(self._column(row, _KEYS, self.products, number))
            if key in products:
                texts[key] = product_text(row, fields)
        return texts

    def part_of(self, query: str) -> Literal["train", "dev", "test"]:
        """The split of a query; the same in every sample of the data."""
        return split_of(query, dev=self.dev, test=self.test)

    def _column(self, row: Mapping[str, Any], names: Sequence[str], path: Path, number: int) -> Any:
        for name in names:
            if name in row:
                return row[name]
        raise DataError(
            f"{self.name}: {path}:{number}: there is no column {' or '.join(names)}; it has {', '.join(map(str, row))}"
        )


class JudgedSearch(JudgedProducts):
    """Base class of evaluators that search among the judged products."""

    split: Literal["dev", "test"] = "dev"
    """`dev` to choose by, `test` to report; a fine-tune is chosen on dev queries for `test`, on train queries for `dev`."""
    fields: tuple[str, ...] = ("title",)
    """Fields of a product that make its text; in the file they may begin with `product_`."""
    tuning: FineTuning = FineTuning(steps=100, seeds=1, max_tokens=64, dev_examples=500)
    """The fine-tune before ranking."""

    def collection(self) -> RetrievalCollection:
        """The judged products, and this split's queries that have at least one relevant product.

        Raises:
            DataError: a file cannot be read, a label is unknown, or no query is left.
        """
        self.check()
        return self._collection(self.judged())

    def _collection(self, judgments: Sequence[Judgment]) -> RetrievalCollection:
        corpus = self.texts({judgment.product for judgment in judgments}, self.fields)
        graded: dict[str, dict[str, dict[str, int]]] = {"train": {}, "dev": {}, "test": {}}
        training: list[tuple[str, str]] = []
        for query, product, grade in judgments:
            if product in corpus:
                part = self.part_of(query)
                graded[part].setdefault(query, {})[product] = grade
                if part == "train" and grade == HIGHEST:
                    training.append((query, corpus[product]))
        queries = {
            hashlib.sha256(query.encode()).hexdigest()[:12]: query
            for query, grades in graded[self.split].items()
            if any(grades.values())
        }
        if not queries:
            raise DataError(
                f"{self.name}: no {self.split} query of {self.judgments} has a relevant product in {self.products}"
            )
        return RetrievalCollection(
            f"{self.name.rpartition('.')[2].capitalize()}-{self.split}",
            corpus,
            queries,
            {key: graded[self.split][query] for key, query in queries.items()},
            training=training,
            dev=graded["dev"] if self.split == "test" else {},
        )

    def test_texts(self) -> Mapping[str, str]:
        """The judged products, their first field (the title) alone, and the queries of the dev and test splits."""
        self.check()
        judgments = self.judged()
        texts = self._collection(judgments).texts()
        texts |= {f"{key}, {self.fields[0]}": text.split("\n")[0] for key, text in texts.items() if "\n" in text}
        queries = {judgment.query for judgment in judgments if self.part_of(judgment.query) != "train"}
        return texts | {f"query '{query}'": query for query in sorted(queries - set(texts.values()))}

    def evaluate(self, context: EvaluationContext) -> EvaluationResult:
        """The main metric is `ndcg_at_10`."""
        return context.retrieval(self.collection(), self.tuning)


def product_text(row: Mapping[str, Any], fields: Sequence[str]) -> str:
    """The named fields of a product as lines of one text; missing ones are left out."""
    parts = [row.get(name) or row.get(f"product_{name}") for name in fields]
    return "\n".join(str(part) for part in parts if part)
