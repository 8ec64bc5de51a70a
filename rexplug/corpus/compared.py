"""The evaluators whose texts training text is compared with: those of the recipe and those of suites."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rexplug.components import Evaluator, FineTuning
from rexplug.errors import DataError, RexplugError, one_line
from rexplug.plugins.calls import check_component, evaluator_label, why_no_test_texts
from rexplug.plugins.discovery import add_plugin_file, load_plugins
from rexplug.plugins.files import PluginFile
from rexplug.recipe import Recipe
from rexplug.recipe.curation import Suites
from rexplug.recipe.suite import load_suite, suites_in_use

_PLACE = "curation.decontaminate"


@dataclass(frozen=True)
class Compared:
    """The evaluators whose texts training text is compared with, and the others.

    Attributes:
        evaluators: name in reports -> evaluator.
        left_out: the name of each other evaluator -> why its texts are not compared with.
        without_data: those of `left_out` that belong to a suite and whose data cannot be read.
    """

    evaluators: Mapping[str, Evaluator]
    left_out: Mapping[str, str]
    without_data: Sequence[str] = ()


def compared(recipe: Recipe) -> Compared:
    """The evaluators that `curation.decontaminate` selects, those of suites under names such as `ecommerce.esci (suite ecommerce)`.

    Raises:
        RecipeError: there is no such suite, or it reads local data and no folder is named.
        DataError: no evaluator of a suite has its data.
    """
    which = recipe.curation.decontaminate
    left_out = why_not_compared(recipe.evaluators, "evaluators" if isinstance(which, Suites) else which)
    evaluators = {
        label: evaluator for evaluator in recipe.evaluators if (label := evaluator_label(evaluator)) not in left_out
    }
    if not isinstance(which, Suites):
        return Compared(evaluators, left_out)
    without_data: list[str] = []
    for suite, members in _suites(which, recipe):
        missing: list[str] = []
        complete = False
        for evaluator in members:
            name = f"{evaluator_label(evaluator)} (suite {suite})"
            if any(text_options(evaluator) == text_options(own) for own in evaluators.values()):
                complete = True
            elif (problem := _data_problem(evaluator)) is not None:
                missing.append(name)
                left_out[name] = f"its data cannot be read: {problem}"
            elif (why := why_no_test_texts(evaluator)) is not None:
                left_out[name] = why
            else:
                complete = True
                evaluators[name] = evaluator
        if missing and not complete:
            where = "" if which.data is None else f" in {which.data}"
            raise DataError(
                f"{_PLACE}: no evaluator of the suite {suite} has its data{where}; is `data` the right folder? "
                f"{missing[0]}: {left_out[missing[0]]}"
            )
        without_data += missing
    return Compared(evaluators, left_out, without_data)


def _suites(suites: Suites, recipe: Recipe) -> Iterator[tuple[str, Sequence[Evaluator]]]:
    """The name of each suite, and its evaluators."""
    registry = load_plugins()
    for path in recipe.plugins:
        add_plugin_file(registry, PluginFile(Path(path)))
    names = suites.suite or suites_in_use(recipe, registry)
    if not names:
        raise DataError(
            f"{_PLACE}: the recipe uses no plugin that ships a suite; name one, as in {{suite: ecommerce, data: DIR}}"
        )
    stems = [Path(name).stem for name in names]
    for name, stem in zip(names, stems, strict=True):
        suite = load_suite(
            name, suites.data, registry, option=f"{_PLACE}.suite", data_option=f"{_PLACE}: {{suite: {name}, data: DIR}}"
        )
        yield stem if stems.count(stem) == 1 else name, suite.evaluators


def _data_problem(evaluator: Evaluator) -> str | None:
    """Why the data of an evaluator cannot be read; None if they can."""
    try:
        check_component(evaluator)
    except RexplugError as error:
        return one_line(error, 300)
    return None


def why_not_compared(evaluators: Sequence[Evaluator], which: str | Sequence[str]) -> dict[str, str]:
    """The evaluators of a recipe whose texts training text is not compared with: label -> reason.

    Args:
        evaluators: of the recipe.
        which: `evaluators`, `none`, or names of some.
    """
    reasons = {}
    for evaluator in evaluators:
        label = evaluator_label(evaluator)
        if which == "none":
            reasons[label] = "curation.decontaminate is none"
        elif which != "evaluators" and not {evaluator.name, label} & set(which):
            reasons[label] = "curation.decontaminate does not name it"
        elif (why := why_no_test_texts(evaluator)) is not None:
            reasons[label] = why
    return reasons


def text_options(evaluator: Evaluator) -> dict[str, Any]:
    """The options that its texts depend on: all but the budget of a fine-tune, a change of which must not repeat the curation."""
    return {
        name: value
        for name, value in evaluator.dump().items()
        if not isinstance(getattr(evaluator, name, None), FineTuning)
    }
