"""Whether what a recipe names can be read, before anything is done."""

from __future__ import annotations

from rexplug.errors import DataError, RexplugError
from rexplug.recipe import Recipe


def check_inputs(recipe: Recipe) -> None:
    """Ask every source, filter and evaluator whether its data can be read; `rexplug check` and `run` both call this first.

    Raises:
        DataError: with one line per problem.
    """
    problems = []
    for name, source in recipe.sources.items():
        try:
            source.check()
        except RexplugError as error:
            problems.append(f"sources.{name}: {error}")
        for index, each in enumerate(source.filters):
            try:
                each.check()
            except RexplugError as error:
                problems.append(f"sources.{name}.filters.{index} ({each.name}): {error}")
    for index, evaluator in enumerate(recipe.evaluators):
        try:
            evaluator.check()
        except RexplugError as error:
            problems.append(f"evaluators.{index} ({evaluator.name}): {error}")
    if problems:
        raise DataError("\n".join(problems))
