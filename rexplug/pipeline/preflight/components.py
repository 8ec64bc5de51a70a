"""Checks of loggers, masking policies, scorers and evaluators for mistakes that would otherwise show hours into a run."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec

from rexplug.components import MaskingPolicy
from rexplug.components.masking_policy import ROW_CHANNELS
from rexplug.errors import PluginError, RexplugError
from rexplug.plugins.calls import input_files, is_synthetic, needed_sources, needs_held_out, step_name
from rexplug.recipe import Recipe


def component_problems(recipe: Recipe) -> Iterator[str]:
    """The problems, one text each, with their place in the recipe."""
    for number, logger in enumerate(recipe.loggers):
        if find_spec(logger.use) is None:
            yield f"loggers.{number}: {logger.use} needs the package {logger.use} (pip install {logger.use})"
    for phase in recipe.phases:
        yield from (f"phases.{phase.name}.masking: {problem}" for problem in _policy_problems(phase.masking))
    yield from _property_problems(recipe)
    for scorer in recipe.scorers:
        try:
            names = needed_sources(scorer)
        except PluginError as error:
            yield str(error)
            continue
        for name in names:
            if name not in recipe.sources:
                yield f"{scorer.name}: unknown source '{name}'; the sources are {', '.join(recipe.sources)}"
    yield from _evaluator_problems(recipe)


def _property_problems(recipe: Recipe) -> Iterator[str]:
    """Whether the properties of sources and filters can be read: curation reads them at its end."""
    for name, source in recipe.sources.items():
        try:
            is_synthetic(source)
            for corpus_filter in source.filters:
                step_name(corpus_filter)
        except PluginError as error:
            yield f"sources.{name}: {error}"


def _policy_problems(policy: MaskingPolicy) -> Iterator[str]:
    """Whether a policy gets the channels that it reads."""
    if policy.retired:
        yield (
            f"{policy.name} has options of an earlier version, which only describe how a run was masked; load the recipe from its "
            "file (load_recipe) to see what to write instead"
        )
        return
    for channel in policy.channels:
        if channel == "salience" and not policy.scorers:
            yield f"{policy.name} reads the channel 'salience', which only a salience scorer among its options fills; it has none"
            return
        if channel not in ROW_CHANNELS:
            yield f"{policy.name} reads the channel '{channel}'; a policy may read {' and '.join(ROW_CHANNELS)}"
            return


def _evaluator_problems(recipe: Recipe) -> Iterator[str]:
    for index, evaluator in enumerate(recipe.evaluators):
        place = f"evaluators.{index} ({evaluator.name})"
        try:
            on_held_out = needs_held_out(evaluator)
        except PluginError as error:
            yield f"{place}: {error}"
            continue
        if on_held_out and not recipe.curation.held_out:
            yield (
                f"{place}: it measures on documents that are held out, but curation.held_out is 0; hold some out "
                "(curation.held_out: 0.01), or give it `texts` of its own"
            )
        sources = getattr(evaluator, "sources", None) if on_held_out else None
        for name in sources if isinstance(sources, tuple) else ():
            if name not in recipe.sources:
                yield f"{place}: unknown source '{name}'; the sources are {', '.join(recipe.sources)}"
        try:
            missing = [path for path in input_files(evaluator) if not path.exists()]
        except PluginError as error:
            yield f"{place}: {error}"
            continue
        except RexplugError:
            continue  # `check_inputs` reports it
        if missing:
            yield f"{place}: {missing[0]} is missing"
