"""Evaluators: measure an encoder."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, Self, TypeVar

from rexplug.components.base import Component
from rexplug.components.document import Document
from rexplug.components.evaluated_items import EvaluatedItem
from rexplug.components.evaluation_tasks import (
    Budget,
    ExampleTask,
    FineTuning,
    RetrievalCollection,
    Scores,
    TaggingTask,
)
from rexplug.components.fine_tuning_task import FineTuned, FineTuningTask
from rexplug.components.report_section import ReportSection
from rexplug.errors import brief

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

DETAIL = "detail"
"""Tag of a metric that is shown beside the main one."""
R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Metric:
    """A metric with its uncertainty.

    An evaluator makes them. `low`, `high` and `spread` are shown where they are given.
    """

    value: float
    """The metric on all items."""
    low: float | None = None
    """Lower end of the 95 % confidence interval; None if there is none."""
    high: float | None = None
    """Upper end of the 95 % confidence interval; None if there is none."""
    num_items: int | None = None
    """Items that were measured."""
    spread: float | None = None
    """Standard deviation over fine-tunes; None for fewer than two."""
    num_seeds: int | None = None
    """Fine-tunes, with a seed each."""
    tags: Sequence[str] = ()
    """Words that say what is measured, by which programs select metrics (`masked_recovery` has `words`, `salient` and `plain`).
    A metric with the tag `detail` is shown by comparisons and by the plot of a run, beside the main one."""

    def __post_init__(self) -> None:
        given: object = self.tags
        # In the order of the evaluator, which the order of a set is not.
        if not isinstance(given, list | tuple) or not all(isinstance(tag, str) for tag in given):
            raise TypeError(f"the tags of a Metric are {brief(given)}; expected words, such as ('detail',)")
        object.__setattr__(self, "tags", tuple(given))


@dataclass(frozen=True)
class EvaluationResult:
    """The results of an evaluator on one model.

    An evaluator makes one in `evaluate`; rexplug stores it beside the model's other results, where reports and comparisons find it.
    """

    metrics: Mapping[str, Metric]
    """The metrics by name."""
    main: str
    """The name of the metric that summaries show."""
    tables: Mapping[str, Sequence[Mapping[str, Any]]] = field(default_factory=dict)
    """Title -> rows (column -> value), which the report folds up; `sections` are shown open, and in the model card too."""
    examples: Sequence[Mapping[str, Any]] = ()
    """A few items worth reading."""
    notes: Sequence[str] = ()
    """What a reader must know, for example that the data are synthetic."""
    scores: Mapping[str, Scores] = field(default_factory=dict)
    """Name of a metric -> the scores of its items, for paired comparisons of models."""
    items: Sequence[EvaluatedItem] = ()
    """The model's answers on single items, to be read by people. At most 1,000 are stored, the same ones for every model."""
    headlines: Sequence[str] = ()
    """Names of metrics that tables show beside the main one, as large; for example that of the encoder before a fine-tune."""
    lower_is_better: Sequence[str] = ()
    """Names of the metrics of which a lower value is better, such as losses."""
    sections: Sequence[ReportSection] = ()
    """Titled texts, tables and figures that the report and the model card of a run show below the metrics."""


class Encoder(Protocol):
    """The encoder under evaluation.

    rexplug loads it once for all evaluators. It may be a checkpoint of the run, a folder or a model of the hub, an ONNX model or a
    lexical baseline such as BM25, which has vectors but predicts no words.
    """

    @property
    def revision(self) -> str:
        """A hash of the weights."""
        ...

    @property
    def tokenizer(self) -> Any:
        """The transformers tokenizer (fast)."""
        ...

    @property
    def max_tokens(self) -> int:
        """Tokens of the longest input, special tokens included."""
        ...

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Embeddings as the model's makers compute them, `[len(texts), dimensions]`; longer texts than `max_tokens` are truncated.

        Models whose files do not specify a pooling are mean-pooled.

        Raises:
            TypeError: `texts` is a single text.
        """
        ...

    def predict_masked(
        self, rows: Sequence[NDArray[np.int64]], positions: Sequence[NDArray[np.int64]], top: int = 1
    ) -> list[NDArray[np.int64]]:
        """The most probable token ids at given positions, best first: an array `[len(positions[i]), top]` per row.

        Args:
            rows: token ids of each row, `[n_i]`, special and mask tokens included.
            positions: the positions to predict in each row, `[m_i]`.
            top: ids per position.

        Raises:
            NotApplicable: the encoder has no masked-LM head.
        """
        ...

    def token_log_probs(
        self,
        rows: Sequence[NDArray[np.int64]],
        positions: Sequence[NDArray[np.int64]],
        targets: Sequence[NDArray[np.int64]],
    ) -> list[NDArray[np.float32]]:
        """Natural logarithms of the probabilities of given token ids at given positions: an array `[len(positions[i])]` per row.

        Args:
            rows: token ids of each row, `[n_i]`, special and mask tokens included.
            positions: the positions to predict in each row, `[m_i]`.
            targets: the token id at each of these positions, `[m_i]`.

        Raises:
            NotApplicable: the encoder has no masked-LM head.
        """
        ...


class EvaluationContext(Protocol):
    """The data and services that the harness gives to an evaluator.

    The harness makes one for each evaluator and model: in a run before the first phase and after each phase, and in
    `rexplug evaluate` for each model that is named.
    """

    @property
    def encoder(self) -> Encoder:
        """The encoder under evaluation."""
        ...

    @property
    def held_out(self) -> Mapping[str, Sequence[Document]]:
        """Source -> kept documents that no phase trains on, at most 2,000 of each (`curation.held_out` says how many are held out).

        Empty where a suite is evaluated, which has no corpus: an evaluator that needs them raises a `DataError` that says so.
        """
        ...

    @property
    def folder(self) -> Path:
        """Where the evaluator may keep files between calls; empty once anything that decides its result has changed."""
        ...

    @property
    def seed(self) -> int:
        """The recipe's seed; items selected with it are the same for every model."""
        ...

    def salience(self, texts: Sequence[str]) -> list[NDArray[np.uint8]] | None:
        """The salience of each character by the recipe's scorer, `[len(text)]` per text; None without a scorer."""
        ...

    def retrieval(
        self, collection: RetrievalCollection, tuning: FineTuning | None = None, *, max_tokens: int | None = None
    ) -> EvaluationResult:
        """Rank with mteb; the main metric is `ndcg_at_10`. Queries and documents have the model's prompts before them.

        With `tuning` and `collection.training` the encoder is fine-tuned on these pairs first (in-batch negatives);
        `untuned.ndcg_at_10` is that of the encoder before the fine-tune, from the start chosen on dev. Metrics of its embeddings
        as they are, minus the corpus mean and whitened are added with the prefixes `raw.`, `centred.` and `whitened.`.

        `max_tokens` is where texts are cut, as far as the model's positions reach; if left out, the limit of `tuning`, or 512,
        at most the length that the model states.
        """
        ...

    def similarity(self, task: ExampleTask, tuning: FineTuning) -> EvaluationResult:
        """Degrees of similarity of pairs: CoSENT fine-tune; `spearman` of cosines and labels on test.

        `untuned.spearman` is that before the fine-tune.
        """
        ...

    def classification(self, task: ExampleTask, tuning: FineTuning) -> EvaluationResult:
        """Classes of texts: `accuracy` and `macro_f1` on test; with the prefix `probe.` of a head on the frozen encoder."""
        ...

    def pair_classification(self, task: ExampleTask, tuning: FineTuning, positive: str) -> EvaluationResult:
        """Whether two texts belong together: `f1` of the class `positive` and `accuracy` on test.

        With the prefix `probe.` they are those of a head on the frozen encoder's embeddings of both.
        """
        ...

    def tagging(self, task: TaggingTask, tuning: FineTuning) -> EvaluationResult:
        """Labelled spans: `f1` over spans that must match exactly, on test; `probe.f1` with a head on the frozen encoder."""
        ...

    def fine_tune(self, task: FineTuningTask[R], tuning: FineTuning) -> FineTuned[R]:
        """Fine-tune copies of the encoder with a loss and a head of the evaluator's own, in the modes of `tuning`.

        Mode `full` trains encoder and head, `probe` the head alone. Each seed of `tuning` is a fine-tune, by AdamW with the
        gradient clipped at norm 1; learning rate and step are chosen on dev, as in the other tasks, and the encoder before the
        fine-tune counts as step 0. `start`, `examples` and `dev_examples` of `tuning` are not used: the task holds the examples.

        Raises:
            NotApplicable: the model cannot be fine-tuned.
            DataError: `tuning` asks for the mode `probe` alone, and the task has no head.
            PluginError: a method of the task returned something else than it should.
        """
        ...


class Evaluator(Component):
    """Measures one property of any encoder; the same seed gives the same items for every encoder.

    It is called once for each model, in the process that trains or that `rexplug evaluate` starts. A stored result is used again
    until the model, the evaluator's options, its code or its files change.
    """

    kind: ClassVar[str] = "evaluator"

    @property
    def label(self) -> str:
        """The name of the result and of its file, without `/`; evaluators that may be listed twice (on two folders) override it."""
        return self.name

    @property
    def needs_held_out(self) -> bool:
        """Whether it needs documents that the run holds out (`context.held_out`); `check` refuses a recipe that holds out none."""
        return False

    def at_budget(self, budget: Budget) -> Self:
        """This evaluator at a budget, of which `standard` is what its options say; options that are a `FineTuning` are scaled.

        An evaluator with other options that decide its cost overrides this.
        """
        options = {name: getattr(self, name) for name in type(self).model_fields}
        tunings = {name: of.at_budget(budget) for name, of in options.items() if isinstance(of, FineTuning)}
        return self.model_copy(update=tunings) if budget != "standard" and tunings else self

    @abstractmethod
    def evaluate(self, context: EvaluationContext) -> EvaluationResult:
        """Measure the encoder. Metrics are finite; nothing may be selected on the items that are reported.

        Raises:
            NotApplicable: the encoder cannot do what is measured; BM25, for example, cannot predict a masked word.
        """

    def check(self) -> None:
        """Check that the evaluator's data can be read; `rexplug check` and `run` call this first.

        Raises:
            DataError: files are missing or have unexpected contents.
        """

    def inputs(self) -> Sequence[Path]:
        """The files that the evaluator reads; a change in them makes a run evaluate again."""
        return ()

    def test_texts(self) -> Mapping[str, str]:
        """Id -> text of the texts that the evaluator reports on, which decontamination excludes from training.

        Texts of the test split, not those that it fine-tunes on or selects by. The default names none; an evaluator that has none
        to name says why in `why_no_test_texts`.
        """
        return {}

    def why_no_test_texts(self) -> str | None:
        """Why `test_texts` is empty, as a clause for reports; None if it is not empty."""
        return "it names no texts" if type(self).test_texts is Evaluator.test_texts else None
