"""A test case: a checkpoint that rexplug did not make, and the expected results of `model.from` and of an evaluation.

The right answer is either numbers (those of the model in memory before it was saved, by transformers' own eager attention)
or the sentence of the refusal.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

UNFIT = "its weights are not those of its config.json: "
"""How the refusal of weights that do not fit begins."""


@dataclass(frozen=True)
class Case:
    """A checkpoint and its right answers.

    Attributes:
        name: for the test's name.
        make: writes the folder and returns the model in memory.
        start: the sentence with which `model.from` refuses it; for a model of another family only its model type. None:
            training starts with the weights' own numbers.
        evaluate: likewise for evaluations.
        new_head: `model.from` starts with a random masked-LM head, and evaluations predict no masked words.
        pickled: what is wrong shows only when the weights are loaded, so `check` passes.
        remark: options of its config.json that rexplug trains without, as the warning of `check` names them.
    """

    name: str
    make: Callable[[Path], Any]
    start: str | None = None
    evaluate: str | None = None
    new_head: bool = False
    pickled: bool = False
    remark: str | None = None


def add_case(
    cases: list[Case], start: str | None = None, evaluate: str | bool | None = True, **options: Any
) -> Callable[[Callable[[Path], Any]], None]:
    """Add the decorated function, which writes a folder, to `cases`; `evaluate=True` refuses as `start` does."""

    def add(make: Callable[[Path], Any]) -> None:
        name = make.__name__.replace("_", " ").strip()
        cases.append(Case(name, make, start, start if evaluate is True else evaluate or None, **options))

    return add
