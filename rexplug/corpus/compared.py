"""The evaluators whose texts training text is compared with: those of the recipe and those of suites."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rexplug.components import Evaluator, FineTuning
from rexplug.errors import DataError, RexplugError, one_line
from rexplug.plugins.declarations import check_component, evaluator_label, why_no_test_texts
from rexplug.plugins.discovery import add_plugin_file, load_plugins
from rexplug.plugins.files import PluginFile
from rexplug.recipe import Recipe
from rexplug.recipe.curation import Suites
from rexplug.recipe.suite import load_suite, suites_in_use

_PLACE = "curation.decontaminate"


@dataclass(frozen=True)
class Compared:
    """Whose texts training text is compared with.

    Attributes:
        evaluators: name in reports -> evaluator.
        left_out: the name of each other evaluator -> why its texts are not compared with.
        without_data: those of `left_out` that belong to a suite and whose data cannot be read.
    """

    evaluators: Mapping[str, Evaluator]
    left_out: Mapping[str, str]
    without_data: Sequence[str] = ()


def compared(recipe: Recipe) -> Compared:
    """The evaluators that `curation.decontaminate` means, those of suites under names such as `ecommerce.esci (suite ecommerce)`.

    Raises:
        RecipeError: there is no such suite, or it reads local data and no folder is named.
        DataError: no evaluator of a suite has its data.
    """
    which = recipe.curation.decontaminate
    suites = which if isinstance(which, Suites) else None
    left_out = why_not_compared(recipe.evaluators, "evaluators" if isinstance(which, Suites) else which)
    evaluators = {
        label: evaluator for evaluator in recipe.evaluators if (label := evaluator_label(evaluator)) not in left_out
    }
    without_data: list[str] = []
    complete: set[str] = set()
    for suite, evaluator in _of_suites(suites, recipe) if suites else ():
        if any(text_options(evaluator) == text_options(own) for own in evaluators.values()):
            complete.add(suite)
            continue
        name = f"{evaluator_label(evaluator)} (suite {suite})"
        try:
            check_component(evaluator)
        except RexplugError as error:
            without_data.append(name)
            left_out[name] = f"its data cannot be read: {one_line(error, 300)}"
            continue
        if (why := why_no_test_texts(evaluator)) is not None:
            left_out[name] = why
        else:
            complete.add(suite)
            evaluators[name] = evaluator
    if suites is not None:
        _require_data(suites, complete, without_data, left_out)
    return Compared(evaluators, left_out, without_data)


def _of_suites(suites: Suites, recipe: Recipe) -> Iterator[tuple[str, Evaluator]]:
    """Each evaluator of the suites after the suite's name."""
    registry = load_plugins()
    for path in recipe.plugins:
        add_plugin_file(registry, PluginFile(Path(path)))
    names = suites.suite or suites_in_use(recipe, registry)
    if not names:
        raise DataError(
            f"{_PLACE}: the recipe uses no plugin that ships a suite; name one, as in {{suite: ecommerce, data: DIR}}"
        )
    for name in names:
        suite = load_suite(
            name, suites.data, registry, option=f"{_PLACE}.suite", data_option=f"{_PLACE}: {{suite: {name}, data: DIR}}"
        )
        for evaluator in suite.evaluators:
            yield Path(name).stem, evaluator


def _require_data(
    suites: Suites, complete: Collection[str], without_data: Sequence[str], left_out: Mapping[str, str]
) -> None:
    """Check that every suite with missing data is among those of which an evaluator has its data (`complete`).

    Raises:
        DataError: of one none has.
    """
    for name in without_data:
        suite = name.partition(" (suite ")[2].removesuffix(")")
        if suite not in complete:
            where = "" if suites.data is None else f" in {suites.data}"
            raise DataError(
                f"{_PLACE}: no evaluator of the suite {suite} has its data{where}; is `data` the right folder? "
                f"{name}: {left_out[name]}"
            )


def why_not_compared(evaluators: Sequence[Evaluator], which: str | Sequence[str]) -> dict[str, str]:
    """The evaluators of a recipe whose texts training text is not compared with: label -> reason.

    Args:
        evaluators: of the recipe.
        which: `evaluators`, `none`, or names of some.
    """
    reasons = {}
    for evaluator in evaluators:
        if which == "none":
            reasons[evaluator.label] = "curation.decontaminate is none"
        elif which != "evaluators" and not {evaluator.name, evaluator.label} & set(which):
            reasons[evaluator.label] = "curation.decontaminate does not name it"
        elif (why := why_no_test_texts(evaluator)) is not None:
            reasons[evaluator.label] = why
    return reasons


def text_options(evaluator: Evaluator) -> dict[str, Any]:
    """The options that its texts depend on: all but the budget of a fine-tune, a change of which must not repeat the curation."""
    return {
        name: value
        for name, value in evaluator.dump().items()
        if not isinstance(getattr(evaluator, name, None), FineTuning)
    }
