"""What evaluations took: seconds, and texts that a model read in a second, for tables beside the metrics."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rexplug.report.results import ModelResults


@dataclass(frozen=True)
class Cost:
    """What an evaluator took on a model, where and when it was measured."""

    seconds: float
    """From reading the data to the intervals, fine-tunes included; of several runs the mean."""
    texts_per_second: float | None
    """Texts that the network read in a second without gradients, tokenization not included; None where it read none."""
    device: str
    """The GPU, or the processor with its threads; empty for results of older versions."""
    precision: str
    """Number format of matrix products; empty for lexical baselines."""
    budget: str
    """The budget of the evaluation."""
    stored: bool
    """Whether the result was stored by an earlier evaluation and not computed now."""

    @property
    def shown(self) -> str:
        """Seconds and texts per second, `41 s, 310 texts/s`, with a star if the result was stored earlier."""
        seconds = f"{self.seconds:.1f} s" if self.seconds < 10 else f"{self.seconds:,.0f} s"
        speed = "" if self.texts_per_second is None else f", {_amount(self.texts_per_second)} texts/s"
        return seconds + speed + ("*" if self.stored else "")

    @property
    def conditions(self) -> str:
        """Device and number format: `AMD EPYC, 2 threads, fp32`."""
        return ", ".join(part for part in (self.device or "unknown device", self.precision) if part)

    def to_json(self) -> dict[str, Any]:
        """The cost as a JSON object."""
        return asdict(self)


def cost_of(model: ModelResults, evaluator: str) -> Cost | None:
    """What an evaluator took on a model; None if it has no result or does not apply."""
    return cost_of_result(model.results.get(evaluator, {}), stored=evaluator in model.stored)


def cost_of_result(result: Mapping[str, Any], *, stored: bool = False) -> Cost | None:
    """The cost of a result, from the content of its file; None if the evaluator does not apply."""
    if "metrics" not in result or "seconds" not in result:
        return None
    work: Mapping[str, Any] = result.get("work", {})
    texts, reading = work.get("texts", 0), work.get("reading_seconds", 0.0)
    return Cost(
        float(result["seconds"]),
        texts / reading if texts and reading else None,
        str(result.get("device", "")),
        str(result.get("precision", "")),
        str(result.get("budget", "standard")),
        stored,
    )


def mean_cost(results: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The means over several runs of the fields that `cost_of` reads."""
    names = ("texts", "reading_seconds")
    works = [result["work"] for result in results if "work" in result]
    return {
        "seconds": sum(float(result.get("seconds", 0.0)) for result in results) / len(results),
        "work": {name: sum(work.get(name, 0) for work in works) / len(results) for name in names},
    }


def cost_notes(models: Sequence[ModelResults], costs: Mapping[str, Sequence[Cost | None]]) -> list[str]:
    """Where seconds and texts per second were measured, and which of them were stored earlier."""
    found: dict[str, dict[str, None]] = {}
    for of_models in costs.values():
        for model, cost in zip(models, of_models, strict=True):
            if cost is not None:
                found.setdefault(cost.conditions, {})[model.label] = None
    if not found:
        return []
    one = next(iter(found)) if len(found) == 1 else ""
    where = one or "; ".join(f"{', '.join(labels)} on {conditions}" for conditions, labels in found.items())
    notes = [
        f"Time: the whole evaluation, and texts that the network reads in a second, tokenization not included; {where}."
    ]
    if any(cost is not None and cost.stored for of_models in costs.values() for cost in of_models):
        notes.append("*: stored by an earlier evaluation, whose machine may have been under a different load.")
    return notes


def budget_notes(models: Sequence[ModelResults], costs: Mapping[str, Sequence[Cost | None]]) -> list[str]:
    """A note on evaluators that ran at different budgets, and on budgets that are not the standard."""
    notes: dict[str, None] = {}
    for evaluator, of_models in costs.items():
        budgets = {model.label: cost.budget for model, cost in zip(models, of_models, strict=True) if cost is not None}
        if len(set(budgets.values())) > 1:
            each = ", ".join(f"{label} at {budget}" for label, budget in budgets.items())
            notes[f"{evaluator} was evaluated at different budgets, which are not comparable: {each}."] = None
    levels = {cost.budget for of_models in costs.values() for cost in of_models if cost is not None}
    if not notes and len(levels) == 1 and (level := levels.pop()) != "standard":
        notes[f"Budget: {level}."] = None
    return list(notes)


def _amount(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 else f"{value:.1f}"
