"""Counts the work of an evaluator before it runs: texts that a model will read, and steps of fine-tunes.

The evaluator runs with a context that counts the work of its tasks in place of doing it, in the same order as `finetune_tasks`,
`classifiers` and `retrieval`. The encoder keeps tokenized texts, so that tokenizing them here takes no extra time.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from rexplug.components import (
    Document,
    EvaluationResult,
    Evaluator,
    ExampleTask,
    FineTuning,
    FineTuningTask,
    RetrievalCollection,
    TaggingTask,
)
from rexplug.errors import NotApplicable
from rexplug.evaluation.kept import distinct_rows
from rexplug.evaluation.model_usage import Role
from rexplug.evaluation.ranking_choice import graded_pairs, ranking_of, train_and_dev
from rexplug.evaluation.splits import first_text, limited_splits, sample_of, second_text
from rexplug.evaluation.starts import SAMPLE
from rexplug.evaluation.statistics import resamples_of
from rexplug.evaluation.text_encoder import TextEncoder
from rexplug.evaluation.tuning import checkpoints
from rexplug.model.family import find_family
from rexplug.plugins.calls import evaluate_model

if TYPE_CHECKING:
    from rexplug.evaluation.harness import EvaluationData


@dataclass
class Workload:
    """The work of a model for an evaluator.

    `read` and `trained` count tokens, weighted so that the same number takes the same time: attention makes tokens of long texts
    more expensive, and the prediction of a masked token costs as much as the layers do for several tokens.
    """

    texts: int = 0
    read: float = 0.0
    fine_tunes: int = 0
    steps: int = 0
    trained: float = 0.0
    shared: str = ""
    """Evaluators with the same value share their fine-tunes and embeddings: only the first of them computes them."""
    known: bool = True
    """Whether all of it could be counted."""
    seconds: float = 0.0
    """Time besides the network's that the count takes too, mostly for reading data."""


def workload_of(evaluator: Evaluator, model: TextEncoder, data: EvaluationData) -> Workload | None:
    """Count the work of an evaluator; None if it is not known, as for tasks that mteb runs on its own."""
    work = Workload()
    started = time.monotonic()
    with TemporaryDirectory(prefix="rexplug-") as folder:
        context = _CountingContext(model, data, Path(folder), work)
        try:
            with resamples_of("quick"):
                evaluate_model(evaluator, context, "while its work was counted")
        except NotApplicable:
            return Workload()
        except Exception:  # an evaluator may fail on the placeholders that it receives in place of results
            if not (work.texts or work.steps):
                return None
    if not work.known or not (work.texts or work.steps):
        return None
    # It reads its data again when it runs.
    work.seconds += time.monotonic() - started
    return work


class _Counted(Exception):
    """Ends an evaluator whose task has been counted."""


@dataclass
class _CountingContext:
    """An `EvaluationContext` that counts the work of tasks in place of doing it."""

    model: TextEncoder
    data: EvaluationData
    folder: Path
    work: Workload

    @property
    def encoder(self) -> _CountingEncoder:
        return _CountingEncoder(self.model, self.work)

    @property
    def held_out(self) -> Mapping[str, Sequence[Document]]:
        return self.data.held_out

    @property
    def seed(self) -> int:
        return self.data.seed

    def salience(self, texts: Sequence[str]) -> None:
        """None: which words are salient does not change the work."""

    def retrieval(
        self, collection: RetrievalCollection, tuning: FineTuning | None = None, *, max_tokens: int | None = None
    ) -> EvaluationResult:
        model = self.model.reading(max_tokens)
        limit = max_tokens or (tuning.max_tokens if tuning else 512)
        documents = _Rows.of(model, list(dict.fromkeys(collection.corpus.values())), limit, role="document")
        queries = _Rows.of(model, list(dict.fromkeys(collection.queries.values())), limit, role="query")
        self._embed(documents, queries)
        texts = list(collection.corpus.values()), list(collection.queries.values()), collection.training, collection.dev
        self.work.shared = hashlib.sha256(repr((tuning, limit, texts)).encode()).hexdigest()
        if tuning is None or not collection.training:
            raise _Counted
        training, dev = train_and_dev(collection, tuning)
        roles: tuple[Role, Role] = ("query", "document")
        sides = [
            _Rows.of(model, [pair[side] for pair in training], tuning.max_tokens, role=role)
            for side, role in enumerate(roles)
        ]
        chosen_on = dev or ranking_of(graded_pairs(training), (), tuning.dev_examples)
        on_dev = [
            _Rows.of(model, texts, tuning.max_tokens, role=role)
            for texts, role in zip((chosen_on.queries, chosen_on.documents), roles, strict=True)
        ]
        self._embed(*on_dev, *(side.at_most(SAMPLE) for side in sides))
        if self.model.trainable:
            self._fine_tune(tuning, sides, on_dev if dev else [], [documents, queries], self._embed)
        raise _Counted

    def similarity(self, task: ExampleTask, tuning: FineTuning) -> EvaluationResult:
        splits = limited_splits(task, tuning)
        sampled = [splits.dev[place] for place in sample_of(splits.dev, int(tuning.dev_examples))]
        rows = {
            name: [
                _Rows.of(self.model, [text_of(e) for e in examples], tuning.max_tokens)
                for text_of in (first_text, second_text)
            ]
            for name, examples in (("train", splits.train), ("dev", sampled), ("test", splits.test))
        }
        self._embed(*rows["dev"], *rows["test"], *(side.at_most(SAMPLE) for side in rows["train"]))
        if "probe" in tuning.modes:
            self._embed(*rows["train"])
        if self._trains(tuning):
            self._fine_tune(tuning, rows["train"], rows["dev"], rows["test"], self._embed)
        raise _Counted

    def classification(self, task: ExampleTask, tuning: FineTuning) -> EvaluationResult:
        self._classify(task, tuning, pairs=False)
        raise _Counted

    def pair_classification(self, task: ExampleTask, tuning: FineTuning, positive: str) -> EvaluationResult:
        self._classify(task, tuning, pairs=True)
        raise _Counted

    def tagging(self, task: TaggingTask, tuning: FineTuning) -> EvaluationResult:
        splits = limited_splits(task, tuning)
        rows = {
            name: _Rows.of(self.model, [e.text for e in examples], tuning.max_tokens)
            for name, examples in splits.items()
        }
        self._read(rows["train"], *[rows["test"]] * tuning.seeds)
        if self._trains(tuning):
            dev = rows["dev"].at_most(int(tuning.dev_examples))
            self._read(dev)
            self._fine_tune(tuning, [rows["train"]], [dev], [rows["test"]], self._read)
        raise _Counted

    def fine_tune(self, task: FineTuningTask[Any], tuning: FineTuning) -> NoReturn:
        """Which texts a loss of the evaluator's own reads is known only when it reads them."""
        self.work.known = False
        raise _Counted

    def _classify(self, task: ExampleTask, tuning: FineTuning, *, pairs: bool) -> None:
        splits = limited_splits(task, tuning)
        rows = {}
        for name, examples in splits.items():
            first, second = [first_text(e) for e in examples], [second_text(e) for e in examples]
            rows[name] = _Rows.of(self.model, first, tuning.max_tokens, second if pairs else None)
            self._embed(*(_Rows.of(self.model, side, tuning.max_tokens) for side in (first, second)[: 1 + pairs]))
        if not self._trains(tuning):
            return
        if pairs:
            self._read(rows["train"].at_most(SAMPLE))
        tested = [rows["dev"], rows["test"]] if pairs else [rows["test"]]
        dev = rows["dev"].at_most(int(tuning.dev_examples))
        self._fine_tune(tuning, [rows["train"]], [dev], tested, self._read)

    def _trains(self, tuning: FineTuning) -> bool:
        """Whether a task fine-tunes all weights of the model."""
        return "full" in tuning.modes and self.model.trainable

    def _fine_tune(
        self,
        tuning: FineTuning,
        train: Sequence[_Rows],
        dev: Sequence[_Rows],
        tested: Sequence[_Rows],
        read: Callable[..., None],
    ) -> None:
        """Count the fine-tunes of `tuning.fine_tune`, as if none were stopped early; without dev nothing is chosen."""
        stops = checkpoints(tuning)
        dropped = len(tuning.learning_rates) - 1 if dev else 0
        steps = tuning.seeds * tuning.steps + dropped * stops[0]
        self.work.fine_tunes += tuning.seeds + dropped
        self.work.steps += steps
        for rows in train:
            batch = min(tuning.batch, rows.count)
            self.work.trained += steps * batch * rows.tokens / max(1, rows.count)
        read(*[*dev] * (tuning.seeds * len(stops) + dropped), *[*tested] * tuning.seeds)

    def _read(self, *several: _Rows) -> None:
        for rows in several:
            self.work.texts += rows.count
            self.work.read += rows.tokens

    def _embed(self, *several: _Rows) -> None:
        """Count texts that are embedded; each distinct text is read once."""
        for rows in several:
            self.work.texts += rows.distinct
            self.work.read += rows.distinct_tokens


@dataclass(frozen=True)
class _Rows:
    """How many texts and weighted tokens there are, and how many of them are distinct."""

    count: int
    tokens: float
    distinct: int
    distinct_tokens: float

    @classmethod
    def of(
        cls,
        model: TextEncoder,
        texts: Sequence[str],
        max_tokens: int | None,
        pairs: Sequence[str] | None = None,
        **options: Any,
    ) -> _Rows:
        rows = model.tokenize(texts, max_tokens, pairs, **options)
        distinct, _ = distinct_rows(rows)
        return cls(len(rows), weighted_tokens(rows, model), len(distinct), weighted_tokens(distinct, model))

    def at_most(self, count: int) -> _Rows:
        """At most `count` of the rows, assumed to be of average length."""
        if self.count <= count:
            return self
        share = count / self.count
        return _Rows(count, self.tokens * share, round(self.distinct * share), self.distinct_tokens * share)


def weighted_tokens(rows: Sequence[NDArray[np.int64]], model: TextEncoder) -> float:
    """Number of tokens of rows, each weighted by 1 + n / 6h for attention in a row of n tokens, with h hidden dimensions.

    Layers with local attention count without attention.
    """
    lengths = np.array([len(row) for row in rows], np.float64)
    config = getattr(model.module, "config", None)
    family = find_family(getattr(config, "model_type", None))
    kinds: Sequence[str] = getattr(config, family.config.layer_kinds, None) or () if family else ()
    share = kinds.count(family.kinds["global"].name) / len(kinds) if family and kinds else 1.0
    return float((lengths * (1 + share * lengths / (6 * model.num_dimensions))).sum())


class _CountingEncoder:
    """A `rexplug.Encoder` that counts the texts and predicts nothing; anything else is the model's."""

    def __init__(self, model: TextEncoder, work: Workload) -> None:
        self._model, self._work = model, work

    def __getattr__(self, name: str) -> Any:
        if name in ("reading", "clone", "compute", "embed_rows", "token_vectors", "hidden", "means", "pooled"):
            raise _Counted
        return getattr(self._model, name)

    def encode(self, texts: Sequence[str], max_tokens: int | None = 512, **options: Any) -> NDArray[np.float32]:
        rows = self._model.tokenize(texts, max_tokens, **options)
        distinct, _ = distinct_rows(rows)
        self._work.texts += len(distinct)
        self._work.read += weighted_tokens(distinct, self._model)
        return np.random.default_rng(0).standard_normal((len(rows), self._model.num_dimensions)).astype(np.float32)

    def predict_masked(
        self, rows: Sequence[NDArray[np.int64]], positions: Sequence[NDArray[np.int64]], top: int = 1
    ) -> list[NDArray[np.int64]]:
        self._count_predictions(rows, positions)
        return [np.zeros((len(of_row), top), np.int64) for of_row in positions]

    def token_log_probs(
        self,
        rows: Sequence[NDArray[np.int64]],
        positions: Sequence[NDArray[np.int64]],
        targets: Sequence[NDArray[np.int64]],
    ) -> list[NDArray[np.float32]]:
        self._count_predictions(rows, positions)
        return [np.zeros(len(of_row), np.float32) for of_row in targets]

    def _count_predictions(self, rows: Sequence[NDArray[np.int64]], positions: Sequence[NDArray[np.int64]]) -> None:
        model = self._model
        if not model.predicts_words:
            raise NotApplicable("the model has no masked-language-model head")
        masked = [row for row, of_row in zip(rows, positions, strict=True) if len(of_row)]
        self._work.texts += len(masked)
        self._work.read += weighted_tokens(masked, model)
        vocabulary = model.num_parameters - model.num_parameters_without_embedding
        self._work.read += sum(map(len, positions)) * vocabulary / max(1, model.num_parameters_without_embedding)
