"""Tables of examples for the fine-tuned evaluators."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rexplug.components import Example, ExampleTask, split_of
from rexplug.errors import DataError
from rexplug.io.tabular import column, read_records

if TYPE_CHECKING:
    from rexplug.evaluation.evaluators import _OnFiles


def check_tables(evaluator: _OnFiles) -> None:
    """See that the tables are there and their first rows have the columns.

    Raises:
        DataError: a file is missing or empty or lacks a column.
    """
    texts: Sequence[str] = getattr(evaluator, "text_columns", ())
    for path in evaluator.inputs():
        first = next(read_records(path, evaluator.columns), None)
        if first is None:
            raise DataError(f"{path} is empty")
        for name in (*texts, evaluator.label_column):
            column(first[1], [name], f"{path}:{first[0]}")


def read_examples(
    evaluator: _OnFiles, texts: Sequence[str], *, degrees: bool = False, pairs: bool = False
) -> ExampleTask:
    """The evaluator's task; what has no split of its own is split by a hash of the first text.

    Raises:
        DataError: a file cannot be read, lacks a column, or a degree is no number.
    """
    read = {
        name: _examples(path, evaluator, texts, degrees, pairs or degrees)
        for name, path in (("train", evaluator.train), ("dev", evaluator.dev), ("test", evaluator.test))
        if path is not None
    }
    train = read["train"]
    found = dict(read)
    if "dev" not in read or "test" not in read:
        test, dev = (0.0 if "test" in read else 0.2), (0.0 if "dev" in read else 0.1)
        where = [split_of(each.text, dev=dev, test=test) for each in train]
        for name in ("train", "dev", "test"):
            if name == "train" or name not in read:
                found[name] = [each for each, split in zip(train, where, strict=True) if split == name]
    return ExampleTask(evaluator.label, found["train"], found["dev"], found["test"])


def _examples(path: Path, evaluator: _OnFiles, texts: Sequence[str], degrees: bool, pairs: bool) -> list[Example]:
    found = []
    for number, row in read_records(path, evaluator.columns):
        place = f"{path}:{number}"
        values = [str(column(row, [name], place)) for name in texts]
        label: Any = column(row, [evaluator.label_column], place)
        if degrees:
            try:
                label = float(label)
            except (TypeError, ValueError):
                raise DataError(f"{place}: {evaluator.label_column} is {label!r}, which is no number") from None
        else:
            label = str(label)
        found.append(Example(values[0], label, values[1]) if pairs else Example(" ".join(values), label))
    return found
