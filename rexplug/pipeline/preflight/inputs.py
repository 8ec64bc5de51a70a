"""Checks that everything a recipe reads exists and fits together, before anything is done."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from rexplug.components import Component, DocumentSource
from rexplug.errors import DataError, PluginError, RexplugError, brief, one_line
from rexplug.io.hub import HubName, HubUnreachable, ask_hub
from rexplug.pipeline.preflight.components import component_problems
from rexplug.pipeline.preflight.report import PreflightReport
from rexplug.pipeline.preflight.start import start_notes, start_problems
from rexplug.pipeline.preflight.trials import trial_problems
from rexplug.plugins.calls import check_component, hub_names, recipe_entry
from rexplug.recipe import Recipe
from rexplug.recipe.curation import Suites
from rexplug.recipe.notes import recipe_notes
from rexplug.recipe.section import Section


def check_inputs(recipe: Recipe, *, hub: bool = False) -> PreflightReport:
    """The same as `preflight`, for work that cannot start while there are problems.

    Raises:
        DataError: with one line per problem.
    """
    report = preflight(recipe, hub=hub)
    if report.problems:
        raise DataError("\n".join(report.problems))
    return report


def preflight(recipe: Recipe, *, hub: bool = False) -> PreflightReport:
    """Check that everything a recipe reads exists and fits together.

    Args:
        recipe: the recipe.
        hub: ask the Hugging Face Hub for the models and datasets there. Without it only object stores are asked over a network.
            A Hub that does not answer is not a problem of the recipe.
    """
    problems = []
    unchecked: dict[str, HubName] = {}
    for place, component in _components(recipe):
        try:
            check_component(component)
            recipe_entry(component)
        except RexplugError as error:
            problems.append(f"{place}: {error}")
        except OSError as error:  # a name that is too long, a folder that may not be read
            problems.append(f"{place}: {_unreadable(error)}")
        try:
            for name in hub_names(component):
                unchecked[place] = name
        except PluginError as error:
            problems.append(f"{place}: {error}")
    problems += _relevance_problems(recipe)
    suite_notes: tuple[str, ...] = ()
    try:
        suite_notes = _suite_notes(recipe)
    except RexplugError as error:
        problems += str(error).splitlines()
    problems += component_problems(recipe)
    problems += trial_problems(recipe)
    try:
        problems += start_problems(recipe, unchecked)
    except OSError as error:
        problems.append(f"tokenizer, model or baselines: {_unreadable(error)}")
    reason = "--hub asks for it"
    if hub:
        unchecked, reason = _check_on_hub(unchecked, problems)
    # Remarks on a checkpoint need one that can be read.
    warnings = (*(() if problems else start_notes(recipe)), *recipe_notes(recipe), *suite_notes)
    return PreflightReport(tuple(problems), warnings, unchecked, reason if unchecked else "")


def _unreadable(error: OSError) -> str:
    if error.filename is None:
        return one_line(error) or type(error).__name__
    return f"{brief(error.filename)} cannot be read: {error.strerror}"


def _components(recipe: Recipe) -> Iterator[tuple[str, Component]]:
    """Every component that the recipe names, and the filters of its sources, with its place in the recipe.

    Other components among the options of a component are checked by that component.
    """
    for place, component in _walk(recipe, ""):
        yield place, component
        if isinstance(component, DocumentSource):
            yield from _walk(component.filters, f"{place}.filters")


def _walk(value: Any, place: str) -> Iterator[tuple[str, Component]]:
    if isinstance(value, Component):
        yield place, value
    elif isinstance(value, Section):
        for name, field in type(value).model_fields.items():
            key = field.alias or name
            yield from _walk(getattr(value, name), f"{place}.{key}" if place else key)
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from _walk(item, f"{place}.{key}")
    elif isinstance(value, tuple):
        for index, item in enumerate(value):
            if isinstance(item, Component):
                yield f"{place}.{index} ({item.name})", item
            else:
                yield from _walk(item, f"{place}.{getattr(item, 'name', index)}")


def _check_on_hub(unchecked: dict[str, HubName], problems: list[str]) -> tuple[dict[str, HubName], str]:
    """Ask the hub for each name once and append what is wrong to `problems`.

    Returns:
        the names without an answer, and why there was none.
    """
    answers: dict[HubName, str | None] = {}
    for place, name in unchecked.items():
        if name not in answers:
            try:
                answers[name] = ask_hub(name)
            except HubUnreachable as error:
                # Stop here: every further request would wait for the same time-out.
                left = {place: name for place, name in unchecked.items() if name not in answers}
                return left, f"the hub does not answer: {error}"
        if answers[name] is not None:
            problems.append(f"{place}: {answers[name]}")
    return {}, ""


def _suite_notes(recipe: Recipe) -> tuple[str, ...]:
    """The evaluators of suites that training text cannot be compared with because their data is missing.

    Raises:
        RexplugError: a suite that `curation.decontaminate` names cannot be read, or all its data is missing.
    """
    from rexplug.corpus.compared import compared

    if not isinstance(recipe.curation.decontaminate, Suites):
        return ()
    found = compared(recipe)
    return tuple(f"curation.decontaminate: {name}: {found.left_out[name]}" for name in found.without_data)


def _relevance_problems(recipe: Recipe) -> list[str]:
    """Whether the recipe has a `relevance` block if and only if a filter needs it."""
    from rexplug.corpus.relevance.filter import sources_to_classify

    classified = sources_to_classify(recipe.sources)
    if recipe.relevance is None:
        return [
            f"sources.{name}: the filter 'relevance' has no classifier; write a `relevance` block, or give the filter a `model`"
            for name in classified
        ]
    if not classified:
        return ["relevance: no source uses the filter `relevance`, so the classifier would have no effect"]
    return []
