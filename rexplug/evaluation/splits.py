"""The examples of a fine-tuned task by split, within the budget of the fine-tune."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rexplug.components import Example, ExampleTask, FineTuning, TaggingTask
from rexplug.errors import DataError


@dataclass(frozen=True)
class Splits:
    """The examples of a task, at most as many of each split as the budget allows."""

    train: Sequence[Any]
    dev: Sequence[Any]
    test: Sequence[Any]

    def items(self) -> list[tuple[str, Sequence[Any]]]:
        """(name, examples) of each split."""
        return [("train", self.train), ("dev", self.dev), ("test", self.test)]


def limited_splits(task: ExampleTask | TaggingTask, budget: FineTuning) -> Splits:
    """At most the budget's number of examples of each split, chosen by a hash of their text.

    Raises:
        DataError: a split has no examples.
    """
    splits: list[Sequence[Any]] = []
    for name, examples in (("train", task.train), ("dev", task.dev), ("test", task.test)):
        if not examples:
            raise DataError(f"{task.name}: there are no examples in {name}")
        if len(examples) > budget.examples:
            in_order = sorted(examples, key=_hash_of)
            splits.append(in_order[: budget.examples])
        else:
            splits.append(examples)
    return Splits(*splits)


def sample_of(examples: Sequence[Any], limit: int) -> list[int]:
    """The places of at most `limit` examples, chosen by a hash of their text."""
    if len(examples) <= limit:
        return list(range(len(examples)))
    by_hash = sorted(range(len(examples)), key=lambda place: _hash_of(examples[place]))
    return sorted(by_hash[:limit])


def text_key(text: str) -> str:
    """A short hash of a text, by which stored scores of the same item are found again."""
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def _hash_of(example: Any) -> str:
    return text_key(f"{example.text}\n{getattr(example, 'second', '')}")


def item_ids(examples: Sequence[Example]) -> list[str]:
    """An id of each example, a hash of both texts."""
    return [text_key(f"{example.text}\n{example.second}") for example in examples]


def item_groups(examples: Sequence[Example]) -> list[str] | None:
    """The group of each example; None if one of them has none."""
    if any(example.group is None for example in examples):
        return None
    return [str(example.group) for example in examples]


def first_text(example: Example) -> str:
    """The first text of an example."""
    return example.text


def second_text(example: Example) -> str:
    """The second text, empty where there is none."""
    return example.second or ""
