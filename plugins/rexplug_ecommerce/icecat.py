"""Evaluator of search on graded judgments of Open Icecat products (the Chorus project's ratings) from local files."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar, Literal

from rexplug import (
    DataError,
    EvaluationContext,
    EvaluationResult,
    FineTuning,
    RetrievalCollection,
    read_records,
)
from rexplug_ecommerce.esci import JudgedProducts

HIGHEST = 3
"""The grade of a product that is what the query asks for; 0 is that of one that is not."""


class IcecatSearch(JudgedProducts):
    """Search among the judged products of Open Icecat with short queries, graded 0 to 3 by three raters (Chorus).

    The corpus is the judged products alone: for queries such as `laptop` the catalogue holds hundreds of relevant products that
    nobody judged. Encoders are fine-tuned on the products of grade 3 of the train queries; the figure without fine-tuning stands
    beside.
    """

    name: ClassVar[str] = "ecommerce.icecat"
    judgment_columns: ClassVar[tuple[tuple[str, ...], ...]] = (
        ("query",),
        ("docid", "docId", "product_id"),
        ("rating",),
    )

    judgments: Path
    """Judgments as .jsonl or .csv (.gz or .zst too), with `query`, `docid` or `product_id`, and `rating` (0 to 3)."""
    split: Literal["dev", "test"] = "dev"
    """`dev` to choose by, `test` to report; a fine-tune is chosen on dev queries for `test`, on train queries for `dev`."""
    fields: tuple[str, ...] = ("title", "short_description")
    """Fields of a product that make its text."""
    tuning: FineTuning = FineTuning(steps=100, seeds=1, max_tokens=64, dev_examples=500)
    """The fine-tune before ranking."""

    def ratings(self) -> list[tuple[str, str, int]]:
        """(query, product, grade) of every judgment.

        Raises:
            DataError: a file cannot be read or a grade is not a whole number from 0 to 3.
        """
        ratings = []
        for number, row in read_records(self.judgments):
            query, product, grade = (
                str(self._column(row, names, self.judgments, number)) for names in self.judgment_columns
            )
            if grade not in {"0", "1", "2", "3"}:
                raise DataError(
                    f"{self.name}: {self.judgments}:{number}: rating {grade!r} is not a whole number from 0 to {HIGHEST}"
                )
            ratings.append((query, product, int(grade)))
        return ratings

    def collection(self) -> RetrievalCollection:
        """The judged products, and this split's queries that have at least one relevant product.

        Raises:
            DataError: a file cannot be read, a grade is not from 0 to 3, or no query is left.
        """
        self.check()
        ratings = self.ratings()
        corpus = self.texts({product for _, product, _ in ratings}, self.fields)
        queries: dict[str, str] = {}
        relevance: dict[str, dict[str, int]] = {}
        for query, product, grade in ratings:
            if grade and product in corpus and self.part_of(query) == self.split:
                key = hashlib.sha256(query.encode()).hexdigest()[:12]
                queries[key] = query
                relevance.setdefault(key, {})[product] = grade
        if not queries:
            raise DataError(
                f"{self.name}: no {self.split} query of {self.judgments} has a relevant product in {self.products}"
            )
        training: list[tuple[str, str]] = []
        dev: dict[str, dict[str, int]] = {}
        for query, product, grade in ratings:
            part = self.part_of(query)
            if product not in corpus:
                continue
            if part == "train" and grade == HIGHEST:
                training.append((query, corpus[product]))
            elif part == "dev" and self.split == "test":
                dev.setdefault(query, {})[product] = grade
        return RetrievalCollection(f"Icecat-{self.split}", corpus, queries, relevance, training=training, dev=dev)

    def test_texts(self) -> Mapping[str, str]:
        """The judged products, their first field (the title) alone, and the queries of the dev and test splits."""
        texts = self.collection().texts()
        texts |= {f"{key}, {self.fields[0]}": text.split("\n")[0] for key, text in texts.items() if "\n" in text}
        queries = {query for query, _, _ in self.ratings() if self.part_of(query) != "train"}
        return texts | {f"query '{query}'": query for query in sorted(queries - set(texts.values()))}

    def evaluate(self, context: EvaluationContext) -> EvaluationResult:
        """The main metric is `ndcg_at_10`."""
        return context.retrieval(self.collection(), self.tuning)
