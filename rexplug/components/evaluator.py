"""What is measured on a model."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from rexplug.components.base import Component
from rexplug.components.document import Document
from rexplug.components.evaluation_tasks import (
    ExampleTask,
    FineTuning,
    RetrievalCollection,
    Scores,
    TaggingTask,
)

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Metric:
    """A figure with its 95 % confidence interval (`low`, `high`), where one can be had, and the number of items.

    `spread` is the standard deviation over `num_seeds` fine-tunes.
    """

    value: float
    low: float | None = None
    high: float | None = None
    num_items: int | None = None
    spread: float | None = None
    num_seeds: int | None = None


@dataclass(frozen=True)
class EvaluationResult:
    """What an evaluator found: `main` names the metric that stands for it in summaries.

    `tables` are lists of rows (column -> value); `examples` are a few items worth reading; `notes` say what a
    reader must know, e.g. that the data are synthetic. `scores` hold a metric's items, for paired comparisons.
    """

    metrics: Mapping[str, Metric]
    main: str
    tables: Mapping[str, Sequence[Mapping[str, Any]]] = field(default_factory=dict)
    examples: Sequence[Mapping[str, Any]] = ()
    notes: Sequence[str] = ()
    scores: Mapping[str, Scores] = field(default_factory=dict)


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

    def predict_masked(
        self, rows: Sequence[NDArray[np.int64]], positions: Sequence[NDArray[np.int64]], top: int = 1
    ) -> list[NDArray[np.int64]]:
        """Predict tokens. `rows[i]` is `[n_i]` token ids, special and mask tokens included; the result for it is
        `[len(positions[i]), top]`, the most probable ids at those positions, best first.
        """
        ...


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

    def retrieval(self, collection: RetrievalCollection, tuning: FineTuning | None = None) -> EvaluationResult:
        """Rank on mteb; the main metric is `ndcg_at_10`.

        With `tuning` and `collection.training` the encoder first learns from these pairs (in-batch negatives); figures of
        the untuned encoder stand beside, as `raw.`, `centred.` and `whitened.`.
        """
        ...

    def similarity(self, task: ExampleTask, tuning: FineTuning) -> EvaluationResult:
        """Degrees of similarity of pairs: CoSENT fine-tune, Spearman of cosines on test (`spearman`)."""
        ...

    def classification(self, task: ExampleTask, tuning: FineTuning) -> EvaluationResult:
        """Classes of texts: `accuracy` and `macro_f1` on test."""
        ...

    def pair_classification(self, task: ExampleTask, tuning: FineTuning, positive: str) -> EvaluationResult:
        """Whether two texts belong together: `f1` of the class `positive` and `accuracy` on test."""
        ...

    def tagging(self, task: TaggingTask, tuning: FineTuning) -> EvaluationResult:
        """Labelled spans: `f1` over spans that must match exactly, on test."""
        ...


class Evaluator(Component):
    """Measures one thing on any encoder; the same seed gives the same items for every model."""

    kind: ClassVar[str] = "evaluator"

    @property
    def label(self) -> str:
        """Names the result and its file; one that may be listed twice (on two folders) tells its uses apart by it."""
        return self.name

    @property
    def needs_held_out(self) -> bool:
        """Whether it measures on documents that the run holds out; `check` refuses a recipe that holds none out."""
        return False

    @abstractmethod
    def evaluate(self, context: EvaluationContext) -> EvaluationResult:
        """Measure. Metrics are finite; never selects anything on what it measures.

        Raises:
            NotApplicable: the model cannot do what is measured, e.g. BM25 predict a masked word.
        """

    def check(self) -> None:
        """Look whether the evaluator's data can be read; `rexplug check` and `run` call this first.

        Raises:
            DataError: files are missing or do not hold what they should.
        """

    def inputs(self) -> Sequence[Path]:
        """The files that the evaluator reads, so that a change in them is noticed."""
        return ()

    def test_texts(self) -> Mapping[str, str]:
        """The texts that the evaluator asks about (id -> text), so that they are kept out of training; none by default.

        Those that it reports on (the test split), not those that it learns from or chooses by.
        """
        return {}

    def why_no_test_texts(self) -> str | None:
        """Why `test_texts` gives none, as a clause that reports show; None where it gives some."""
        return "it names no texts" if type(self).test_texts is Evaluator.test_texts else None
