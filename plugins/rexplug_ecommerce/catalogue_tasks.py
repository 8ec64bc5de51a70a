"""Evaluators that fine-tune on tasks of shops: matching offers, categories of products and queries, attributes in titles."""

from __future__ import annotations

import hashlib
import re
from abc import abstractmethod
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from pydantic import Field

from rexplug import (
    DataError,
    EvaluationContext,
    EvaluationResult,
    Evaluator,
    Example,
    ExampleTask,
    FineTuning,
    TaggedText,
    TaggingTask,
    read_records,
    split_of,
)


class _OnTable(Evaluator):
    """Base class of evaluators whose examples are in one table."""

    data: Path
    """The table: .jsonl, .csv or .tsv (.gz or .zst too)."""
    tuning: FineTuning = FineTuning(max_tokens=64)
    """Budget of the fine-tune."""

    required: ClassVar[tuple[str, ...]] = ()

    @abstractmethod
    def task(self) -> ExampleTask | TaggingTask:
        """The examples by split."""

    def test_texts(self) -> Mapping[str, str]:
        """The texts of the test split."""
        return self.task().texts()

    @property
    def label(self) -> str:
        """`<name>.<file>`: an evaluator may run on several tables."""
        return f"{self.name}.{self.data.name.split('.')[0].replace('__', '-').lower()}"

    def inputs(self) -> Sequence[Path]:
        """The file of the table."""
        return (self.data,)

    def check(self) -> None:
        """Read the first row.

        Raises:
            DataError: the file is missing or empty or lacks a column.
        """
        if next(self.rows(), None) is None:
            raise DataError(f"{self.name}: {self.data} is empty")

    def required_columns(self) -> Sequence[str]:
        """The columns that each row must have."""
        return self.required

    def rows(self) -> Iterator[tuple[int, dict[str, Any]]]:
        """Yield (line, row).

        Raises:
            DataError: a row lacks a column.
        """
        for number, row in read_records(self.data):
            missing = [name for name in self.required_columns() if name not in row]
            if missing:
                raise DataError(
                    f"{self.name}: {self.data}:{number}: there is no column {missing[0]}; it has {', '.join(map(str, row))}"
                )
            yield number, row


class ProductMatching(_OnTable):
    """Whether two offers are the same product: both texts are read at once, F1 of matches on test.

    Rows are those of Ditto's packages of the DeepMatcher and WDC sets: `left` and `right` (attribute -> value), `label`
    (1 or 0) and `split` (train, valid or test; WDC's `train.small` and the like are taken by `size`).
    """

    name: ClassVar[str] = "ecommerce.product_matching"
    required: ClassVar[tuple[str, ...]] = ("split", "label", "left", "right")

    size: str = "medium"
    """Which of WDC's training sets: small, medium or large."""
    tuning: FineTuning = FineTuning(max_tokens=96)
    """Budget of the fine-tune."""

    def task(self) -> ExampleTask:
        """The pairs of offers by split."""
        parts: dict[str, list[Example]] = {"train": [], "dev": [], "test": []}
        names = {"train": "train", "valid": "dev", "test": "test"}
        for number, row in self.rows():
            split, _, size = str(row["split"]).partition(".")
            if split not in names:
                raise DataError(
                    f"{self.name}: {self.data}:{number}: split {row['split']!r} is not one of train, valid and test"
                )
            if size and size != self.size:
                continue
            left, right = (" ".join(str(v) for v in row[side].values() if v) for side in ("left", "right"))
            parts[names[split]].append(Example(left, str(row["label"]), right))
        return ExampleTask(self.label, **parts)

    def test_texts(self) -> Mapping[str, str]:
        """The offers of the test split, and their values one by one: web pages have titles without the brand before them."""
        texts = dict(self.task().texts())
        for number, row in self.rows():
            if str(row["split"]).partition(".")[0] == "test":
                for side in ("left", "right"):
                    texts |= {
                        f"row {number} {side}.{name}": str(v) for name, v in row[side].items() if v and " " in str(v)
                    }
        return texts

    def evaluate(self, context: EvaluationContext) -> EvaluationResult:
        """The main metric is `f1` of matches."""
        return context.pair_classification(self.task(), self.tuning, "1")


class ProductClassification(_OnTable):
    """The category of a product from its title: accuracy and macro F1; products of a cluster stay in one split."""

    name: ClassVar[str] = "ecommerce.product_classification"

    title: str = "product_title"
    """The column with the title."""
    category: str = "category_label"
    """The column with the category."""
    cluster: str | None = "cluster_id"
    """The column with the same value for offers of one product; the title itself if left out."""

    def required_columns(self) -> Sequence[str]:
        """The columns of title, category and cluster."""
        return [name for name in (self.title, self.category, self.cluster) if name]

    def task(self) -> ExampleTask:
        """Titles and their categories by split."""
        return _split(self.label, [
            (str(row[self.cluster or self.title]), Example(str(row[self.title]), str(row[self.category])))
            for _, row in self.rows() if row[self.title] and row[self.category]
        ])  # fmt: skip

    def evaluate(self, context: EvaluationContext) -> EvaluationResult:
        """The main metric is `accuracy`."""
        return context.classification(self.task(), self.tuning)


class QueryClassification(_OnTable):
    """The product class of a search query (WANDS): accuracy and macro F1 over the classes that are not rare."""

    name: ClassVar[str] = "ecommerce.query_classification"
    required: ClassVar[tuple[str, ...]] = ("query", "query_class")

    at_least: int = Field(default=5, ge=2)
    """Queries that a class must have; those of rarer classes are left out."""
    tuning: FineTuning = FineTuning(max_tokens=24, steps=80, seeds=3)
    """Budget of the fine-tune."""

    def task(self) -> ExampleTask:
        """Queries and their classes by split; as far as there are enough queries, every class is in every split."""
        rows = [(str(row["query"]), str(row["query_class"])) for _, row in self.rows() if row["query_class"]]
        count = Counter(label for _, label in rows)
        parts: dict[str, list[Example]] = {"train": [], "dev": [], "test": []}
        by_class: dict[str, list[str]] = {}
        for query, label in rows:
            if count[label] >= self.at_least:
                by_class.setdefault(label, []).append(query)
        for label, queries in by_class.items():
            # There are few queries for many classes, so each class is split by itself, three fifths to train on.
            ordered = sorted(queries, key=_hash)
            first, second = round(0.3 * len(ordered)), round(0.4 * len(ordered))
            for name, chosen in (
                ("test", ordered[:first]),
                ("dev", ordered[first:second]),
                ("train", ordered[second:]),
            ):
                parts[name] += [Example(query, label) for query in chosen]
        return ExampleTask(self.label, **parts)

    def evaluate(self, context: EvaluationContext) -> EvaluationResult:
        """The main metric is `accuracy`."""
        return context.classification(self.task(), self.tuning)


class AttributeTagging(_OnTable):
    """Brand, colour, size and other attributes in product titles: a token classification fine-tune, F1 over exact spans.

    Rows hold `input` (the title) and `target_scores` (attribute -> value -> 1), as in AE-110K and OA-Mine; a value is marked
    where it first occurs in the title as whole words, or else the words that it is a part of; `n/a` is not a value.
    """

    name: ClassVar[str] = "ecommerce.attribute_tagging"
    required: ClassVar[tuple[str, ...]] = ("input", "target_scores")

    attributes: int = Field(default=12, ge=1)
    """How many attributes are used: the most frequent ones."""
    tuning: FineTuning = FineTuning(max_tokens=None, steps=100)
    """Budget of the fine-tune. Titles are read whole: a tag that is cut off always counts as missed."""

    def task(self) -> TaggingTask:
        """Titles with the spans of their attributes by split."""
        read = [(str(row["input"]), _spans(str(row["input"]), row["target_scores"])) for _, row in self.rows()]
        count = Counter(label for _, spans in read for _, _, label in spans)
        kept = {label for label, _ in count.most_common(self.attributes)}
        parts: dict[str, list[TaggedText]] = {"train": [], "dev": [], "test": []}
        for text, spans in read:
            parts[split_of(text, dev=0.15, test=0.25)].append(TaggedText(text, [s for s in spans if s[2] in kept]))
        return TaggingTask(self.label, **parts)

    def evaluate(self, context: EvaluationContext) -> EvaluationResult:
        """The main metric is `f1`."""
        return context.tagging(self.task(), self.tuning)


def _spans(text: str, targets: Mapping[str, Mapping[str, Any]]) -> list[tuple[int, int, str]]:
    """The spans of the values; longer ones are placed first, so that `red` does not cut `red patent`, and spans do not overlap."""
    spans: list[tuple[int, int, str]] = []
    written = [(value.strip(), attribute) for attribute, names in targets.items() for value in names]
    values = [(value, attribute) for value, attribute in written if value and value != "n/a"]
    for value, attribute in sorted(values, key=lambda pair: -len(pair[0])):
        found = [_whole_words(text, match.start(), match.end()) for match in re.finditer(re.escape(value), text)]
        free = [(start, end) for start, end in found if not any(start < b and end > a for a, b, _ in spans)]
        if free:
            # The first place where the value is not a part of a longer word, or else the first one.
            start, end = min(free, key=lambda place: place[1] - place[0])
            spans.append((start, end, attribute))
    return sorted(spans)


def _whole_words(text: str, start: int, end: int) -> tuple[int, int]:
    """A span widened to whole words and numbers (`Men` in `Mens Jersey` to `Mens`), which are all that tokens may be."""

    def joined(index: int) -> bool:
        one, other = text[index - 1], text[index]
        letters = one.lower() != one.upper() and other.lower() != other.upper()
        return letters or (one.isdigit() and other.isdigit())

    while start > 0 and joined(start):
        start -= 1
    while end < len(text) and joined(end):
        end += 1
    return start, end


def _split(name: str, keyed: Sequence[tuple[str, Example]]) -> ExampleTask:
    parts: dict[str, list[Example]] = {"train": [], "dev": [], "test": []}
    for key, example in keyed:
        parts[split_of(key)].append(example)
    return ExampleTask(name, **parts)


def _hash(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()
