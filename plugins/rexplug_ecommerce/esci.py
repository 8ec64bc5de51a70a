"""Evaluators of search and graded similarity on ESCI judgments (Shopping Queries Dataset) from local files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

from rexplug import (
    EvaluationContext,
    EvaluationResult,
    Example,
    ExampleTask,
    FineTuning,
    RetrievalCollection,
)
from rexplug_ecommerce.judgments import HIGHEST, JudgedProducts, JudgedSearch, Judgment

GAINS = {"E": HIGHEST, "S": 2, "C": 1, "I": 0}
"""Relevance grades of exact, substitute, complement and irrelevant."""
_KDD_CUP = {GAINS["E"]: 100, GAINS["S"]: 10, GAINS["C"]: 1}
"""Gains of the KDD Cup 2022 (arXiv 2206.06588) by grade: E 1, S 0.1, C 0.01, I 0; times 100, since trec_eval takes whole numbers.
The paper's, not those of the dataset's `ranking/prepare_trec_eval_files.py`, which gives S 0.01 and C 0.1."""
DEGREES = {GAINS["E"]: 1.0, GAINS["S"]: 0.66, GAINS["C"]: 0.33, GAINS["I"]: 0.0}
"""Degrees of similarity by grade (bajajra/RexBERT `eval/train_st.py`)."""


class _OnEsci(JudgedProducts):
    """Base class of evaluators on ESCI judgments."""

    label_column: ClassVar[str] = "esci_label"

    judgments: Path
    """Judgments in the same formats, with `query`, `docId` or `product_id`, and `esci_label` (E, S, C or I)."""

    def grade(self, label: str) -> int:
        """The grade of E, S, C or I, or of a word that begins with one of them."""
        grade = GAINS.get(label[:1].upper())
        if grade is None:
            raise ValueError(f"label {label!r} is not one of E, S, C and I")
        return grade


class EsciSearch(_OnEsci, JudgedSearch):
    """Search among the judged products with ESCI's queries, graded exact 3, substitute 2, complement 1, irrelevant 0.

    Products without a judgment for a query count as irrelevant; with `rerank` only the judged products of each query are ranked.
    nDCG is measured with two kinds of gains: `ndcg_at_10` with the grades above, and with those of the KDD Cup 2022 (exact 1,
    substitute 0.1, complement 0.01): `ndcg_kddcup` of all judged products, as in the Cup's Task 1, when it reranks, and
    `ndcg_at_10_kddcup` when it searches.
    Encoders are first fine-tuned on the exact products of the train queries; metrics without fine-tuning are reported too.
    """

    name: ClassVar[str] = "ecommerce.esci"

    rerank: bool = False
    """Rank only the judged products of each query."""
    fields: tuple[str, ...] = ("title", "brand", "color")
    """Fields of a product that make its text; in the file they may begin with `product_`."""

    @property
    def label(self) -> str:
        """`ecommerce.esci`, or `ecommerce.esci.rerank` when it reranks: a recipe may list both."""
        return f"{self.name}.rerank" if self.rerank else self.name

    def _collection(self, judgments: Sequence[Judgment]) -> RetrievalCollection:
        search = replace(super()._collection(judgments), gains={"kddcup": _KDD_CUP})
        if not self.rerank:
            return search
        candidates = {query: list(grades) for query, grades in search.relevance.items()}
        return replace(search, name=f"{search.name}-rerank", candidates=candidates)


class EsciSimilarity(_OnEsci):
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
        for query, product, grade in judgments:
            if product in texts:
                parts[self.part_of(query)].append(Example(query, DEGREES[grade], texts[product], group=query))
        return ExampleTask(self.name, **parts)

    def test_texts(self) -> Mapping[str, str]:
        """The queries and products of the test split."""
        return self.task().texts()

    def evaluate(self, context: EvaluationContext) -> EvaluationResult:
        """The main metric is `spearman`."""
        return context.similarity(self.task(), self.tuning)
