"""Calls into evaluators: their results, names and test texts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rexplug.components import Budget, EvaluationContext, EvaluationResult, Evaluator
from rexplug.errors import PluginError
from rexplug.plugins.calls.call import PluginCall, bool_property, owner, text_property, unexpected, wrong_property
from rexplug.plugins.calls.evaluation_results import require_result

_LONGEST_LABEL = 200
"""Bytes of a label: names of files have at most 255, with their endings."""


def evaluate_model(evaluator: Evaluator, context: EvaluationContext, subject: str = "") -> EvaluationResult:
    """The checked result of `evaluator.evaluate(context)`.

    Args:
        evaluator: the evaluator.
        context: the model and the data.
        subject: what it is called on, with its preposition, if that is not a model and its data.

    Raises:
        NotApplicable: the model cannot do what is measured.
        PluginError: the evaluator raised, or its result is not what its contract says.
    """
    try:
        with PluginCall(evaluator, "evaluate", subject):
            result: object = evaluator.evaluate(context)
    except PluginError as error:  # raised by what the evaluator calls, such as a fine-tune that finds its task wrong
        if evaluator.name in str(error):
            raise
        raise PluginError(f"{owner(evaluator)}{evaluator.name}: {error}") from error.__cause__
    return require_result(evaluator, result)


def evaluator_label(evaluator: Evaluator) -> str:
    """The name of an evaluator's result, from which the names of its files are made."""
    label = text_property(evaluator, "label")
    # A lone surrogate is not printable either.
    if label.startswith(".") or not label.isprintable() or "/" in label or len(label.encode()) > _LONGEST_LABEL:
        raise wrong_property(
            evaluator,
            "label",
            label,
            f"a text that can be the name of a file: no dot first, no / or control characters, at most {_LONGEST_LABEL} bytes",
        )
    return label


def needs_held_out(evaluator: Evaluator) -> bool:
    """Whether an evaluator needs documents that the run holds out."""
    return bool_property(evaluator, "needs_held_out")


def evaluator_at_budget(evaluator: Evaluator, budget: Budget) -> Evaluator:
    """The evaluator at a budget: `evaluator.at_budget(budget)`."""
    with PluginCall(evaluator, "at_budget", f"for the budget '{budget}'"):
        returned: object = evaluator.at_budget(budget)
    if not isinstance(returned, Evaluator):
        raise unexpected(evaluator, "at_budget", returned, "an evaluator")
    return returned


def test_texts(evaluator: Evaluator) -> dict[str, str]:
    """Id -> text, of the texts that an evaluator reports on."""
    with PluginCall(evaluator, "test_texts"):
        texts: Any = evaluator.test_texts()
    if not isinstance(texts, Mapping) or not all(isinstance(text, str) for text in texts.values()):
        raise unexpected(evaluator, "test_texts", texts, "id -> text")
    return {str(key): text for key, text in texts.items()}


def why_no_test_texts(evaluator: Evaluator) -> str | None:
    """Why an evaluator has no such texts; None if it has some."""
    with PluginCall(evaluator, "why_no_test_texts"):
        reason: Any = evaluator.why_no_test_texts()
    if reason is not None and not isinstance(reason, str):
        raise unexpected(evaluator, "why_no_test_texts", reason, "a text or None")
    return reason
