"""Fine-tuned tasks on tables of examples: similarity, classification and classification of pairs."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from pydantic import Field

from rexplug.components import (
    EvaluationContext,
    EvaluationResult,
    Evaluator,
    Example,
    ExampleTask,
    FineTuning,
    split_of,
)
from rexplug.errors import DataError
from rexplug.io.tabular import column, read_records
from rexplug.plugins.calls import evaluator_label


class ExampleEvaluator(Evaluator):
    """Fine-tunes and measures on tables of examples: .jsonl, .csv or .tsv, compressed or not."""

    title: str | None = Field(default=None, pattern=r"^[a-z0-9_-]+$")
    """Tells several uses of this evaluator apart; part of the result's name."""
    train: Path
    """Examples to learn from."""
    dev: Path | None = None
    """Examples to choose by; a tenth of `train`, by a hash of the text, if left out."""
    test: Path | None = None
    """Examples to report; a fifth of `train`, by a hash of the text, if left out."""
    columns: tuple[str, ...] | None = None
    """Names of the columns of tables without a header line."""
    label_column: str = "label"
    """The column with the right answer."""
    tuning: FineTuning = FineTuning()
    """The budget of the fine-tune."""

    @property
    def label(self) -> str:
        """`<name>.<title>`; the name alone without a title."""
        return f"{self.name}.{self.title}" if self.title else self.name

    def inputs(self) -> Sequence[Path]:
        """The files of the tables."""
        return [path for path in (self.train, self.dev, self.test) if path is not None]

    def check(self) -> None:
        """Check that the tables exist and that the first row of each has the columns.

        Raises:
            DataError: a file is missing or empty or lacks a column.
        """
        text_columns: Sequence[str] = getattr(self, "text_columns", ())
        for path in self.inputs():
            first = next(read_records(path, self.columns), None)
            if first is None:
                raise DataError(f"{path} is empty")
            for name in (*text_columns, self.label_column):
                column(first[1], [name], f"{path}:{first[0]}")

    @abstractmethod
    def task(self) -> ExampleTask:
        """The examples by split."""

    def test_texts(self) -> Mapping[str, str]:
        """The texts of the test split."""
        return self.task().texts()


class Similarity(ExampleEvaluator):
    """Degrees of similarity of pairs of texts, e.g. STS-B: a CoSENT fine-tune and Spearman's correlation on test."""

    name: ClassVar[str] = "similarity"

    label_column: str = "score"
    """The column with the degree; any scale."""
    text_columns: tuple[str, str] = ("sentence1", "sentence2")
    """The columns with the two texts."""

    def task(self) -> ExampleTask:
        """Pairs of texts and their degrees."""
        return _read_task(self, self.text_columns, degrees=True)

    def evaluate(self, context: EvaluationContext) -> EvaluationResult:
        """Measure Spearman's correlation of the cosine similarities with the degrees, `spearman`."""
        return context.similarity(self.task(), self.tuning)


class Classification(ExampleEvaluator):
    """Classes of texts, e.g. sentiment: a fine-tune, and accuracy and macro F1 on test."""

    name: ClassVar[str] = "classification"

    text_columns: tuple[str, ...] = Field(default=("text",), min_length=1)
    """The columns whose texts are joined by a blank."""

    def task(self) -> ExampleTask:
        """Texts and their classes."""
        return _read_task(self, self.text_columns)

    def evaluate(self, context: EvaluationContext) -> EvaluationResult:
        """Measure `accuracy` and `macro_f1`."""
        return context.classification(self.task(), self.tuning)


class PairClassification(ExampleEvaluator):
    """Whether two texts belong together: a fine-tune on both texts at once, and F1 on test."""

    name: ClassVar[str] = "pair_classification"

    text_columns: tuple[str, str] = ("sentence1", "sentence2")
    """The columns with the two texts."""
    positive: str = "1"
    """The label of pairs that belong together."""

    def task(self) -> ExampleTask:
        """Pairs of texts and whether they belong together."""
        return _read_task(self, self.text_columns, pairs=True)

    def evaluate(self, context: EvaluationContext) -> EvaluationResult:
        """Measure `f1` and `accuracy`."""
        return context.pair_classification(self.task(), self.tuning, self.positive)


def _read_task(
    evaluator: ExampleEvaluator, text_columns: Sequence[str], *, degrees: bool = False, pairs: bool = False
) -> ExampleTask:
    """The evaluator's task; splits without a table of their own are taken from `train` by a hash of the first text.

    Raises:
        DataError: a file cannot be read, lacks a column, or a degree is not a number.
    """
    splits = {
        name: _read_examples(path, evaluator, text_columns, degrees, pairs or degrees)
        for name, path in (("train", evaluator.train), ("dev", evaluator.dev), ("test", evaluator.test))
        if path is not None
    }
    given = set(splits)
    if given != {"train", "dev", "test"}:
        train = splits["train"]
        test, dev = (0.0 if "test" in given else 0.2), (0.0 if "dev" in given else 0.1)
        split_names = [split_of(example.text, dev=dev, test=test) for example in train]
        for name in ("train", "dev", "test"):
            if name == "train" or name not in given:
                splits[name] = [example for example, split in zip(train, split_names, strict=True) if split == name]
    return ExampleTask(evaluator_label(evaluator), splits["train"], splits["dev"], splits["test"])


def _read_examples(
    path: Path, evaluator: ExampleEvaluator, text_columns: Sequence[str], degrees: bool, pairs: bool
) -> list[Example]:
    examples = []
    for number, row in read_records(path, evaluator.columns):
        place = f"{path}:{number}"
        texts = [str(column(row, [name], place)) for name in text_columns]
        label: Any = column(row, [evaluator.label_column], place)
        if degrees:
            try:
                degree = float(label)
            except (TypeError, ValueError):
                degree = math.nan
            if not math.isfinite(degree):
                raise DataError(f"{place}: {evaluator.label_column} is {label!r}, which is not a number")
            label = degree
        else:
            label = str(label)
        examples.append(Example(texts[0], label, texts[1]) if pairs else Example(" ".join(texts), label))
    return examples
