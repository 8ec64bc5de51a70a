"""What is measured on a model."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from rexplug.components.base import Component
from rexplug.components.document_source import Document


@dataclass(frozen=True, slots=True)
class Metric:
    """A figure with its 95 % confidence interval (`low`, `high`), where one can be had, and the number of items."""

    value: float
    low: float | None = None
    high: float | None = None
    num_items: int | None = None


@dataclass(frozen=True)
class EvaluationResult:
    """What an evaluator found: `main` names the metric that stands for it in summaries.

    `tables` are lists of rows (column -> value); `examples` are a few items worth reading; `notes` say what a
    reader must know, e.g. that the data are synthetic.
    """

    metrics: Mapping[str, Metric]
    main: str
    tables: Mapping[str, Sequence[Mapping[str, Any]]] = field(default_factory=dict)
    examples: Sequence[Mapping[str, Any]] = ()
    notes: Sequence[str] = ()


class Encoder(Protocol):
    """A model under evaluation."""

    @property
    def revision(self) -> str:
        """Hash of the weights."""
        ...

    @property
    def tokenizer(self) -> Any:
        """The transformers tokenizer (fast)."""
        ...

    @property
    def max_tokens(self) -> int:
        """Longest input in tokens, special tokens included."""
        ...

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Mean-pooled embeddings, `[len(texts), hidden]`; longer texts are cut at `max_tokens`."""
        ...

    def fill(
        self, rows: Sequence[NDArray[np.int64]], positions: Sequence[NDArray[np.int64]], top: int = 1
    ) -> list[NDArray[np.int64]]:
        """Predict tokens. `rows[i]` is `[n_i]` token ids, special and mask tokens included; the result for it is
        `[len(positions[i]), top]`, the most probable ids at those positions, best first.
        """
        ...


@dataclass(frozen=True)
class RetrievalCollection:
    """A retrieval task: `corpus` (id -> text), `queries` (id -> text), `relevance` (query id -> document id -> grade)."""

    name: str
    corpus: Mapping[str, str]
    queries: Mapping[str, str]
    relevance: Mapping[str, Mapping[str, int]]
    synthetic: bool = False

    def texts(self) -> dict[str, str]:
        """Documents and queries under ids that tell them apart; what decontamination looks for."""
        documents = {f"document {key}": text for key, text in self.corpus.items()}
        return documents | {f"query {key}": text for key, text in self.queries.items()}


class EvaluationContext(Protocol):
    """What the harness gives to evaluators."""

    @property
    def encoder(self) -> Encoder:
        """The model under evaluation."""
        ...

    @property
    def held_out(self) -> Mapping[str, Sequence[Document]]:
        """Per source, kept documents that no phase trains on."""
        ...

    @property
    def folder(self) -> Path:
        """Where an evaluator may keep files between calls."""
        ...

    @property
    def seed(self) -> int:
        """The recipe's seed; the items that are drawn with it are the same for every model."""
        ...

    def salience(self, texts: Sequence[str]) -> list[NDArray[np.uint8]] | None:
        """Per text the salience of each character (`[len(text)]`) by the recipe's scorer; None without a scorer."""
        ...

    def retrieval(self, collection: RetrievalCollection) -> EvaluationResult:
        """Run a retrieval task on mteb; the main metric is `ndcg_at_10`."""
        ...


class Evaluator(Component):
    """Measures one thing on any encoder; the same seed gives the same items for every model."""

    kind: ClassVar[str] = "evaluator"

    @abstractmethod
    def evaluate(self, context: EvaluationContext) -> EvaluationResult:
        """Measure. Metrics are finite; never selects anything on what it measures."""

    def check(self) -> None:
        """Look whether the evaluator's data can be read; `rexplug check` and `run` call this first.

        Raises:
            DataError: files are missing or do not hold what they should.
        """

    def inputs(self) -> Sequence[Path]:
        """The files that the evaluator reads, so that a change in them is noticed."""
        return ()

    def texts(self) -> Mapping[str, str]:
        """The texts that the evaluator asks about (id -> text), so that they are kept out of training; none by default."""
        return {}
