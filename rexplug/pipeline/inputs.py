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
    problems += _relevance_problems(recipe)
    if problems:
        raise DataError("\n".join(problems))


def _relevance_problems(recipe: Recipe) -> list[str]:
    """Whether the `relevance` block and the filters that need it belong together, and its labellers can start."""
    from rexplug.corpus.relevance.sample import users

    needing = users(recipe.sources)
    if recipe.relevance is None:
        return [
            f"sources.{name}: the filter 'relevance' has no classifier; write a `relevance` block, or give the filter a `model`"
            for name in needing
        ]
    if not needing:
        return ["relevance: no source uses the filter `relevance`, so that the classifier would decide nothing"]
    problems = []
    judges = {"relevance.labels": recipe.relevance.labels}
    if recipe.relevance.audit is not None:
        judges["relevance.audit.labels"] = recipe.relevance.audit.labels
    for path, labeller in judges.items():
        try:
            labeller.check()
        except RexplugError as error:
            problems.append(f"{path}: {error}")
    return problems
