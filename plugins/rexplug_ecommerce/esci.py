"""Evaluators of search and graded similarity on ESCI judgments (Shopping Queries Dataset) from local files."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

from rexplug import (
    DataError,
    EvaluationContext,
    EvaluationResult,
    Evaluator,
    Example,
    ExampleTask,
    FineTuning,
    RetrievalCollection,
    read_records,
    split_of,
)

GAINS = {"E": 3, "S": 2, "C": 1, "I": 0}
"""Relevance grades of exact, substitute, complement and irrelevant."""
_KDD_CUP = {GAINS["E"]: 100, GAINS["S"]: 10, GAINS["C"]: 1}
"""Gains of the KDD Cup 2022 (arXiv 2206.06588) by grade: E 1, S 0.1, C 0.01, I 0; times 100, since trec_eval takes whole numbers.
The paper's, not those of the dataset's `ranking/prepare_trec_eval_files.py`, which gives S 0.01 and C 0.1."""
DEGREES = {"E": 1.0, "S": 0.66, "C": 0.33, "I": 0.0}
"""Degrees of similarity of the same labels (bajajra/RexBERT `eval/train_st.py`)."""
_KEYS = ("asin", "product_id", "id")
_TITLES = ("title", "product_title")
_JUDGED = ("docId", "product_id", "docid")


@dataclass(frozen=True)
class Judgment:
    """The label that raters gave to a product for a query."""

    query: str
    product: str
    label: str


class JudgedProducts(Evaluator):
    """Base class of evaluators on judgments of products; queries are divided into test, dev and train by a hash of their text."""

    judgment_columns: ClassVar[tuple[tuple[str, ...], ...]] = (("query",), _JUDGED, ("esci_label",))
    """Names that the columns of query, product and judgment may have."""

    products: Path
    """Products as .jsonl or .csv (.gz or .zst too), with `asin` or `product_id`, and `title` or `product_title`."""
    judgments: Path
    """Judgments in the same formats, with `query`, `docId` or `product_id`, and `esci_label` (E, S, C or I)."""
    dev: float = 0.15
    """Share of the queries in the dev split, to choose by."""
    test: float = 0.3
    """Share of the queries in the test split, to report."""

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
            (self.judgments, self.judgment_columns),
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
            label = str(self._column(row, ("esci_label",), self.judgments, number))[:1].upper()
            if label not in GAINS:
                raise DataError(
                    f"{self.name}: {self.judgments}:{number}: label {row['esci_label']!r} is not one of E, S, C and I"
                )
            product = str(self._column(row, _JUDGED, self.judgments, number))
            judgments.append(Judgment(str(self._column(row, ("query",), self.judgments, number)), product, label))
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


class EsciSearch(JudgedProducts):
    """Search among the judged products with ESCI's queries, graded exact 3, substitute 2, complement 1, irrelevant 0.

    Products without a judgment for a query count as irrelevant; with `rerank` only the judged products of each query are ranked.
    nDCG is measured with two kinds of gains: `ndcg_at_10` with the grades above, and with those of the KDD Cup 2022 (exact 1,
    substitute 0.1, complement 0.01): `ndcg_kddcup` of all judged products, as in the Cup's Task 1, when it reranks, and
    `ndcg_at_10_kddcup` when it searches.
    Encoders are fine-tuned on the exact products of the train queries; the figure without fine-tuning stands beside.
    """

    name: ClassVar[str] = "ecommerce.esci"

    split: Literal["dev", "test"] = "dev"
    """`dev` to choose by, `test` to report; a fine-tune is chosen on dev queries for `test`, on train queries for `dev`."""
    rerank: bool = False
    """Rank only the judged products of each query."""
    fields: tuple[str, ...] = ("title", "brand", "color")
    """Fields of a product that make its text; in the file they may begin with `product_`."""
    tuning: FineTuning = FineTuning(steps=100, seeds=1, max_tokens=64, dev_examples=500)
    """The fine-tune before ranking."""

    @property
    def label(self) -> str:
        """`ecommerce.esci`, or `ecommerce.esci.rerank` when it reranks: a recipe may list both."""
        return f"{self.name}.rerank" if self.rerank else self.name

    def collection(self) -> RetrievalCollection:
        """The judged products, and this split's queries that have at least one relevant product.

        Raises:
            DataError: a file cannot be read, a label is unknown, or no query is left.
        """
        self.check()
        judgments = self.judged()
        corpus = self.texts({judgment.product for judgment in judgments}, self.fields)
        graded: dict[str, dict[str, int]] = {}
        for judgment in judgments:
            if judgment.product in corpus and self.part_of(judgment.query) == self.split:
                graded.setdefault(judgment.query, {})[judgment.product] = GAINS[judgment.label]
        queries, relevance, candidates = {}, {}, {}
        for query, grades in graded.items():
            if any(grades.values()):
                key = hashlib.sha256(query.encode()).hexdigest()[:12]
                queries[key] = query
                relevance[key] = grades
                candidates[key] = list(grades)
        if not queries:
            raise DataError(
                f"{self.name}: no {self.split} query of {self.judgments} has a relevant product in {self.products}"
            )
        training: list[tuple[str, str]] = []
        dev: dict[str, dict[str, int]] = {}
        for judgment in judgments:
            part = self.part_of(judgment.query)
            if judgment.product not in corpus:
                continue
            if part == "train" and judgment.label == "E":
                training.append((judgment.query, corpus[judgment.product]))
            elif part == "dev" and self.split == "test":
                dev.setdefault(judgment.query, {})[judgment.product] = GAINS[judgment.label]
        name = f"Esci-{self.split}{'-rerank' if self.rerank else ''}"
        return RetrievalCollection(
            name, corpus, queries, relevance, candidates=candidates if self.rerank else None, training=training,
            dev=dev,
            gains={"kddcup": _KDD_CUP},
        )  # fmt: skip

    def test_texts(self) -> Mapping[str, str]:
        """The products, their first field (the title) alone, and the queries of the dev and test splits."""
        texts = self.collection().texts()
        texts |= {f"{key}, {self.fields[0]}": text.split("\n")[0] for key, text in texts.items() if "\n" in text}
        queries = {judgment.query for judgment in self.judged() if self.part_of(judgment.query) != "train"}
        return texts | {f"query '{query}'": query for query in sorted(queries - set(texts.values()))}

    def evaluate(self, context: EvaluationContext) -> EvaluationResult:
        """The main metric is `ndcg_at_10`."""
        return context.retrieval(self.collection(), self.tuning)


class EsciSimilarity(JudgedProducts):
    """How well cosines of queries and product titles follow ESCI's labels: E 1, S 0.66, C 0.33, I 0.

    The data and labels of bajajra/RexBERT `eval/train_st.py` (CoSENT), with queries split three ways: the published script
    measures on the split that it chooses by. Intervals resample queries with all their pairs.
    """

    name: ClassVar[str] = "ecommerce.esci_similarity"

    fields: tuple[str, ...] = ("title",)
    """Fields of a product that make its text."""
    tuning: FineTuning = FineTuning(steps=100, seeds=2, max_tokens=48)
    """Budget of the fine-tune."""

    def task(self) -> ExampleTask:
        """The pairs of query and product text with their degree, by split."""
        self.check()
        judgments = self.judged()
        texts = self.texts({judgment.product for judgment in judgments}, self.fields)
        parts: dict[str, list[Example]] = {"train": [], "dev": [], "test": []}
        for judgment in judgments:
            if judgment.product in texts:
                degree = DEGREES[judgment.label]
                example = Example(judgment.query, degree, texts[judgment.product], group=judgment.query)
                parts[self.part_of(judgment.query)].append(example)
        return ExampleTask(self.name, **parts)

    def test_texts(self) -> Mapping[str, str]:
        """The queries and products of the test split."""
        return self.task().texts()

    def evaluate(self, context: EvaluationContext) -> EvaluationResult:
        """The main metric is `spearman`."""
        return context.similarity(self.task(), self.tuning)


def product_text(row: Mapping[str, Any], fields: Sequence[str]) -> str:
    """The named fields of a product as lines of one text; missing ones are left out."""
    parts = [row.get(name) or row.get(f"product_{name}") for name in fields]
    return "\n".join(str(part) for part in parts if part)
